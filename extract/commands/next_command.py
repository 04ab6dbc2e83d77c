"""Name the command to run next, on standard error."""

import shlex
from pathlib import Path

from clip_cfr.cache.console import echo, program_name


def calibrate_command(cache: Path) -> list[str]:
    """Return the words, quoted for a shell, of the command that trains on a cache.

    The program is not among them.
    """
    return ["calibrate", "--cache", shlex.quote(str(cache))]


def merge_command(cache: Path, shard: tuple[int, int]) -> list[str]:
    """Return the words of the command that merges a shard with the others, without the program.

    For `NAME.2-of-8.h5` they are `merge NAME.*-of-8.h5 --out NAME.h5`, quoted for a shell. If the
    name of this shard does not hold index and count so, placeholders stand for the names.

    Args:
        cache: the shard's file.
        shard: index, from 1, and count.
    """
    index, count = shard
    start, found, end = str(cache).partition(f".{index}-of-{count}")
    if not found:
        return ["merge", "SHARD...", "--out", "FILE.h5"]
    shards = f"{shlex.quote(start)}.*-of-{count}{shlex.quote(end) if end else ''}"
    return ["merge", shards, "--out", shlex.quote(start + end)]


def echo_command(when: str, words: list[str]) -> None:
    """Print `WHEN: PROGRAM WORDS` on standard error, to name a command to run next.

    The program is named as it was called.
    """
    echo(f"{when}: {program_name()} {' '.join(words)}", err=True)
