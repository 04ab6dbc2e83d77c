"""Names of members of a tar archive: the key of their sample, and their ending."""

import posixpath
import re

from clip_cfr.extract.datasets.common.folders import LEFTOVERS

# Starts of paths that lead out of the folder into which an archive is unpacked.
CLIMBING = re.compile(r"\A(?:(?:/|\.\./)+|\.\.\Z)")


def normalize_name(name: str) -> str:
    """Return a path in its shortest form, without a start that leads out of the archive.

    For example `a/b.jpg` for `./a//b.jpg` and for `../a/b.jpg`. Bytes that are not UTF-8, which
    tarfile reads as surrogates, become backslash escapes.
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return CLIMBING.sub("", posixpath.normpath(text), count=1)


def is_climbing(name: str) -> bool:
    """Return whether a path leads out of the archive: it is absolute or begins with `..`."""
    return CLIMBING.match(posixpath.normpath(name)) is not None


def is_leftover(name: str) -> bool:
    """Return whether a part of a path is hidden (`.a`), or left by a system (`__MACOSX`)."""
    return any(LEFTOVERS.match(part) for part in name.split("/"))


def split_name(name: str) -> tuple[str, str]:
    """Return the key of a path, up to the first dot of its last part, and the ending after it.

    For example (`a/000012`, `seg.png`) for `a/000012.seg.png`. The ending is empty without a dot.
    """
    folder, base = posixpath.split(name)
    stem, _, ending = base.partition(".")
    return posixpath.join(folder, stem), ending
