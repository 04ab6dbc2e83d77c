"""English words for digits, for names and prompts."""

from collections.abc import Sequence

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def name_digit_range(digits: Sequence[int]) -> str:
    """Return the name of a class of digits: `a digit from zero to four` for `range(5)`.

    Args:
        digits: consecutive digits in 0 to 9, ascending.
    """
    return f"a digit from {DIGIT_WORDS[digits[0]]} to {DIGIT_WORDS[digits[-1]]}"
