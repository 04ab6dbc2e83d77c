"""Recommend a head, with its gain over a reference and whether the gain is beyond noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from clip_cfr.calibrate.comparison.differences import TAIL, compare_on
from clip_cfr.calibrate.comparison.titles import method_title
from clip_cfr.calibrate.core.named_groups import count_large
from clip_cfr.calibrate.core.settings import WORST_NAMED_GROUP
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import load_method

# Another method must beat this one by more than noise to be recommended.
REFERENCE = "erm"
# Remarks on criteria, in the reason of a recommendation.
REMARKS = {
    "worst-group": " (an oracle: it uses the group labels)",
    WORST_NAMED_GROUP: " (over groups named in words)",
}


@dataclass(frozen=True)
class Recommendation:
    """The method to use.

    All values are those of heads on validation rows that did not select them, see `cross_fit`.

    Attributes:
        method: its name.
        criterion: the validation criterion by which methods are compared.
        margin: value of `method` minus value of `over`, in [-1, 1]; negative if the reference is
            recommended although the other method is better within noise. The accuracy of a class or
            group is its mean over seeds.
        interval: 95 % interval of the margin, simultaneous for all methods that are compared with
            the reference.
        over: the method that it is compared with.
        reason: one sentence, without a final period, that justifies the recommendation.
        average_margin: average accuracy of `method` minus that of `over`; None if a run of an older
            version has none.
        average_interval: 95 % interval of `average_margin`.
    """

    method: str
    criterion: str
    margin: float
    interval: tuple[float, float]
    over: str
    reason: str
    average_margin: float | None = None
    average_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Gain:
    """A difference of two methods, with its 95 % interval, in [-1, 1]."""

    margin: float
    low: float
    high: float

    @property
    def is_beyond_noise(self) -> bool:
        return self.low > 0 or self.high < 0

    def reversed(self) -> "Gain":
        """Return the difference in the other direction."""
        return Gain(0.0 - self.margin, 0.0 - self.high, 0.0 - self.low)


def list_candidates(methods: Sequence[str]) -> list[str]:
    """Return the methods that use no group labels, in their order; only these are recommended."""
    return [name for name in methods if load_method(name).group_labels == "none"]


def recommend(
    task: Task,
    correct: Mapping[str, Bool[np.ndarray, "seeds val"]],
    selection: str,
    class_embeddings: str = "prompts",
) -> Recommendation | None:
    """Recommend a method, or return None if fewer than two can be compared.

    The reference is ERM, or the first method if ERM is missing. Of the other methods, one is
    recommended if the interval of its gain over the reference is above 0: by the criterion, or in
    average accuracy while it is not below the reference by the criterion. Otherwise the reference
    is. If all methods are equally good, another one than the reference is recommended with at most
    2.5 % probability, whatever their number.

    Args:
        task: the task.
        correct: whether each candidate is right about each row of the validation split, one head
            for each seed, judged on rows that did not select it; all with the same seeds.
        selection: the criterion; `last` and `inferred-groups`, which is not an accuracy over rows
            that are alike, are judged by worst-class accuracy; so is `worst-named-group` with
            several named attributes, as a row is then in several groups.
        class_embeddings: source of the class embeddings, which determines the title of zero-shot.
    """
    if len(correct) < 2:
        return None
    reference = REFERENCE if REFERENCE in correct else next(iter(correct))
    judged_by = judging_criterion(task, selection)
    rivals = [name for name in correct if name != reference]
    # A rival wins by either of two differences, or by one if the criterion is the average.
    tail = TAIL / len(rivals) / (1 if judged_by == "average" else 2)
    gains, averages = (
        {
            name: measure_gain(task, correct[name], correct[reference], measure, tail)
            for name in rivals
        }
        for measure in (judged_by, "average")
    )
    best = max(rivals, key=lambda name: (wins(gains[name], averages[name]), gains[name].margin))
    gain, average = gains[best], averages[best]
    won = wins(gain, average)
    shown, shown_average = (each if won else each.reversed() for each in (gain, average))
    titles = [method_title(name, class_embeddings) for name in (best, reference)]
    reason = explain(*titles, judged_by, gain, won)
    if judged_by != "average":
        reason += explain_average(*titles, average, titles[0] if won else titles[1], won)
    return Recommendation(
        method=best if won else reference,
        criterion=judged_by,
        margin=shown.margin,
        interval=(shown.low, shown.high),
        over=reference if won else best,
        reason=reason,
        average_margin=shown_average.margin,
        average_interval=(shown_average.low, shown_average.high),
    )


def judging_criterion(task: Task, selection: str) -> str:
    """Return the criterion that compares methods: the selection's own, or worst-class accuracy."""
    indirect = selection in ("last", "inferred-groups")
    several = selection == WORST_NAMED_GROUP and len(task.named) != 1
    return "worst-class" if indirect or several else selection


def wins(gain: Gain, average: Gain) -> bool:
    """Return whether a method is better than the reference beyond noise.

    Args:
        gain: its gain by the criterion.
        average: its gain in average accuracy, which counts if the criterion does not contradict.
    """
    return gain.low > 0 or (average.low > 0 and gain.margin >= 0)


def measure_gain(
    task: Task,
    first: Bool[np.ndarray, "seeds val"],
    second: Bool[np.ndarray, "seeds val"],
    criterion: str,
    tail: float,
) -> Gain:
    """Return how much better the first method is than the second on the validation split.

    Args:
        task: the task.
        first, second: whether each method is right about each row, for each seed.
        criterion: `worst-class`, `worst-group`, `worst-named-group` or `average`.
        tail: probability that each bound of the interval is wrong.
    """
    chosen = np.ones(first.shape[1], bool)
    if criterion == WORST_NAMED_GROUP:
        chosen = in_large_group(task)
    rows = task.rows("val")[chosen]
    difference = compare_on(task, rows, first[:, chosen], second[:, chosen], criterion)
    return Gain(difference.margin, *difference.interval(tail))


def in_large_group(task: Task) -> Bool[np.ndarray, " val"]:
    """Return whether each validation row is in a named group that counts; of one attribute."""
    cells = task.named_cells[task.rows("val")]
    return count_large(cells, task.num_named_cells)[cells[:, 0]] > 0


def explain(best: str, reference: str, judged_by: str, gain: Gain, won: bool) -> str:
    """Return the sentence that compares two methods by the criterion, without a final period.

    For example, `CFR is 3.1 points above ERM in validation worst-class accuracy (95 % interval +1.0
    to +5.2), which is beyond noise`. The interval is that of the difference in the sentence.

    Args:
        best, reference: titles of the best other method and of the reference.
        judged_by: the criterion.
        gain: value of `best` minus value of `reference`.
        won: whether `best` is recommended.
    """
    measure = f"validation {judged_by} accuracy{REMARKS.get(judged_by, '')}"
    if round(gain.margin, 4) == 0:
        return f"{best}, the best other method, has the same {measure} as {reference}"
    if gain.margin < 0:
        order = f"{reference} is {{}} points above {best}, the best other method,"
        gain = gain.reversed()
    elif won:
        order = f"{best} is {{}} points above {reference}"
    else:
        order = f"{best}, the best other method, is {{}} points above {reference}"
    return f"{order.format(f'{100 * gain.margin:.1f}')} in {measure} {format_noise(gain)}"


def explain_average(best: str, reference: str, gain: Gain, recommended: str, won: bool) -> str:
    """Return the end of the sentence, about average accuracy.

    For example, `; in average accuracy CFR is 2.0 points below ERM (95 % interval -3.1 to -0.9),
    which is beyond noise: CFR costs average accuracy`.

    Args:
        best, reference: titles of the best other method and of the reference.
        gain: average accuracy of `best` minus that of `reference`.
        recommended: title of the recommended method.
        won: whether it is `best`.
    """
    if round(gain.margin, 4) == 0:
        return "; their average accuracy is the same"
    order = "above" if gain.margin > 0 else "below"
    size = f"{100 * abs(gain.margin):.1f}"
    costs = gain.high < 0 if won else gain.low > 0
    return (
        f"; in average accuracy {best} is {size} points {order} {reference} {format_noise(gain)}"
        f"{f': {recommended} costs average accuracy' if costs else ''}"
    )


def format_noise(gain: Gain) -> str:
    """Return the interval in points and whether the difference is beyond noise."""
    return (
        f"(95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}), which is "
        f"{'beyond' if gain.is_beyond_noise else 'within'} noise"
    )
