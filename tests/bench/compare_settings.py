"""Compares settings with the defaults, in pairs over seeds: the figures in docs/defaults.md.

python tests/bench/compare_settings.py CACHE... --set NAME=VALUE[,NAME=VALUE] [--set ...]

Beside the caches that are named, the synthetic tasks of defaults.py take part. The baseline has
float32 products, no patience and otherwise the default settings. For the selected and the last
head of ERM and CFR it prints test accuracies, in per cent, as mean and standard deviation over
seeds, and the mean of the paired differences with its 95 % interval.
"""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from defaults import synthetic_tasks
from scipy import stats

from clip_cfr.cache.read.reader import read_cache
from clip_cfr.calibrate.comparison.compare import evaluate_fitted
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import Settings, value_type
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.grid.axes import FIELDS
from clip_cfr.calibrate.methods import fit

MEASURES = (
    *(("erm", "worst-class", "worst_group"), ("erm", "worst-class", "average")),
    *(("cfr", "worst-class", "worst_group"), ("cfr", "worst-class", "average")),
    *(("erm", "last", "worst_group"), ("cfr", "last", "worst_group")),
)


def parse_settings(text, baseline):
    """Return the baseline with the values of `NAME=VALUE,NAME=VALUE`."""
    pairs = (each.split("=") for each in text.split(","))
    return replace(baseline, **{name: value_type(FIELDS[name])(value) for name, value in pairs})


def measure(experiment):
    """Return the accuracies of `MEASURES` in per cent, the steps done by CFR, and the seconds."""
    started = perf_counter()
    fitted = {method: fit(method, experiment) for method in ("erm", "cfr")}
    seconds = perf_counter() - started
    metrics = {name: evaluate_fitted(experiment, each).metrics for name, each in fitted.items()}
    found = [
        100 * getattr(metrics[method][selection]["test"], metric)
        for method, selection, metric in MEASURES
    ]
    steps = [each.selected_steps["last"] for each in fitted.values()]
    return [*found, *steps, seconds]


def describe_difference(pairs):
    """Return the mean of paired differences with its 95 % interval."""
    error = stats.sem(pairs)
    half = error * stats.t.ppf(0.975, len(pairs) - 1)
    return f"{pairs.mean():+.1f} ± {half:.1f}"


def print_rows(name, variants, results):
    """Print one row for each measure of a task; the first variant is the baseline."""
    for index, (method, selection, metric) in enumerate(MEASURES):
        head = "last" if selection == "last" else "selected"
        values = results[:, :, index]
        cells = [f"{values[0].mean():.1f} ± {values[0].std(ddof=1):.1f}"]
        for found in values[1:]:
            spread = f"{found.mean():.1f} ± {found.std(ddof=1):.1f}"
            cells.append(f"{spread} ({describe_difference(found - values[0])})")
        print(f"| {name} | {method}, {head}, {metric} | {' | '.join(cells)} |")
    for index, title in ((-3, "erm, steps"), (-2, "cfr, steps"), (-1, "seconds")):
        cells = [f"{each.mean():.1f}" for each in results[:, :, index]]
        print(f"| {name} | {title} | {' | '.join(cells)} |", flush=True)


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("caches", nargs="*", type=Path)
    parser.add_argument("--set", dest="variants", action="append", required=True)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=4000)
    options = parser.parse_args()
    baseline = Settings(
        erm_steps=options.steps, steps=options.steps, precision="float32", patience=0
    )
    variants = [baseline, *(parse_settings(each, baseline) for each in options.variants)]
    tasks = {path.stem: Task.from_cache(read_cache(path)) for path in options.caches}
    titles = ["baseline", *options.variants]
    print(f"| task | measure | {' | '.join(titles)} |\n|{'---|' * (len(titles) + 2)}")
    for name, task in {**tasks, **synthetic_tasks()}.items():
        prepared = prepare(task)
        results = [
            [measure(Experiment(prepared, settings, seed)) for seed in range(options.seeds)]
            for settings in variants
        ]
        print_rows(name, variants, np.array(results))


if __name__ == "__main__":
    main()
