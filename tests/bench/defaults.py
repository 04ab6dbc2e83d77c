"""Measures the defaults of CFR over data sets and seeds: the figures behind CHANGELOG.md.

python tests/bench/defaults.py CACHE... [--seeds N]

Beside the caches that are named, three synthetic tasks take part: a strong and a weak correlation
with 657 training rows, and a strong one that the validation split shares. For every setting it
prints test worst-group accuracy, in per cent, as the mean over seeds: first with the default
selection, then of the last step.
"""

import sys
from argparse import ArgumentParser
from itertools import product
from pathlib import Path

import numpy as np
from synthetic import clip_like_task

from clip_cfr.cache.read.reader import read_cache
from clip_cfr.calibrate.comparison.compare import evaluate_fitted
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import fit

SELECTIONS = ("worst-class", "last")
NAMES = ("lr", "temperature", "init", "cross_entropy")
RATES, TEMPERATURES, STARTS = (1e-4, 1e-3), (0.1, 1.0), ("identification", "clip")
GRID = (
    *product(RATES, TEMPERATURES, STARTS, ("both",)),
    (1e-3, 1.0, "clip", "calibration"),
)


def synthetic_tasks():
    """The synthetic tasks by name."""
    small, large = (657, 300, 1000), (2000, 500, 1000)
    strong, weak, shared = (0.95, 0.5, 0.5), (0.7, 0.5, 0.5), (0.95, 0.95, 0.5)
    return {
        "strong": clip_like_task(seed=1, sizes=small, agreement=strong, core=1, spurious=2),
        "weak": clip_like_task(seed=3, sizes=small, agreement=weak, core=0.7, spurious=0.7),
        "shared": clip_like_task(seed=4, sizes=large, agreement=shared, core=0.7, spurious=1.5),
    }


def settings_to_try():
    """The settings of the grid."""
    return [dict(zip(NAMES, values, strict=True)) for values in GRID]


def worst_groups(method, experiment):
    """Test worst-group accuracy of each selection."""
    metrics = evaluate_fitted(experiment, fit(method, experiment)).metrics
    return [metrics[selection]["test"].worst_group for selection in SELECTIONS]


def measure(task, seeds):
    """Means over seeds: ERM's, then each setting's, and the sizes of the calibration sets."""
    prepared = prepare(task)
    bases = [Experiment(prepared, Settings(), seed) for seed in range(seeds)]
    rows = [np.mean([worst_groups("erm", base) for base in bases], axis=0)]
    for values in settings_to_try():
        found = []
        for base in bases:
            found.append(worst_groups("cfr", base.with_settings(Settings(**values))))
        rows.append(np.mean(found, axis=0))
        print(".", end="", flush=True, file=sys.stderr)
    return np.array(rows), [len(base.calibration_set.rows) for base in bases]


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("caches", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    tasks = {path.stem: Task.from_cache(read_cache(path)) for path in options.caches}
    results = {n: measure(t, options.seeds) for n, t in {**tasks, **synthetic_tasks()}.items()}
    for name, (_, sizes) in results.items():
        print(f"{name}: calibration sets of {sizes} rows")
    print("| " + " | ".join([*NAMES, *results, "mean"]) + " |")
    print("|" + "---|" * (len(NAMES) + len(results) + 1))
    table = np.stack([rows for rows, _ in results.values()], axis=1) * 100
    for values, row in zip([{"lr": "ERM"}, *settings_to_try()], table, strict=True):
        settings = [str(values.get(name, "")) for name in NAMES]
        cells = [f"{chosen:.1f} / {last:.1f}" for chosen, last in [*row, row.mean(axis=0)]]
        print("| " + " | ".join([*settings, *cells]) + " |")


if __name__ == "__main__":
    main()
