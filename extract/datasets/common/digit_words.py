"""Words for digits, as prompts use them."""

from collections.abc import Sequence

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digit_range(digits: Sequence[int]) -> str:
    """The name of a class of consecutive digits."""
    return f"a digit from {DIGIT_WORDS[digits[0]]} to {DIGIT_WORDS[digits[-1]]}"
