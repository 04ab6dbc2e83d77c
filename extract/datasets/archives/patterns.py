"""Patterns of file names: brace ranges such as `{000..999}`, alternatives `{a,b}`, wildcards."""

import glob
import re
from pathlib import Path

from clip_cfr.extract.errors import ExtractError

BRACES = re.compile(r"\{(\d+\.\.\d+(?:\.\.\d+)?|[^{}]*,[^{}]*)\}")
WILDCARDS = re.compile(r"[*?[]")
# How WebDataset separates several patterns.
SEPARATOR = "::"
MAX_FILES = 1_000_000


def is_pattern(text: str) -> bool:
    """Return whether text has braces such as `{0..9}` or `{a,b}`, a wildcard (* ? [) or `::`."""
    return bool(BRACES.search(text) or WILDCARDS.search(text)) or SEPARATOR in text


def expand_pattern(text: str) -> list[Path]:
    """Return the files that a pattern matches, in the order of its braces, each once.

    Args:
        text: patterns separated by `::`, with braces (see `expand_braces`) and wildcards.

    Raises:
        ExtractError: a text that the braces expand to matches no file.
    """
    texts = [each for part in text.split(SEPARATOR) for each in expand_braces(part)]
    found = {each: expand_wildcards(each) for each in texts}
    missing = [each for each, paths in found.items() if not paths]
    if missing:
        raise ExtractError(
            f"--root {text}: there is no file {missing[0]} ({len(missing):,} of {len(found):,} are "
            "missing); complete the files, or correct the pattern"
        )
    return list(dict.fromkeys(path for paths in found.values() for path in paths))


def expand_braces(text: str) -> list[str]:
    """Return the texts that ranges and alternatives in braces stand for, as in a shell.

    For example `a1`, `a2`, `b1`, `b2` for `{a,b}{1..2}`. Each text comes once; text without braces
    is the only result.

    Raises:
        ExtractError: a range is too large.
    """
    match = BRACES.search(text)
    if match is None:
        return [text]
    before, after = text[: match.start()], text[match.end() :]
    items = match[1].split(",") if "," in match[1] else expand_range(match[1])
    texts = [each for item in items for each in expand_braces(before + item + after)]
    return list(dict.fromkeys(texts))


def expand_range(text: str) -> list[str]:
    """Return the numbers of a range `FIRST..LAST` or `FIRST..LAST..STEP`, both bounds included.

    For example `008`, `009`, `010` for `008..010`: numbers are as wide as the wider bound if a
    bound has a leading zero. They descend if FIRST is larger than LAST.

    Raises:
        ExtractError: there are more than MAX_FILES.
    """
    bounds = text.split("..")[:2]
    first, last, *step = map(int, text.split(".."))
    stride = max(1, *step) if step else 1
    if abs(last - first) // stride >= MAX_FILES:
        raise ExtractError(f"--root: {{{text}}} names over {MAX_FILES:,} files; correct it")
    padded = any(len(bound) > 1 and bound.startswith("0") for bound in bounds)
    width = max(map(len, bounds)) if padded else 0
    numbers = range(first, last + 1, stride) if first <= last else range(first, last - 1, -stride)
    return [f"{number:0{width}d}" for number in numbers]


def expand_wildcards(text: str) -> list[Path]:
    """Return the files that match text with wildcards, with numbers in the order of their value.

    A file with exactly this name is the only result. Empty if there is none; folders do not count.
    """
    if Path(text).is_file():
        return [Path(text)]
    paths = map(Path, glob.glob(text, recursive=True))
    return sorted((path for path in paths if path.is_file()), key=natural_key)


def natural_key(path: Path) -> list[str | int]:
    """Return a sort key that compares the numbers in a path by value: 2.tar before 10.tar."""
    parts: list[str | int] = re.split(r"(\d+)", path.as_posix())
    parts[1::2] = map(int, parts[1::2])
    return parts
