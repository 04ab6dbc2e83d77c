"""Which pictures the digits data set has: of which digits, in which split and colour."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from clip_cfr.extract.datasets.digits.rendering import division

COLOUR_NAMES = ("red", "green")


@dataclass(frozen=True)
class Picture:
    """One picture of a handwritten digit.

    Attributes:
        split: `train`, `val` or `test`.
        number: the digit, 0 to 9.
        subject: its index among scikit-learn's digits.
        rendering: counts the pictures of a subject.
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
        """Path relative to the root."""
        return f"{self.split}/{self.number}/{self.subject:04d}-{self.rendering}.png"


@dataclass(frozen=True)
class Part:
    """A split, with as much of each number from 0 to 9.

    Attributes:
        split: its name.
        num_subjects: digits of each number.
        num_renderings: pictures of each digit.
        num_disagreeing: pictures of each number that have the other class's colour.
    """

    split: str
    num_subjects: int
    num_renderings: int
    num_disagreeing: int

    def disagrees(self) -> Bool[np.ndarray, "subjects renderings"]:
        """Which pictures have the other class's colour, spread evenly over the digits."""
        order = np.arange(self.num_subjects * self.num_renderings)
        return (order < self.num_disagreeing).reshape(self.num_renderings, self.num_subjects).T


# Several pictures of each digit make test groups of 250 rows out of few enough digits to leave
# nearly half of all to the tiny CLIP. A training row stands for a digit of its own.
PARTS = (
    Part("train", num_subjects=60, num_renderings=1, num_disagreeing=3),
    Part("val", num_subjects=12, num_renderings=4, num_disagreeing=24),
    Part("test", num_subjects=25, num_renderings=4, num_disagreeing=50),
)


def plan(rng: np.random.RandomState) -> list[Picture]:
    """All pictures, split after split; `rng` deals the held-out digits to the splits."""
    cuts = np.cumsum([part.num_subjects for part in PARTS])[:-1]
    dealt = [np.split(rng.permutation(digits), cuts) for digits in division().held_out]
    return [
        picture
        for index, part in enumerate(PARTS)
        for number in range(10)
        for picture in pictures(part, number, dealt[number][index])
    ]


def pictures(
    part: Part, number: int, subjects: Int64[np.ndarray, " subjects"]
) -> Iterator[Picture]:
    """The pictures of one number in a split."""
    label = int(number >= 5)
    for (subject, rendering), disagrees in np.ndenumerate(part.disagrees()):
        attribute = 1 - label if disagrees else label
        yield Picture(part.split, number, int(subjects[subject]), rendering, label, attribute)
