"""Composition of the data set `digits`: the digit, split and colour of each picture."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from clip_cfr.extract.datasets.digits.handwritten import divide_digits

COLOUR_NAMES = ("red", "green")


@dataclass(frozen=True)
class Picture:
    """One picture of a handwritten digit.

    Attributes:
        split: `train`, `val` or `test`.
        number: the number that it shows, 0 to 9.
        subject: index of the handwritten digit in scikit-learn's data set.
        rendering: index among the pictures of the same subject, from 0.
        label: 0 for zero to four, 1 for five to nine.
        attribute: index into COLOUR_NAMES.
    """

    split: str
    number: int
    subject: int
    rendering: int
    label: int
    attribute: int

    @property
    def filename(self) -> str:
        """Path relative to the root, SPLIT/NUMBER/SUBJECT-RENDERING: `train/0/0010-0.png`."""
        return f"{self.split}/{self.number}/{self.subject:04d}-{self.rendering}.png"


@dataclass(frozen=True)
class SplitPlan:
    """Composition of a split, in which every number from 0 to 9 is equally frequent.

    Attributes:
        split: name of the split.
        num_subjects: handwritten digits of each number.
        num_renderings: pictures of each handwritten digit.
        num_conflicting: pictures of each number that have the colour of the other class.
    """

    split: str
    num_subjects: int
    num_renderings: int
    num_conflicting: int

    def conflicts(self) -> Bool[np.ndarray, "subjects renderings"]:
        """Return which pictures of a number have the other class's colour.

        `num_conflicting` values are True, distributed evenly over the subjects.
        """
        order = np.arange(self.num_subjects * self.num_renderings)
        return (order < self.num_conflicting).reshape(self.num_renderings, self.num_subjects).T


# Several pictures of each subject give test groups of 250 rows and still leave nearly half of all
# handwritten digits to the tiny CLIP. Training pictures each show a subject of their own.
SPLIT_PLANS = (
    SplitPlan("train", num_subjects=60, num_renderings=1, num_conflicting=3),
    SplitPlan("val", num_subjects=12, num_renderings=4, num_conflicting=24),
    SplitPlan("test", num_subjects=25, num_renderings=4, num_conflicting=50),
)


def plan_pictures(rng: np.random.RandomState) -> list[Picture]:
    """Return all pictures, ordered by split and number.

    Args:
        rng: draws which of the held-out digits belong to which split; its state advances.
    """
    cuts = np.cumsum([plan.num_subjects for plan in SPLIT_PLANS])[:-1]
    subjects = [np.split(rng.permutation(digits), cuts) for digits in divide_digits().held_out]
    return [
        picture
        for index, plan in enumerate(SPLIT_PLANS)
        for number in range(10)
        for picture in plan_number(plan, number, subjects[number][index])
    ]


def plan_number(
    plan: SplitPlan, number: int, subjects: Int64[np.ndarray, " subjects"]
) -> Iterator[Picture]:
    """Yield the pictures of one number in a split, ordered by subject and rendering.

    Args:
        plan: composition of the split.
        number: the number, 0 to 9.
        subjects: indices of the handwritten digits that show it.
    """
    label = int(number >= 5)
    for (index, rendering), conflicts in np.ndenumerate(plan.conflicts()):
        yield Picture(
            split=plan.split,
            number=number,
            subject=int(subjects[index]),
            rendering=rendering,
            label=label,
            attribute=1 - label if conflicts else label,
        )
