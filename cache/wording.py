"""Nouns and verbs of messages that agree with a number, and lists of words."""

from collections.abc import Sequence


def count_noun(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: `1 row`, `1,200 rows`.

    Args:
        number: the number.
        singular: the noun for one.
        plural: the noun for other numbers; by default `singular` with an s.
    """
    return f"{number:,} {agree(number, singular, plural or f'{singular}s')}"


def agree(number: int, singular: str, plural: str) -> str:
    """Return the word that agrees with a number, such as `is` for 1 and `are` for others."""
    return singular if number == 1 else plural


def join_or(words: Sequence[str]) -> str:
    """Return one or more words as a list of alternatives: `a`, `a or b`, `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
