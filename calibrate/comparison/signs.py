"""Signs of failure that the output names by itself; each function gives a sentence or None."""

from typing import Any

import numpy as np
from jaxtyping import Int

from clip_cfr.calibrate.core.calibration_set import CalibrationSet
from clip_cfr.calibrate.core.task import SPLITS, Task

SMALL_SET = 32
SAME_MIX = 0.1
AVERAGE_DROP = 0.05
OVERFIT_DROP = 0.05
NAMED_GROUPS = 6


def share(value: float) -> str:
    """A share in per cent."""
    return f"{100 * value:.1f} %"


def not_above_erm(cfr: dict[str, Any], erm: dict[str, Any]) -> str | None:
    """Recalibration does not reach the spurious feature."""
    ours, theirs = cfr["worst_group"], erm["worst_group"]
    if ours > theirs:
        return None
    return (
        f"CFR's worst-group accuracy on val ({share(ours)}) is not above ERM's ({share(theirs)}): "
        "recalibration does not reach the spurious feature"
    )


def over_corrected(cfr: dict[str, Any], erm: dict[str, Any]) -> str | None:
    """The average pays for the worst group."""
    ours, theirs = cfr["average"], erm["average"]
    if ours >= theirs - AVERAGE_DROP:
        return None
    return (
        f"CFR's average accuracy on val ({share(ours)}) is well below ERM's ({share(theirs)}): "
        "over-correction"
    )


def overfitted(history: dict[str, np.ndarray]) -> str | None:
    """The calibration set is learnt by heart."""
    on_set, on_val = history["calibration_accuracy"], history["val worst-class"]
    best = int(on_val.argmax())
    if on_set[-1] <= on_set[best] or on_val[-1] >= on_val[best] - OVERFIT_DROP:
        return None
    step = int(history["step"][best])
    return (
        f"after step {step} accuracy on minibatches of the calibration set rose from "
        f"{share(on_set[best])} to {share(on_set[-1])} while val worst-class fell from "
        f"{share(on_val[best])} to {share(on_val[-1])}: over-fitting the calibration set"
    )


def too_small(chosen: CalibrationSet) -> str | None:
    """Hardly anything to learn from."""
    if chosen.fallback:
        return (
            f"the source head gets too few rows wrong: the {len(chosen.rows)} training rows of "
            "smallest margin are the calibration set"
        )
    if len(chosen.rows) >= SMALL_SET:
        return None
    return f"the calibration set is nearly empty ({len(chosen.rows)} rows): CFR rests on few images"


def one_class(task: Task, chosen: CalibrationSet) -> str | None:
    """All errors are of one class."""
    present = np.unique(task.labels[chosen.rows])
    if len(present) > 1:
        return None
    name = task.class_names[present[0]]
    return f"the calibration set holds only class {name!r}: it cannot help the others"


def same_mix(task: Task, chosen: CalibrationSet) -> str | None:
    """The errors are spread over the groups as the training split is."""
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


def group_mix(task: Task, rows: Int[np.ndarray, " rows"]):
    """Share of each group among rows."""
    return np.bincount(task.groups[rows], minlength=task.num_groups) / len(rows)


def of_task(task: Task) -> list[str]:
    """What the data themselves make of the metrics."""
    found = []
    if len(task.attribute_names) < 2:
        found.append("there is one attribute only: a group is a class, worst-group is worst-class")
    for split in SPLITS:
        empty = np.flatnonzero(task.group_counts(split) == 0)
        if len(empty):
            found.append(
                f"no rows in {split} of {group_names(task, empty)}: not counted in any group metric"
            )
    unreadable = int((~task.valid).sum())
    if unreadable:
        found.append(f"{unreadable} rows could not be read at extraction and take part in nothing")
    return found


def group_names(task: Task, groups: Int[np.ndarray, " groups"]) -> str:
    """The first few groups by name, and how many more there are."""
    names = ", ".join("({}, {})".format(*task.group_name(each)) for each in groups[:NAMED_GROUPS])
    more = len(groups) - NAMED_GROUPS
    return names if more <= 0 else f"{names} and {more} more groups"


def of_calibration_set(task: Task, chosen: CalibrationSet) -> list[str]:
    """What the calibration set makes doubtful."""
    found = (too_small(chosen), one_class(task, chosen), same_mix(task, chosen))
    return [sign for sign in found if sign]


def of_cfr(cfr: dict[str, Any], erm: dict[str, Any], history: dict[str, np.ndarray]) -> list[str]:
    """What the validation metrics and the log of CFR make doubtful."""
    found = (not_above_erm(cfr, erm), over_corrected(cfr, erm), overfitted(history))
    return [sign for sign in found if sign]
