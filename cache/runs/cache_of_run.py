"""The cache that a run was calibrated on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.cache.runs.run import Run


def find_cache_of_run(directory: Path, run: Run, cache: str | Path | None) -> Path:
    """Return the path of the cache of a run, after comparing its digest with that of the run.

    Args:
        directory: the run folder, for messages.
        run: its contents.
        cache: where the cache is now; by default as named in the run.

    Raises:
        CacheError: it is missing or damaged, or has other contents than at the time of the run.
    """
    path = Path(cache or run.config["cache"])
    if cache is None and not path.exists():
        raise CacheError(
            f"{path}: the cache of the run {directory} is not there; name it with --cache"
        )
    expected, found = run.provenance["cache_sha256"], content_digest(path)
    if found != expected:
        raise CacheError(
            f"{path}: expected the cache of the run {directory}, with the digest {expected}, "
            f"found {found}; name the right one with --cache, or calibrate again"
        )
    return path


@contextmanager
def open_cache_of_run(
    directory: Path, run: Run, cache: str | Path | None
) -> Iterator[FeatureCache]:
    """Yield the cache of a run, with its features on disk.

    Arguments and errors are those of `find_cache_of_run`.
    """
    with open_cache(find_cache_of_run(directory, run, cache)) as opened:
        yield opened
