"""Measures selection criteria without group labels: the figures in docs/defaults.md.

python tests/bench/selection.py CACHE... [--draws N]
python tests/bench/selection.py --worlds [--draws N]

Data sets and draws are those of defaults.py, each also with 10 % wrong labels in train and val
(NAME-noise); with --worlds they are worlds of import --synthetic, some with wrong training labels.
Every head of a training is evaluated on val and test once; each criterion then chooses one of them.
It prints test accuracies in per cent, worst group / average, and differences of the worst group
from `worst-class`, paired over draws, with 95 % intervals.
"""

import json
import sys
from argparse import ArgumentParser
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import numpy as np
from defaults import cell, difference_cell, print_table, share_correlation, synthetic_tasks
from sklearn.mixture import GaussianMixture

from clip_cfr import SyntheticWorld, import_synthetic
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.inferred_groups import (
    SMALLEST,
    criterion_value,
    infer_groups,
    mean_accuracy,
)
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import SPLITS, Task
from clip_cfr.calibrate.methods import fit
from clip_cfr.calibrate.runtime.precision import resolve_precision

TRAIN, VAL, TEST = (SPLITS.index(name) for name in ("train", "val", "test"))
METHODS = {"ERM": "erm", "CFR": "cfr", "error set": "error-set"}
NOISE = 0.1
# Options of `SyntheticWorld` by task.
WORLDS = {
    "world": {},
    "correlation-0.9": {"correlation": 0.9},
    "wrong-0.1": {"label_noise": 0.1},
    "wrong-0.2": {"label_noise": 0.2},
    "attribute-8": {"attribute_signal": 8.0},
    "val-0.95": {"val_correlation": 0.95},
    "dim-1024": {"dim": 1024},
    "five-classes": {"num_classes": 5, "num_attributes": 5},
}
REFERENCE = "worst class"
# Source of the inferred groups of the criterion `inferred-groups`.
SOURCE = "zero-shot"
# Shares of rows whose attribute named in words is the true one.
AGREEMENTS = (1.0, 0.9, 0.75)


def add_noise(task, draw):
    """The task with wrong labels for a tenth of the rows of train and val."""
    rng, labels = np.random.default_rng(draw), task.labels.copy()
    rows = np.flatnonzero(task.splits != TEST)
    wrong = rows[rng.random(len(rows)) < NOISE]
    labels[wrong] = (labels[wrong] + rng.integers(1, task.num_classes, len(wrong))) % (
        task.num_classes
    )
    return replace(task, labels=labels)


def worlds_of_draw(draw):
    """Tasks of import --synthetic by name; each draw has other rows and directions."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "world.h5"
        tasks = {}
        for name, changes in WORLDS.items():
            import_synthetic(path, SyntheticWorld(**changes, seed=draw), overwrite=True)
            tasks[name] = Task.from_cache(read_cache(path))
    return tasks


def tasks_of_draw(caches, draw):
    """All tasks by name, with and without wrong labels."""
    tasks = {**caches, **synthetic_tasks(draw)}
    return {**tasks, **{f"{name}-noise": add_noise(tasks[name], draw) for name in tasks}}


def validation_rows(task, name, draw):
    """Masks over rows: val, and val that shares the correlation where it does not yet."""
    masks = {name: task.splits == VAL}
    if len(task.attribute_names) == 2 and name not in WORLDS and not name.startswith("shared"):
        shared = share_correlation(task, draw)
        masks[f"{name}-shared"] = shared.valid & (task.splits == VAL)
    return masks


def split_losses(logits, labels, is_val):
    """Groups: label x component of a two-component mixture of the losses of its val rows."""
    losses = -np.asarray(jax.nn.log_softmax(logits))[np.arange(len(labels)), labels]
    high = np.zeros(len(labels), int)
    for label in np.unique(labels):
        rows = labels == label
        fitted = losses[rows & is_val][:, None]
        if len(fitted) >= 4:
            mixture = GaussianMixture(2, random_state=0).fit(fitted)
            high[rows] = mixture.predict(losses[rows][:, None]) == mixture.means_.argmax()
    return 2 * labels + high


def half_of_train(task, draw):
    """The task with a random half of its training rows."""
    valid, rows = task.valid.copy(), task.rows("train")
    valid[np.random.default_rng(draw).permutation(rows)[: len(rows) // 2]] = False
    return replace(task, valid=valid)


def inferred_groups(experiment, rows, is_val, draw):
    """Groups of rows without their attributes, by source."""
    labels = experiment.task.labels[rows]
    half = Experiment(prepare(half_of_train(experiment.task, draw)), experiment.settings, draw)
    logits = {
        SOURCE: experiment.logits(experiment.zeroshot_head(), rows),
        "identification head": experiment.logits(experiment.identification_head, rows),
        "converged ERM": experiment.logits(experiment.erm.last, rows),
        "converged ERM of half of train": half.logits(half.erm.last, rows),
    }
    groups = {name: infer_groups(found, labels) for name, found in logits.items()}
    groups["mixture of losses"] = split_losses(logits["identification head"], labels, is_val)
    return groups


def name_attributes(task, rows, draw):
    """Groups of rows whose attribute is the true one for some, and another for the others."""
    rng, found, count = np.random.default_rng(draw), {}, len(task.attribute_names)
    for agreement in AGREEMENTS:
        steps = rng.integers(1, count, size=len(rows))
        steps[rng.random(len(rows)) < agreement] = 0
        attributes = (task.attributes[rows] + steps) % count
        found[f"named, {agreement:.0%} true"] = task.labels[rows] * count + attributes
    return found


def class_accuracies(correct, labels, num_classes):
    """Accuracy of each classifier in each class with rows; float (classifiers, classes)."""
    present = [label for label in range(num_classes) if (labels == label).any()]
    return np.stack([correct[:, labels == label].mean(axis=1) for label in present], axis=1)


def measure_criteria(correct, task, rows, inferred, named):
    """Value of each head, the higher the better, by criterion.

    Args:
        correct: whether each head is right about each of the rows.
        rows: rows that choose the head.
        inferred, named: groups of these rows by source.
    """
    labels, classes = task.labels[rows], task.num_classes
    by_class = class_accuracies(correct, labels, classes)
    values = {
        REFERENCE: by_class.min(axis=1),
        "average": correct.mean(axis=1),
        "class difference": by_class.min(axis=1) - by_class.max(axis=1),
    }
    values["inferred-groups"] = criterion_value(correct, inferred[SOURCE], classes)
    for source, groups in inferred.items():
        values[f"inferred alone, {source}"] = mean_accuracy(correct, groups, classes)
    for source in (SOURCE, "identification head"):
        values[f"worst inferred, {source}"] = lowest_accuracy(correct, inferred[source])
    for source, groups in named.items():
        values[source] = lowest_accuracy(correct, groups)
    values["worst group, an oracle"] = lowest_accuracy(correct, task.groups[rows], smallest=1)
    values["last"] = np.arange(len(correct))
    return values


def lowest_accuracy(correct, groups, smallest=SMALLEST):
    """Lowest accuracy of each head over the groups of at least so many rows."""
    large = [group for group, rows in enumerate(np.bincount(groups)) if rows >= smallest]
    return np.stack([correct[:, groups == group].mean(axis=1) for group in large]).min(axis=0)


def measure_task(name, original, draw):
    """Yield name of the task, method, and test (worst group, average) in per cent by criterion."""
    both = replace(original, splits=np.where(original.splits == TEST, VAL, original.splits))
    experiment = Experiment(prepare(both), resolve_precision(Settings()), draw)
    rows = both.rows("val")
    test = original.splits[rows] == TEST
    inferred = inferred_groups(experiment, rows, ~test, draw)
    named = name_attributes(both, rows, draw)
    for method, key in METHODS.items():
        correct = np.asarray(fit(key, experiment).val_correct)
        found = {
            "worst": lowest_accuracy(correct[:, test], both.groups[rows][test], smallest=1),
            "average": correct[:, test].mean(axis=1),
        }
        for val_name, mask in validation_rows(original, name, draw).items():
            chosen = mask[rows]
            values = measure_criteria(
                correct[:, chosen],
                both,
                rows[chosen],
                {source: groups[chosen] for source, groups in inferred.items()},
                {source: groups[chosen] for source, groups in named.items()},
            )
            values["best head, chosen on test"] = found["worst"]
            heads = {criterion: value.argmax() for criterion, value in values.items()}
            yield (
                val_name,
                method,
                {
                    criterion: (100 * found["worst"][head], 100 * found["average"][head])
                    for criterion, head in heads.items()
                },
            )


def print_tables(values, draws):
    """Print accuracies and differences of each method."""
    tasks = list(values)
    print(f"\n{draws} draws", flush=True)
    for method in METHODS:
        criteria = list(values[tasks[0]][method])
        print_table(
            (f"{method}, selected by", *tasks),
            [(each, *(cell(values[task][method][each]) for task in tasks)) for each in criteria],
        )
        print_table(
            (f"{method}, minus {REFERENCE}", *tasks),
            [
                (
                    each,
                    *(
                        difference_cell(values[task][method][REFERENCE], values[task][method][each])
                        for task in tasks
                    ),
                )
                for each in criteria
            ],
        )


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("caches", nargs="*", type=Path)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--json", type=Path, help="file for the accuracies of all draws")
    parser.add_argument("--worlds", action="store_true", help="worlds of import --synthetic")
    options = parser.parse_args()
    caches = {path.stem: Task.from_cache(read_cache(path)) for path in options.caches}
    values = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for draw in range(options.draws):
        tasks = worlds_of_draw(draw) if options.worlds else tasks_of_draw(caches, draw)
        for name, task in tasks.items():
            for val_name, method, found in measure_task(name, task, draw):
                for criterion, accuracies in found.items():
                    values[val_name][method][criterion].append(accuracies)
            print(f"draw {draw}: {name}", file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(values), encoding="utf-8")
    print_tables(values, options.draws)


if __name__ == "__main__":
    main()
