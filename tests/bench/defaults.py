"""Measures the defaults over data sets and draws: the figures in docs/defaults.md.

python tests/bench/defaults.py CACHE... [--draws N]

Beside the caches that are named, three synthetic tasks take part, drawn anew for each draw: a
strong and a weak correlation with 657 training rows, and a strong one with 2,000 that the
validation split shares. A task named NAME-shared is NAME with a validation split that lost rows so
that it shares the correlation. For a cache, a draw is a seed of training.

After each draw it prints test accuracies in per cent over all draws so far: worst group / average
of every setting, selected by validation worst-class accuracy, and differences from CFR's default,
paired over draws, with 95 % intervals. For selection see selection.py.
"""

import sys
from argparse import ArgumentParser
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats
from synthetic import clip_like_task

from clip_cfr.cache.read.reader import read_cache
from clip_cfr.calibrate.comparison.compare import evaluate_fitted
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import fit
from clip_cfr.calibrate.runtime.precision import resolve_precision

# Method and settings by the name of the row.
ROWS = {
    "ERM": ("erm", {}),
    "ERM, 4,000 steps at 1e-4": ("erm", {"erm_lr": 1e-4, "erm_steps": 4000}),
    "CFR": ("cfr", {}),
    "CFR, temperature and weight 0.3": ("cfr", {"temperature": 0.3, "holistic_weight": 0.3}),
    "CFR, former default": (
        "cfr",
        {"lr": 1e-3, "steps": 4000, "temperature": 0.1, "holistic_weight": 1.0},
    ),
    "CFR without contrast": ("cfr-no-contrast", {}),
    "CFR without holistic": ("cfr-no-holistic", {}),
    "error set": ("error-set", {}),
    "JTT": ("jtt", {}),
}
REFERENCE = "CFR"
SELECTION = "worst-class"
COMPARED = ("ERM", "CFR, former default", "CFR without contrast", "CFR without holistic")
COMPARED = (*COMPARED, "error set", "JTT")


def synthetic_tasks(draw=0):
    """The synthetic tasks by name; each draw has other rows and directions."""
    small, large = (657, 300, 1000), (2000, 500, 1000)
    strong, weak, shared = (0.95, 0.5, 0.5), (0.7, 0.5, 0.5), (0.95, 0.95, 0.5)
    first = 100 * draw
    return {
        "strong": clip_like_task(seed=first + 1, sizes=small, agreement=strong, core=1, spurious=2),
        "weak": clip_like_task(seed=first + 3, sizes=small, agreement=weak, core=0.7, spurious=0.7),
        "shared": clip_like_task(
            seed=first + 4, sizes=large, agreement=shared, core=0.7, spurious=1.5
        ),
    }


def share_correlation(task, draw):
    """The task without the val rows that make val less correlated than train."""
    rng, valid = np.random.default_rng(draw), task.valid.copy()
    train, val = task.rows("train"), task.rows("val")
    for label in range(task.num_classes):
        counts = np.bincount(task.attributes[train[task.labels[train] == label]])
        common, share = counts.argmax(), counts.max() / counts.sum()
        rows = val[task.labels[val] == label]
        rare = rng.permutation(rows[task.attributes[rows] != common])
        keep = round((len(rows) - len(rare)) * (1 - share) / share)
        valid[rare[keep:]] = False
    return replace(task, valid=valid)


def tasks_of_draw(caches, draw):
    """All tasks by name, with those whose val shares the correlation."""
    tasks = {**caches, **synthetic_tasks(draw)}
    for name in [each for each in tasks if len(tasks[each].attribute_names) == 2]:
        if name != "shared":
            tasks[f"{name}-shared"] = share_correlation(tasks[name], draw)
    return tasks


def measure_task(task, seed):
    """Test (worst group, average) in per cent of the selected head, by row."""
    base = Experiment(prepare(task), resolve_precision(Settings()), seed)
    found = {}
    for name, (method, changes) in ROWS.items():
        experiment = base.with_settings(replace(base.settings, **changes))
        try:
            metrics = evaluate_fitted(experiment, fit(method, experiment)).metrics
        except CalibrationError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        test = metrics[SELECTION]["test"]
        found[name] = (100 * test.worst_group, 100 * test.average)
    return found


def add_draw(values, caches, draw):
    """Add the accuracies of a draw to the lists by task and row."""
    for task_name, task in tasks_of_draw(caches, draw).items():
        for row, accuracies in measure_task(task, draw).items():
            values[task_name][row].append(accuracies)
        print(f"draw {draw}: {task_name}", file=sys.stderr, flush=True)


def cell(values):
    """`74.5 ± 2.1 / 85.8`: worst group with its deviation over draws, and average."""
    values = np.array(values)
    if not values.size:
        return "-"
    deviation = values[:, 0].std(ddof=1) if len(values) > 1 else 0.0
    return f"{values[:, 0].mean():.1f} ± {deviation:.1f} / {values[:, 1].mean():.1f}"


def difference_cell(first, second):
    """Mean of the paired differences in worst group, with half its 95 % interval."""
    if len(second) < 2 or len(first) != len(second):
        return "-"
    pairs = np.array(second)[:, 0] - np.array(first)[:, 0]
    half = stats.sem(pairs) * stats.t.ppf(0.975, len(pairs) - 1)
    return f"{pairs.mean():+.1f} ± {half:.1f}"


def print_table(header, rows):
    """Print a Markdown table."""
    print("\n| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("caches", nargs="*", type=Path)
    parser.add_argument("--draws", type=int, default=6)
    options = parser.parse_args()
    caches = {path.stem: Task.from_cache(read_cache(path)) for path in options.caches}
    values = defaultdict(lambda: defaultdict(list))
    for draw in range(options.draws):
        add_draw(values, caches, draw)
        print_tables(values, draw + 1)


def print_tables(values, draws):
    """Print all tables."""
    tasks = list(values)
    print(f"\n{draws} draws")
    print_table(
        ("setting", *tasks),
        [(row, *(cell(values[task][row]) for task in tasks)) for row in ROWS],
    )
    default = {task: values[task][REFERENCE] for task in tasks}
    print_table(
        (f"minus {REFERENCE}", *tasks),
        [(row, *(difference_cell(default[t], values[t][row]) for t in tasks)) for row in COMPARED],
    )


if __name__ == "__main__":
    main()
