"""Recommend a head, with its gain over a reference and whether the gain is beyond noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from clip_cfr.calibrate.comparison.resampling import Tally, criterion, interval, resample
from clip_cfr.calibrate.comparison.titles import method_title
from clip_cfr.calibrate.core.metrics import Predictions
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import GROUP_LABELS

# Another method must beat this one by more than noise to be recommended.
REFERENCE = "erm"


@dataclass(frozen=True)
class Recommendation:
    """The method to use.

    Attributes:
        method: its name.
        criterion: the validation criterion by which methods are compared.
        margin: value of `method` minus value of `over`, in [-1, 1], the mean over seeds; negative
            if the reference is recommended although the other method is better within noise.
        interval: 95 % bootstrap interval of the margin.
        over: the method that it is compared with.
        reason: one sentence, without a final period, that justifies the recommendation.
    """

    method: str
    criterion: str
    margin: float
    interval: tuple[float, float]
    over: str
    reason: str


def list_candidates(methods: Sequence[str]) -> list[str]:
    """Return the methods that use no group labels, in their order; only these are recommended."""
    return [name for name in methods if GROUP_LABELS[name] == "none"]


def recommend(
    rng: np.random.Generator,
    task: Task,
    predictions: Mapping[str, Sequence[Predictions]],
    selection: str,
    class_embeddings: str = "prompts",
) -> Recommendation | None:
    """Recommend a method, or return None if fewer than two can be compared.

    The reference is ERM, or the first method if ERM is missing. The best other method by the
    criterion is recommended if the 95 % interval of its gain over the reference is above 0;
    otherwise the reference is.

    Args:
        rng: for the bootstrap.
        task: the task of the predictions.
        predictions: predictions of each candidate on the validation split, one for each seed; all
            of the same rows and with equally many seeds.
        selection: the criterion; `last` is judged by worst-class accuracy.
        class_embeddings: source of the class embeddings, which determines the title of zero-shot.
    """
    if len(predictions) < 2:
        return None
    point, samples = criterion_values(rng, task, predictions, selection)
    reference = REFERENCE if REFERENCE in predictions else next(iter(predictions))
    best = max((name for name in predictions if name != reference), key=lambda name: point[name])
    gain = interval(samples[best] - samples[reference])
    method, over = (best, reference) if gain[0] > 0 else (reference, best)
    margin = point[method] - point[over]
    bounds = interval(samples[method] - samples[over])
    judged_by = "worst-class" if selection == "last" else selection
    titles = [method_title(name, class_embeddings) for name in (best, reference)]
    reason = explain(*titles, judged_by, margin if method == best else -margin, bounds)
    return Recommendation(method, judged_by, margin, bounds, over, reason)


def explain(
    best: str, reference: str, judged_by: str, gain: float, bounds: tuple[float, float]
) -> str:
    """Return the sentence that justifies a recommendation, without a final period.

    For example, `CFR is 3.1 points above ERM in validation worst-class accuracy (95 % interval +1.0
    to +5.2), which is beyond noise`. The interval is that of the difference in the sentence.

    Args:
        best, reference: titles of the best other method and of the reference.
        judged_by: the criterion.
        gain: value of `best` minus value of `reference`, in [-1, 1].
        bounds: 95 % interval of the recommended method's value minus the other's.
    """
    oracle = " (an oracle: it uses the group labels)" if judged_by == "worst-group" else ""
    measure = f"validation {judged_by} accuracy{oracle}"
    if round(gain, 4) == 0:
        return f"{best}, the best other method, has the same {measure} as {reference}"
    beyond = bounds[0] > 0
    if gain < 0:
        order = f"{reference} is {{}} points above {best}, the best other method,"
    elif beyond:
        order = f"{best} is {{}} points above {reference}"
    else:
        order = f"{best}, the best other method, is {{}} points above {reference}"
    low, high = sorted(bounds if (gain < 0 or beyond) else (-bounds[1], -bounds[0]))
    return (
        f"{order.format(f'{100 * abs(gain):.1f}')} in {measure} (95 % interval {100 * low:+.1f} "
        f"to {100 * high:+.1f}), which is {'beyond' if beyond else 'within'} noise"
    )


def criterion_values(
    rng: np.random.Generator,
    task: Task,
    predictions: Mapping[str, Sequence[Predictions]],
    selection: str,
) -> tuple[dict[str, float], dict[str, Float[np.ndarray, " samples"]]]:
    """Return the criterion of each method and its bootstrap samples, both as means over seeds.

    All methods and seeds are evaluated on the same bootstrap samples, so differences are paired.
    Arguments are those of `recommend`.

    Returns:
        The value in [0, 1] by method, and the values on `SAMPLES` samples by method.
    """
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
