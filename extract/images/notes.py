"""Observations about readable images: their kinds, and how counts of them are merged."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class NoteKind(Enum):
    """Kinds of observations about a readable image; the value of each is its meaning as text."""

    UNREADABLE_EXIF = "its EXIF data cannot be read, so it is taken as upright"
    DEEP = "it has 16 bits per channel; the value is its largest pixel value"
    CLIPPED = "its pixel values exceed --bit-depth; the value is the largest"
    NO_WINDOW = "a DICOM file without a window, scaled to the range of its own values"


@dataclass(frozen=True)
class Note:
    """An observation about one image, with a value whose meaning depends on the kind.

    Attributes:
        kind: the kind; its text says what the value is.
        value: largest pixel value for `DEEP` and `CLIPPED`, otherwise 0.
    """

    kind: NoteKind
    value: int = 0


@dataclass(frozen=True)
class Tally:
    """The notes of one kind.

    The sum of two tallies counts both sets of images, of which the left one comes first.

    Attributes:
        count: number of images.
        first: name of the first one.
        largest: largest value of a note.
    """

    count: int
    first: str
    largest: int

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.count + other.count, self.first, max(self.largest, other.largest))


Notes = Mapping[NoteKind, Tally]


def merge_notes(notes: Notes, later: Notes) -> Notes:
    """Return the notes of two disjoint sets of images as new tallies by kind.

    Args:
        notes: tallies of the first set by kind.
        later: tallies of the images that come later; they never give the name of the first image of
            a kind that both sets have.
    """
    both = {kind: notes[kind] + later[kind] for kind in notes.keys() & later.keys()}
    return {**notes, **later, **both}
