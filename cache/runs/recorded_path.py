"""Find files and folders that a run or a cache recorded by their path."""

import os
from collections.abc import Iterator
from pathlib import Path


def find_recorded(name: str, *near: Path) -> Iterator[Path]:
    """Yield the existing paths that a recorded path may stand for, each once.

    First the path as it was recorded, which may be relative to the working directory; then the path
    relative to each folder of `near` and to the folders above it, from the inside out.

    Args:
        name: the recorded path; a `~` at its start is expanded.
        near: files and folders that moved together with it, such as the run folder.
    """
    path = Path(os.path.expanduser(name))
    above = [base for each in near for base in (each.absolute(), *each.absolute().parents)]
    for candidate in dict.fromkeys(base / path for base in (Path(), *above)):
        if os.path.exists(candidate):
            yield candidate
