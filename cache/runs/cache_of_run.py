"""The cache that a run was calibrated on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.cache.runs.recorded_path import find_recorded
from clip_cfr.cache.runs.run import Run


@dataclass(frozen=True)
class Located:
    """The cache of a run.

    Attributes:
        path: the file; None if it was not found.
        reason: why it was not found and what to do, as a phrase that an article precedes; empty if
            it was.
    """

    path: Path | None
    reason: str = ""


def find_cache_of_run(directory: Path, run: Run, cache: str | Path | None) -> Path:
    """Return the path of the cache of a run, which has the digest that the run recorded.

    Args:
        directory: the run folder.
        run: its contents.
        cache: where the cache is now; by default it is searched as in `locate_cache`.

    Raises:
        CacheError: it is missing or damaged, or has other contents than at the time of the run.
    """
    if cache is not None:
        return check_cache_of_run(directory, run, Path(cache))
    located = locate_cache(directory, run)
    if located.path is None:
        raise CacheError(f"{directory}: the {located.reason}")
    return located.path


def check_cache_of_run(directory: Path, run: Run, path: Path) -> Path:
    """Return a path; raise CacheError if it is not that of the cache of a run."""
    expected, found = run.provenance.get("cache_sha256"), content_digest(path)
    if found != expected:
        raise CacheError(
            f"{path}: expected the cache of the run {directory}, with the digest {expected}, "
            f"found {found}; name the right one with --cache, or calibrate again"
        )
    return path


def locate_cache(directory: Path, run: Run, given: Sequence[Path] = ()) -> Located:
    """Return the cache of a run, recognized by the digest of its contents.

    Looked at are the given files, then the path in the configuration of the run as `find_recorded`
    does, and the name of the file alone in the same folders.

    Args:
        directory: the run folder.
        run: its contents.
        given: files that the user names; each must be a cache, but may belong to another run.

    Raises:
        CacheError: a given file is no cache.
    """
    digest, name = run.provenance.get("cache_sha256"), recorded_name(run)
    for path in given:
        if content_digest(path) == digest:
            return Located(path)
    reason = ""
    for path in list_candidates(directory, name):
        difference = find_difference(path, digest)
        if not difference:
            return Located(path)
        reason = reason or difference
    reason = reason or f"{name} was not found"
    return Located(None, f"cache of this run is not at hand: {reason}; name it with --cache")


def recorded_name(run: Run) -> str:
    """Return the path of its cache as a run recorded it."""
    return str(run.config.get("cache", run.metrics.get("cache")))


def list_candidates(directory: Path, name: str) -> list[Path]:
    """Return the existing files that may be the cache of a run, each once."""
    names = dict.fromkeys([name, Path(name).name])
    found = [path for each in names for path in find_recorded(each, directory)]
    return [path for path in dict.fromkeys(found) if path.is_file()]


def find_difference(path: Path, digest: str | None) -> str:
    """Return why a file is not the cache with a digest; empty if it is."""
    try:
        found = content_digest(path)
    except CacheError as error:
        return str(error)
    return "" if found == digest else f"{path} has other contents than at calibration"


@contextmanager
def open_cache_of_run(
    directory: Path, run: Run, cache: str | Path | None
) -> Iterator[FeatureCache]:
    """Yield the cache of a run, with its features on disk.

    Arguments and errors are those of `find_cache_of_run`.
    """
    with open_cache(find_cache_of_run(directory, run, cache)) as opened:
        yield opened
