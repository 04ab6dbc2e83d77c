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
    """Return text in NFC, without invisible characters and without white space around it.

    One pair of quotes around at least one character is removed too.
    """
    text = unicodedata.normalize("NFC", value).translate(INVISIBLE).strip()
    if len(text) > 2 and text[0] in QUOTES and text[-1] == QUOTES[text[0]]:
        return text[1:-1].strip()
    return text


def is_missing(value: str) -> bool:
    """Return whether a value stands for a missing one, such as `nan`, `N/A`, `-` or blank text."""
    return value.strip().casefold() in MISSING


def parse_number(value: str) -> int | None:
    """Return the whole number that text spells, such as `1`, `1.0`, `-1` or `1e0`; else None."""
    if value.isdecimal():
        return int(value)
    number = parse_decimal(value)
    return int(number) if number is not None and number.is_integer() else None


def parse_decimal(value: str) -> float | None:
    """Return the number that text spells in decimal or scientific notation; otherwise None.

    White space, `nan` and `inf` are not allowed.
    """
    return float(value) if NUMBER.fullmatch(value) else None


def parse_flag(value: str) -> bool | None:
    """Return True for `true`, `yes`, `t`, `y` and False for `false`, `no`, `f`, `n`, in any case.

    None for any other text, also for numbers.
    """
    return FLAGS.get(value.casefold())


def parse_split(value: str) -> int | None:
    """Return the code of a split: 0 train, 1 val, 2 test; None if the text does not name one.

    The text is one of these numbers, or a word (see `parse_split_word`).
    """
    number = parse_number(value)
    if number is not None:
        return number if 0 <= number < len(SPLIT_NAMES) else None
    return parse_split_word(value)


def parse_split_word(value: str) -> int | None:
    """Return the code of a split written as a word: `Validation`, `dev`, `train_set`; else None.

    Case and all characters but letters are ignored. 0 is train, 1 val, 2 test.
    """
    word = "".join(letter for letter in value.casefold() if letter.isalpha())
    for suffix in SPLIT_SUFFIXES:
        code = SPLIT_WORDS.get(word.removesuffix(suffix))
        if code is not None:
            return code
    return None
