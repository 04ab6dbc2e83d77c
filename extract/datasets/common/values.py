"""The spellings of values in lists: missing values, whole numbers, yes and no, splits, names."""

import re
import unicodedata

from clip_cfr.cache.format.schema import SPLIT_NAMES

INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060"))
QUOTES = {"'": "'", '"': '"', "`": "`", "\u201c": "\u201d", "\u2018": "\u2019"}
# Spellings of a missing value in spreadsheets, pandas, R, SQL and JSON.
MISSING = frozenset(
    (
        *("", "nan", "-nan", "none", "null", "nil", "na", "n/a", "n.a.", "n/d", "<na>", "#n/a"),
        *("#na", "#n/a n/a", "#null!", "#value!", "#ref!", "-1.#ind", "1.#ind", "1.#qnan"),
        *("-1.#qnan", "nat", "?", "-", "--"),
    )
)
FLAGS = {
    **dict.fromkeys(("true", "yes", "t", "y"), True),
    **dict.fromkeys(("false", "no", "f", "n"), False),
}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "tr", "learn"), 0),
    **dict.fromkeys(("val", "valid", "validation", "validate", "va", "dev", "development"), 1),
    **dict.fromkeys(("eval", "evaluation", "tune", "tuning"), 1),
    **dict.fromkeys(("test", "testing", "tst", "te"), 2),
}
SPLIT_SUFFIXES = ("", "split", "set", "data", "images")


def clean_text(value: str) -> str:
    """Return a name without white space and invisible characters around, unquoted once, in NFC."""
    text = unicodedata.normalize("NFC", value).translate(INVISIBLE).strip()
    if len(text) > 2 and text[0] in QUOTES and text[-1] == QUOTES[text[0]]:
        return text[1:-1].strip()
    return text


def is_missing(value: str) -> bool:
    """Return whether a value stands for a missing one, such as `nan`, `N/A` or nothing."""
    return value.strip().casefold() in MISSING


def parse_number(value: str) -> int | None:
    """Return a whole number in any spelling, such as `1`, `1.0`, `-1` or `1e0`; otherwise None."""
    if value.isdecimal():
        return int(value)
    number = parse_decimal(value)
    return int(number) if number is not None and number.is_integer() else None


def parse_decimal(value: str) -> float | None:
    """Return a finite decimal number, or None."""
    return float(value) if NUMBER.fullmatch(value) else None


def parse_flag(value: str) -> bool | None:
    """Return the truth value of `True`, `false`, `yes`, `n` ..., otherwise None."""
    return FLAGS.get(value.casefold())


def parse_split(value: str) -> int | None:
    """Return the code of a split in one of its usual spellings, or None.

    Numbers are codes: 0 train, 1 val, 2 test.
    """
    number = parse_number(value)
    if number is not None:
        return number if 0 <= number < len(SPLIT_NAMES) else None
    return parse_split_word(value)


def parse_split_word(value: str) -> int | None:
    """Return the code of a split that is written as a word, such as `Validation`, or None."""
    word = "".join(letter for letter in value.casefold() if letter.isalpha())
    for suffix in SPLIT_SUFFIXES:
        code = SPLIT_WORDS.get(word.removesuffix(suffix))
        if code is not None:
            return code
    return None
