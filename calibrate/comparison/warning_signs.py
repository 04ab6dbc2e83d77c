"""Warn of signs of failure; each check returns a sentence or None."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from clip_cfr.cache.class_order import check_class_order, predict_zero_shot, sample_rows
from clip_cfr.cache.wording import agree, count_noun
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.core.calibration_set import CalibrationSet
from clip_cfr.calibrate.core.metrics import SplitMetrics
from clip_cfr.calibrate.core.task import SPLITS, Task

SMALL_SET = 32
SAME_MIX = 0.1
AVERAGE_DROP = 0.05
OVERFIT_DROP = 0.05
NAMED_GROUPS = 6
NO_ATTRIBUTE = (
    "the images have no attribute, so accuracies are by class only; name one in words with "
    "--attribute (the command explain suggests words)"
)


History = Mapping[str, np.ndarray]


def check_gain(cfr: SplitMetrics, erm: SplitMetrics) -> str | None:
    """Return a warning if CFR's worst-group accuracy is not above ERM's, else None.

    Without attributes a group is a class, and the warning says so.

    Args:
        cfr, erm: validation metrics of both; also in `check_average`.
    """
    ours, theirs = cfr.worst_group, erm.worst_group
    if ours > theirs:
        return None
    kind = "group" if len({each.attribute for each in cfr.groups}) > 1 else "class"
    return (
        f"CFR's worst-{kind} accuracy on val ({format_per_cent(ours)} %) is not above ERM's "
        f"({format_per_cent(theirs)} %): recalibration does not reach the spurious feature"
    )


def check_average(cfr: SplitMetrics, erm: SplitMetrics) -> str | None:
    """Return a warning of over-correction, or None.

    CFR's average accuracy is then more than `AVERAGE_DROP` below ERM's.
    """
    ours, theirs = cfr.average, erm.average
    if ours >= theirs - AVERAGE_DROP:
        return None
    return (
        f"CFR's average accuracy on val ({format_per_cent(ours)} %) is well below ERM's "
        f"({format_per_cent(theirs)} %): over-correction"
    )


def check_overfitting(history: History, criterion: str) -> str | None:
    """Return a warning if accuracy on the calibration set rises while validation accuracy falls.

    It compares the last evaluation with that of the best validation value of the criterion: since
    then, the latter has fallen by more than `OVERFIT_DROP`, and the former has risen.

    Args:
        history: training log of CFR with the columns `step`, `calibration_accuracy` and
            `val CRITERION`.
        criterion: one of `CRITERIA`, such as `inferred-groups`.

    Returns:
        The warning, or None.
    """
    on_set, on_val = history["calibration_accuracy"], history[f"val {criterion}"]
    best = int(on_val.argmax())
    if on_set[-1] <= on_set[best] or on_val[-1] >= on_val[best] - OVERFIT_DROP:
        return None
    step = int(history["step"][best])
    return (
        f"after step {step} accuracy on minibatches of the calibration set rose from "
        f"{format_per_cent(on_set[best])} % to {format_per_cent(on_set[-1])} % while val "
        f"{criterion} fell from {format_per_cent(on_val[best])} % to "
        f"{format_per_cent(on_val[-1])} %: over-fitting the calibration set"
    )


def check_size(chosen: CalibrationSet) -> str | None:
    """Return a warning about the size of a calibration set, or None.

    It has fewer than `SMALL_SET` rows, or consists of the rows of smallest margin (`fallback`).
    """
    if chosen.fallback:
        return (
            f"the source head misclassifies too few rows: the {len(chosen.rows)} training rows of "
            "smallest margin are the calibration set"
        )
    if len(chosen.rows) >= SMALL_SET:
        return None
    return (
        f"the calibration set is nearly empty ({len(chosen.rows)} rows): CFR relies on few images"
    )


def check_classes(task: Task, chosen: CalibrationSet) -> str | None:
    """Return a warning if all rows of the calibration set belong to one class, else None."""
    present = np.unique(task.labels[chosen.rows])
    if len(present) > 1:
        return None
    name = task.class_names[present[0]]
    return f"the calibration set holds only class {name!r}: it cannot help the others"


def check_group_mix(task: Task, chosen: CalibrationSet) -> str | None:
    """Return a warning if groups are about as frequent in the calibration set as in train, or None.

    The total variation distance of both distributions over the groups is then below `SAME_MIX`.
    Always None with fewer than two attributes.
    """
    if len(task.attribute_names) < 2:
        return None
    mixes = [group_mix(task, rows) for rows in (chosen.rows, task.rows("train"))]
    distance = np.abs(mixes[0] - mixes[1]).sum() / 2
    if distance >= SAME_MIX:
        return None
    return (
        "the calibration set has the same group mix as the training split "
        f"(total variation {distance:.2f}): it cannot shift attention between groups"
    )


def group_mix(task: Task, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " groups"]:
    """Return the fraction of the given rows that is in each group; the sum is 1."""
    return np.bincount(task.groups[rows], minlength=task.num_groups) / len(rows)


def task_warnings(task: Task, is_shared: bool = False) -> list[str]:
    """Return warnings about a task, as sentences without a final period.

    They are about a missing attribute (neither labelled nor named in words), empty groups of each
    split, the order of the class embeddings (`check_zero_shot`) and unreadable images. The list may
    be empty.

    Args:
        task: the task.
        is_shared: whether a warning of a val that shares the correlations of train has said already
            that an attribute should be named.
    """
    found = []
    if len(task.attribute_names) < 2 and not task.named and not is_shared:
        found.append(NO_ATTRIBUTE)
    for split in SPLITS:
        empty = np.flatnonzero(task.group_counts(split) == 0)
        if len(empty):
            found.append(
                f"no rows in {split} of {group_names(task, empty)}: not counted in any group metric"
            )
    order = check_zero_shot(task)
    if order:
        found.append(order)
    unreadable = int((~task.valid).sum())
    if unreadable:
        images = count_noun(unreadable, "image")
        verb = agree(unreadable, "is", "are")
        found.append(f"{images} could not be read at extraction and {verb} left out")
    return found


def check_zero_shot(task: Task) -> str | None:
    """Return a warning if class embeddings seem to be in another order than the labels, else None.

    It is based on zero-shot predictions of at most 1024 training rows, see `check_class_order`.
    """
    rows = sample_rows(task.rows("train"))
    predictions = predict_zero_shot(
        task.features[rows], task.projection, task.bias, task.class_embeddings
    )
    return check_class_order(predictions, task.labels[rows], task.class_names)


def group_names(task: Task, groups: Int[np.ndarray, " groups"]) -> str:
    """Return the names of groups as text: `(waterbird, land), (landbird, water)`.

    After `NAMED_GROUPS` of them it ends with `and 3 more groups`.
    """
    names = ", ".join("({}, {})".format(*task.group_name(each)) for each in groups[:NAMED_GROUPS])
    more = len(groups) - NAMED_GROUPS
    return names if more <= 0 else f"{names} and {more} more groups"


def calibration_set_warnings(task: Task, chosen: CalibrationSet) -> list[str]:
    """Return the warnings about a calibration set: its size, classes and groups; may be empty."""
    found = (check_size(chosen), check_classes(task, chosen), check_group_mix(task, chosen))
    return [sign for sign in found if sign]


def cfr_warnings(
    cfr: SplitMetrics,
    erm: SplitMetrics,
    history: History,
    criterion: str,
    is_shared: bool = False,
) -> list[str]:
    """Return the warnings about CFR; may be empty.

    Args:
        cfr, erm: validation metrics of both.
        history: training log of CFR.
        criterion: the criterion that selects heads, or worst-class accuracy if none does.
        is_shared: whether val shares the correlations of train, so that it shows no gain.
    """
    gain = None if is_shared else check_gain(cfr, erm)
    found = (gain, check_average(cfr, erm), check_overfitting(history, criterion))
    return [sign for sign in found if sign]
