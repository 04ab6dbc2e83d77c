"""Sums up what methods came to over seeds: means, intervals, recommendation and warnings."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from clip_cfr.calibrate.comparison import signs
from clip_cfr.calibrate.comparison.compare import REPORTED, Outcome, Outcomes
from clip_cfr.calibrate.comparison.recommendation import candidates, recommend
from clip_cfr.calibrate.comparison.resampling import interval, resample, worst
from clip_cfr.calibrate.core.metrics import Predictions
from clip_cfr.calibrate.core.settings import SELECTIONS, Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import GROUP_LABELS


def summarise(
    task: Task, settings: Settings, outcomes: Outcomes, seeds: Sequence[int]
) -> dict[str, Any]:
    """Metrics of every method, calibration set, recommendation and warnings, ready for JSON."""
    selection = settings.selection
    chosen = {
        name: [each.predictions[selection]["val"] for each in outcomes[name]]
        for name in candidates(list(outcomes))
    }
    advice = recommend(np.random.default_rng(seeds[0]), task, chosen, selection)
    return {
        "seed": seeds[0],
        "seeds": list(seeds),
        "selection": selection,
        "calibration_set": calibration_summary(task, outcomes),
        "methods": {
            name: method_summary(task, name, each, selection) for name, each in outcomes.items()
        },
        "recommendation": None if advice is None else advice.as_dict(),
        "warnings": named_signs(task, outcomes, selection),
    }


def method_summary(task: Task, name: str, outcomes: list[Outcome], selection: str):
    """Means over seeds of the metrics of each selection; those of the chosen one on top."""
    by_selection = {
        each: {split: mean([o.metrics[each][split] for o in outcomes]) for split in REPORTED}
        for each in SELECTIONS
    }
    top = by_selection[selection]
    bounds = worst_group_interval(task, outcomes[0].predictions[selection]["test"])
    steps = [outcome.fitted.selected_steps.get(selection) for outcome in outcomes]
    return {
        "val": top["val"],
        "test": {**top["test"], "worst_group_interval": bounds},
        "by_selection": by_selection,
        "selected_steps": None if None in steps else steps,
        "group_labels": GROUP_LABELS[name],
    }


def worst_group_interval(task: Task, predictions: Predictions) -> list[float]:
    """Bootstrap interval of worst-group accuracy, of the first seed's classifier."""
    rows = predictions.rows
    subjects = None if task.subjects is None else task.subjects[rows]
    correct = predictions.correct(task)[None]
    tally = resample(
        np.random.default_rng(0), correct, task.groups[rows], subjects, task.num_groups
    )
    return interval(worst(tally)[:, 0])


def mean(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean of each number over seeds, with `..._std` beside it where there are several."""
    merged: dict[str, Any] = {}
    for key, first in metrics[0].items():
        values = [each[key] for each in metrics]
        if isinstance(first, list):
            merged[key] = [mean(list(items)) for items in zip(*values, strict=True)]
        elif isinstance(first, float):
            merged[key] = float(np.mean(values))
            if len(values) > 1:
                merged[f"{key}_std"] = float(np.std(values, ddof=1))
        else:
            merged[key] = first
    return merged


def calibration_summary(task: Task, outcomes: Outcomes) -> dict[str, Any] | None:
    """Size and composition of the calibration set, means over seeds; None where CFR took no part.

    Attributes enter here, for the report alone.
    """
    if "cfr" not in outcomes:
        return None
    sets = [outcome.experiment.calibration_set.rows for outcome in outcomes["cfr"]]

    def counts(numbers, length):
        return np.mean([np.bincount(numbers[rows], minlength=length) for rows in sets], axis=0)

    return {
        "size": plain(np.mean([len(rows) for rows in sets])),
        "per_class": [plain(x) for x in counts(task.labels, task.num_classes)],
        "per_group": [plain(x) for x in counts(task.groups, task.num_groups)],
    }


def plain(number: float) -> int | float:
    """A whole number as an int."""
    return int(number) if float(number).is_integer() else float(number)


def named_signs(task: Task, outcomes: Outcomes, selection: str) -> list[str]:
    """The signs of failure of all seeds, each once; a seed is named where there are several."""
    found = signs.of_task(task)
    for number, outcome in enumerate(outcomes.get("cfr", [])):
        several = len(outcomes["cfr"]) > 1
        prefix = f"seed {outcome.experiment.seed}: " if several else ""
        of_seed = signs.of_calibration_set(task, outcome.experiment.calibration_set)
        if "erm" in outcomes:
            erm = outcomes["erm"][number].metrics[selection]["val"]
            cfr = outcome.metrics[selection]["val"]
            of_seed += signs.of_cfr(cfr, erm, outcome.fitted.history)
        found += [prefix + sign for sign in of_seed]
    return found
