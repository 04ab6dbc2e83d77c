"""Describe and verify a file of any kind: a cache or a words file."""

from pathlib import Path
from typing import Any

from clip_cfr.cache.format.kinds import WORDS
from clip_cfr.cache.read.hdf5_file import is_of_kind
from clip_cfr.cache.read.info import read_info
from clip_cfr.cache.read.reader import verify_cache
from clip_cfr.cache.words.files import read_word_digests, read_words_info


def read_any_info(path: Path) -> dict[str, Any]:
    """Return `read_words_info` of a words file, and `read_info` of any other file.

    Raises:
        CacheError: the file is missing, unfinished, damaged, or neither a cache nor a words file.
    """
    return read_words_info(path) if is_words_file(path) else read_info(path)


def verify_any(path: Path) -> dict[str, Any]:
    """Recompute all checksums of a cache or a words file, and check every rule of its format.

    Returns:
        The result of `verify --json`, as JSON values: `cache` or `words_file` (the path), `sha256`
        of the contents, of a cache `shard`, and `datasets`: the SHA-256 of each array by its name.

    Raises:
        CacheError: as in `read_any_info`, or for damaged features.
    """
    if is_words_file(path):
        digests, keys = read_word_digests(path), ("words_file", "sha256")
    else:
        digests, keys = verify_cache(path), ("cache", "sha256", "shard")
    found = read_any_info(path)
    return {key: found[key] for key in keys} | {"datasets": digests}


def is_words_file(path: Path) -> bool:
    """Return whether a path is a words file, sound or damaged; false if it cannot be read."""
    try:
        return path.is_file() and is_of_kind(path, WORDS)
    except OSError:
        return False
