"""Compares --negative-pool minibatch with the default pool: the figures in docs/defaults.md.

python tests/bench/negative_pool.py CACHE... [--seeds N]

Beside the caches that are named, the synthetic tasks of defaults.py take part. Prints the test
worst-group accuracy of the selected head, in per cent, and the paired differences.
"""

from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from defaults import synthetic_tasks

from clip_cfr.cache.read.reader import read_cache
from clip_cfr.calibrate.comparison.compare import evaluate_fitted
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import fit

POOLS = ("256", "minibatch")
STEPS = 2000


def worst_group(experiment, pool):
    """Test worst-group accuracy of CFR's selected head, in per cent."""
    settings = Settings(erm_steps=STEPS, steps=STEPS, negative_pool=pool)
    experiment = experiment.with_settings(settings)
    metrics = evaluate_fitted(experiment, fit("cfr", experiment)).metrics
    return 100 * metrics[settings.selection]["test"].worst_group


def measure(task, seeds):
    """Worst-group accuracies, one row for each seed and one column for each pool."""
    prepared = prepare(task)
    settings = Settings(erm_steps=STEPS, steps=STEPS)
    experiments = [Experiment(prepared, settings, seed) for seed in range(seeds)]
    return np.array([[worst_group(each, pool) for pool in POOLS] for each in experiments])


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("caches", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=12)
    options = parser.parse_args()
    tasks = {path.stem: Task.from_cache(read_cache(path)) for path in options.caches}
    print(f"| task | {' | '.join(POOLS)} | difference |\n|---|---|---|---|")
    for name, task in {**tasks, **synthetic_tasks()}.items():
        found = measure(task, options.seeds)
        cells = [f"{each.mean():.1f} ± {each.std(ddof=1):.1f}" for each in found.T]
        pairs = found[:, 1] - found[:, 0]
        error = pairs.std(ddof=1) / np.sqrt(len(pairs))
        print(f"| {name} | {' | '.join(cells)} | {pairs.mean():+.1f} ± {error:.1f} |", flush=True)


if __name__ == "__main__":
    main()
