"""Find the cache of a run by its digest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.info import content_digest

LEVELS = 4


@dataclass(frozen=True)
class Located:
    """The cache of a run.

    Attributes:
        path: the file; None if it was not found.
        reason: why it was not found, as a sentence; empty if it was.
    """

    path: Path | None
    reason: str = ""


def locate_cache(directory: Path, name: str, digest: str, given: Sequence[Path]) -> Located:
    """Return the cache whose contents have a digest.

    Looked at are the given files, then the path in the run's configuration, relative to the current
    folder and to the folders above the run.

    Args:
        directory: the run folder.
        name: path of the cache in the configuration of the run.
        digest: hex SHA-256 of the contents, as the run recorded it.
        given: files that the user names; each must be a cache, but may belong to another run.

    Raises:
        CacheError: a given file is no cache.
    """
    for path in given:
        if content_digest(path) == digest:
            return Located(path)
    other = None
    for path in dict.fromkeys(candidates(directory, name)):
        found = digest_or_error(path)
        if found == digest:
            return Located(path)
        other = other or f"{path} {found if ' ' in found else 'has other contents than then'}"
    reason = other or f"{name} was not found"
    return Located(None, f"The cache of this run is not at hand: {reason}; name it with --cache.")


def candidates(directory: Path, name: str) -> Iterator[Path]:
    """Yield the existing files at the path of a cache, relative to several folders."""
    folder = directory.absolute()
    for base in (Path(), *[folder, *folder.parents][:LEVELS]):
        for path in (base / name, base / Path(name).name):
            if path.is_file():
                yield path


def digest_or_error(path: Path) -> str:
    """Return the digest of a cache; of a file that is none, a phrase with spaces about it."""
    try:
        return content_digest(path)
    except CacheError:
        return "cannot be read as a cache"
