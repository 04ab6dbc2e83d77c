"""Which head to use, by how much, and whether that is more than noise."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clip_cfr.calibrate.comparison.resampling import Tally, criterion, interval, resample
from clip_cfr.calibrate.core.metrics import Predictions
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import GROUP_LABELS

# What one has without this tool; another method must beat it by more than noise.
REFERENCE = "erm"


@dataclass(frozen=True)
class Recommendation:
    """The head to use.

    Attributes:
        method: its method.
        criterion: the validation criterion that it is chosen by.
        margin: its value less that of `over`, on the validation split, in [-1, 1].
        interval: bootstrap interval of the margin, 95 %.
        over: the method that it is compared with.
        reason: one sentence.
    """

    method: str
    criterion: str
    margin: float
    interval: list[float]
    over: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def candidates(methods: list[str]) -> list[str]:
    """The methods that use no group labels: only they are recommended."""
    return [name for name in methods if GROUP_LABELS[name] == "none"]


def recommend(
    rng: np.random.Generator,
    task: Task,
    predictions: dict[str, list[Predictions]],
    selection: str,
) -> Recommendation | None:
    """The recommendation, or None where there are no two methods to choose from.

    The best method by the criterion is recommended if it beats the reference (ERM where it took
    part) by more than noise, otherwise the reference is.

    Args:
        rng: for the bootstrap.
        predictions: of each candidate on the validation split, one for each seed.
        selection: the criterion; `last` is judged by worst-class accuracy.
    """
    names = list(predictions)
    if len(names) < 2:
        return None
    point, samples = criterion_values(rng, task, predictions, selection)
    reference = REFERENCE if REFERENCE in names else names[0]
    rivals = [name for name in names if name != reference]
    best = max(rivals, key=lambda name: point[name])
    gain_interval = interval(samples[best] - samples[reference])
    measure = "worst-class" if selection == "last" else selection
    if gain_interval[0] > 0:
        reason = f"{best} beats {reference} on the validation split by more than noise"
        gain = point[best] - point[reference]
        return Recommendation(best, measure, gain, gain_interval, reference, reason)
    loss, loss_interval = (
        point[reference] - point[best],
        interval(samples[reference] - samples[best]),
    )
    reason = f"no method beats {reference} on the validation split by more than noise"
    return Recommendation(reference, measure, loss, loss_interval, best, reason)


def criterion_values(rng, task: Task, predictions, selection: str):
    """Value of the criterion for each method, and its bootstrap samples; means over seeds."""
    names = list(predictions)
    columns = [each.correct(task) for name in names for each in predictions[name]]
    rows = predictions[names[0]][0].rows
    groups = task.groups[rows]
    subjects = None if task.subjects is None else task.subjects[rows]
    sizes = task.num_classes, len(task.attribute_names)
    tally = resample(rng, np.stack(columns), groups, subjects, task.num_groups)
    samples = criterion(selection, tally, *sizes).reshape(
        -1, len(names), len(predictions[names[0]])
    )
    hits = np.stack([np.bincount(groups, weights=c, minlength=task.num_groups) for c in columns])
    counts = np.bincount(groups, minlength=task.num_groups)[None].astype(float)
    point = criterion(selection, Tally(hits, counts), *sizes).reshape(len(names), -1)
    return (
        {name: float(values.mean()) for name, values in zip(names, point, strict=True)},
        {name: samples[:, i].mean(axis=1) for i, name in enumerate(names)},
    )
