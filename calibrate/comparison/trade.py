"""How a head trades ERM's errors against its right answers on the validation split.

Where val shares the correlation of train, no accuracy on val tells whether a repair is worth it: it
depends on the images that the model will see. The numbers of mended errors and of lost right
answers are what val can tell.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Int

from clip_cfr.calibrate.comparison.intervals import TAIL, lower_bound, tally_cells, upper_bound
from clip_cfr.calibrate.core.task import Task

Interval = tuple[float, float]
# Largest share of the reference's right answers that an offered method may lose.
MOST_LOST = 0.25


@dataclass(frozen=True)
class Share:
    """A number of rows out of some.

    Attributes:
        hits, rows: the numbers.
        interval: 95 % interval of their ratio, in [0, 1].
    """

    hits: int
    rows: int
    interval: Interval


@dataclass(frozen=True)
class ClassTrade:
    """The trade in one class: errors mended, out of all, and right answers lost, out of all."""

    label: str
    mended: int
    errors: int
    lost: int
    right: int


@dataclass(frozen=True)
class Trade:
    """What a method changes about the reference's answers on the validation split.

    Attributes:
        method, over: the method and the reference.
        mended: errors of the reference that the method gets right.
        lost: right answers of the reference that the method gets wrong.
        classes: the same for each class with rows, without intervals.
    """

    method: str
    over: str
    mended: Share
    lost: Share
    classes: tuple[ClassTrade, ...]

    @property
    def is_offered(self) -> bool:
        """Whether the method mends a larger share of errors than it loses, and loses few answers.

        A method that loses more than `MOST_LOST` of the right answers is no repair.
        """
        mends, loses = (each.hits / each.rows for each in (self.mended, self.lost))
        return loses < mends and loses <= MOST_LOST

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, in JSON types."""
        values = asdict(self)
        for name in ("mended", "lost"):
            values[name]["interval"] = list(values[name]["interval"])
        return {**values, "classes": list(values["classes"])}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the trade that `to_json` wrote; raise KeyError or TypeError for anything else."""
        shares = {
            name: Share(**{**values[name], "interval": tuple(values[name]["interval"])})
            for name in ("mended", "lost")
        }
        classes = tuple(ClassTrade(**each) for each in values["classes"])
        return cls(values["method"], values["over"], **shares, classes=classes)

    def describe(self, title: str, reference: str) -> str:
        """Return the trade as two sentences: which head to use when, and the numbers.

        Args:
            title, reference: titles of the method and of the reference.
        """
        mended, lost = self.mended, self.lost
        classes = "; ".join(
            f"{each.label!r} {each.mended} of {each.errors} and {each.lost} of {each.right}"
            for each in self.classes
        )
        return (
            f"Use {title} (--method {self.method} of predict and export) if you expect that the "
            "correlations of the training images do not hold where you deploy it, otherwise "
            f"{reference}, their default. With each half of val judged by the heads that the other "
            f"half selects, {title} mends {mended.hits} of the {mended.rows} errors of {reference} "
            f"({format_interval(mended.interval)}) and loses {lost.hits} of its {lost.rows} right "
            f"answers ({format_interval(lost.interval)}); by class: {classes}."
        )


def format_interval(interval: Interval) -> str:
    """Return a 95 % interval in per cent."""
    low, high = (f"{100 * bound:.1f}" for bound in interval)
    return f"95 % interval {low} to {high} %"


def measure_trade(
    task: Task,
    method: str,
    over: str,
    ours: Bool[np.ndarray, " val"],
    theirs: Bool[np.ndarray, " val"],
) -> Trade | None:
    """Return what a method changes; None if the reference is right, or wrong, about all rows.

    Args:
        task: the task; its subjects are the independent units if it has them.
        method, over: names of the method and of the reference.
        ours, theirs: whether each is right about each row of the validation split.
    """
    rows = task.rows("val")
    if theirs.all() or not theirs.any():
        return None
    subjects = None if task.subjects is None else task.subjects[rows]
    changed = tally_cells(ours != theirs, theirs.astype(np.int64), subjects, 2)
    low, high = (bound(changed, TAIL) for bound in (lower_bound, upper_bound))
    mended, lost = (
        Share(
            int((ours != theirs)[theirs == cell].sum()),
            int((theirs == cell).sum()),
            (float(low[cell]), float(high[cell])),
        )
        for cell in (0, 1)
    )
    classes = count_by_class(task, task.labels[rows], ours, theirs)
    return Trade(method, over, mended, lost, classes)


def count_by_class(
    task: Task,
    labels: Int[np.ndarray, " val"],
    ours: Bool[np.ndarray, " val"],
    theirs: Bool[np.ndarray, " val"],
) -> tuple[ClassTrade, ...]:
    """Return the trade in each class that has rows."""
    return tuple(
        ClassTrade(
            label=task.class_names[label],
            mended=int((ours & ~theirs)[labels == label].sum()),
            errors=int((~theirs)[labels == label].sum()),
            lost=int((theirs & ~ours)[labels == label].sum()),
            right=int(theirs[labels == label].sum()),
        )
        for label in np.unique(labels)
    )
