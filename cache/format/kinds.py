"""The kinds of HDF5 files that this package writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FileKind:
    """A kind of HDF5 file, which its root attributes `format` and `version` name.

    Attributes:
        format: value of the root attribute `format`.
        version: newest version that is read, and the one that is written.
        noun: name of the kind in messages.
        commands: the commands that write such files, for messages.
    """

    format: str
    version: int
    noun: str
    commands: str


CACHE = FileKind("clip-cfr-cache", 1, "feature cache", "extract or import")
WORDS = FileKind("clip-cfr-words", 1, "words file", "words")
