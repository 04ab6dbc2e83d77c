"""Splits that the names of archives state, such as `train-00000-of-00004` or `val/000`."""

import re
from collections.abc import Sequence

from clip_cfr.extract.datasets.common.values import parse_split_word

MIN_LENGTH = 3


def read_split_names(names: Sequence[str]) -> list[str] | None:
    """Return the word for a split in each name, or None unless the names state at least two splits.

    A name that states no split, beside others that do, is returned without its numbers: `train`,
    `val` and `extra` for `train-0`, `val-0` and `extra-0`.
    """
    words = [find_split_word(name) for name in names]
    codes = {parse_split_word(word) for word in words if word}
    if len(codes) < 2:
        return None
    return [word or strip_numbers(name) for word, name in zip(words, names, strict=True)]


def find_split_word(name: str) -> str:
    """Return the last word of a name that names a split, or an empty string.

    For example `train` for `train-00000-of-00004`. Words are runs of at least three letters. Empty
    too if they name different splits.
    """
    words = [word for word in re.split(r"[\W\d_]+", name) if len(word) >= MIN_LENGTH]
    found = [word for word in words if parse_split_word(word) is not None]
    return found[-1] if len(set(map(parse_split_word, found))) == 1 else ""


def strip_numbers(name: str) -> str:
    """Return a name without the numbers of a shard at its end: `extra` for `extra-00000-of-00002`.

    A name that would be left empty is unchanged.
    """
    return re.sub(r"[\W_]*\d+([\W_]*(of)?[\W_]*\d+)*$", "", name, flags=re.IGNORECASE) or name
