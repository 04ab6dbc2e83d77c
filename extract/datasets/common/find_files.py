"""Search for the files and folders of a data set under its root."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from clip_cfr.extract.errors import ExtractError


def find_file(
    root: Path, candidates: Sequence[str], expected: str, given: Path | None = None
) -> Path:
    """Return the given file, or the path of the first candidate that is a file under the root.

    Args:
        root: root folder.
        candidates: paths relative to the root.
        expected: expected content of the root in words, for the message.
        given: file that the user chose; it is returned unchecked.

    Raises:
        ExtractError: the root is not a folder, or contains no candidate and `given` is None.
    """
    require_folder(root, expected)
    path = given or find_first_file(root, candidates)
    if path is None:
        raise ExtractError(
            f"{root} contains none of {', '.join(candidates)}; "
            f"set --root to a folder that contains {expected}"
        )
    return path


def require_folder(root: Path, expected: str) -> None:
    """Raise ExtractError if the root is not an existing folder.

    Args:
        root: root folder.
        expected: its expected content in words, for the message.
    """
    if not root.is_dir():
        found = "is a file and not a folder" if root.exists() else "is not an existing folder"
        raise ExtractError(f"{root} {found}; set --root to a folder that contains {expected}")


def find_first_file(root: Path, candidates: Iterable[str]) -> Path | None:
    """Return the path (root / candidate) of the first candidate that is a file, or None."""
    return next((root / name for name in candidates if (root / name).is_file()), None)
