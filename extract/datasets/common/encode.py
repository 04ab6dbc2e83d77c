"""Integer codes of the labels, attributes and splits of a list, however they are spelled."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8, Int32

from clip_cfr.cache.format.schema import SPLIT_NAMES
from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.common.class_names import find_by_spelling
from clip_cfr.extract.datasets.common.values import (
    clean_text,
    parse_decimal,
    parse_flag,
    parse_number,
    parse_split,
    parse_split_word,
)
from clip_cfr.extract.datasets.tables.roles import SPLIT, Role, simplify
from clip_cfr.extract.datasets.tables.table import Table, is_renaming
from clip_cfr.extract.errors import ExtractError

SHOWN_VALUES = 6
VAL = SPLIT_NAMES.index("val")


@dataclass(frozen=True)
class Coded:
    """A column as integer codes.

    Attributes:
        codes: code of each entry, from 0; an index into `names`.
        names: name of each code: those of the user, else those found in the list. Empty if there is
            no such column; all codes are 0 then.
        notes: notes for the user on how the values were read.
    """

    codes: Int32[np.ndarray, " n"]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def encode_names(table: Table, role: Role, names: Sequence[str] | None = None) -> Coded:
    """Return the codes of a column of names, whole numbers, or yes and no.

    Whole numbers in any spelling (`1`, `1.0`, `-1`) are their own codes if they are indices into
    the names, else they get codes in ascending order. No (or false) is 0 and yes (or true) is 1.
    Names are coded in the order of `names` or else of the alphabet. See `encode_numbers` and
    `encode_flags`.

    Args:
        table: the list, without missing values in this column.
        role: role of the column.
        names: names in the order of their codes, if the user gave them.

    Raises:
        ExtractError: there is no such column, or a value does not fit the names or is a number with
            a fraction.
    """
    values = table.column(role)
    cleaned = {value: clean_text(value) for value in dict.fromkeys(values)}
    distinct = tuple(dict.fromkeys(cleaned.values()))
    if all(parse_number(value) is not None for value in distinct):
        code_of, names, notes = encode_numbers(table, role, distinct, names)
    elif all(parse_binary(value) is not None for value in distinct):
        code_of, names, notes = encode_flags(table, role, distinct, names)
    else:
        refuse_fractions(table, role, distinct)
        names = tuple(names or sorted(distinct))
        code_of, notes = encode_words(table, role, cleaned, names), ()
    codes = {value: code_of[text] for value, text in cleaned.items()}
    return Coded(np.array([codes[value] for value in values], np.int32), names, notes)


Codes = dict[str, int]


def encode_numbers(
    table: Table, role: Role, distinct: Sequence[str], names: Sequence[str] | None
) -> tuple[Codes, tuple[str, ...], tuple[str, ...]]:
    """Return the code of each spelling of a number, the names of the codes, and notes.

    Names are the given ones, else those in the file, else the numbers. With names, a number that is
    an index into them is its own code. Otherwise the distinct numbers get codes from 0 in ascending
    order, with a note if that changes them.

    Args:
        table: the list.
        role: role of the column.
        distinct: the different spellings, such as `1` and `1.0`, each a whole number.
        names: names of the user in the order of the codes, or None.

    Raises:
        ExtractError: numbers are not indices into the names, nor as many as the names.
    """
    numbers = sorted({parse_number(text) for text in distinct})
    column = table.find_column(role)
    names = names or find_number_names(table, role, numbers)
    if names and numbers[0] >= 0 and numbers[-1] < len(names):
        return {text: parse_number(text) for text in distinct}, tuple(names), ()
    if names and len(numbers) != len(names):
        raise ExtractError(describe_numbers(table, role, numbers, names))
    codes = {number: code for code, number in enumerate(numbers)}
    code_of = {text: codes[parse_number(text)] for text in distinct}
    counted = numbers == list(range(len(numbers)))
    own_names = tuple(names or map(str, numbers))
    if counted:
        return code_of, own_names, ()
    pairs = ", ".join(
        f"{number} is {code} ({name})" if names else f"{number} is {code}"
        for number, (code, name) in zip(numbers[:SHOWN_VALUES], enumerate(own_names), strict=False)
    )
    more = ", ..." if len(numbers) > SHOWN_VALUES else ""
    note = (
        f"{table.path}: the numbers in the column {column} start at {numbers[0]}"
        f"{'' if is_consecutive(numbers) else ' and have gaps'}; they are counted from 0 here: "
        f"{pairs}{more}"
    )
    return code_of, own_names, (note,)


def is_consecutive(numbers: Sequence[int]) -> bool:
    """Return whether distinct ascending numbers, at least one, have no gaps."""
    return numbers[-1] - numbers[0] == len(numbers) - 1


def find_number_names(table: Table, role: Role, numbers: Sequence[int]) -> tuple[str, ...] | None:
    """Return the names of the numbers of a column in the order of the numbers, or None.

    They come from the schema of the file, which names 0, 1 ..., or from a column of names beside it
    that is one-to-one with the numbers, as `class_name` is with `class_id`.

    Args:
        table: the list.
        role: role of the column.
        numbers: the distinct numbers in the column, ascending.
    """
    column = table.find_column(role)
    if column in table.value_names:
        return table.value_names[column]
    for name in find_renamings(table, role, column):
        text_of = {
            parse_number(clean_text(number)): clean_text(text)
            for number, text in zip(table.columns[column], table.columns[name], strict=True)
        }
        texts = [text_of[number] for number in numbers]
        if len(set(texts)) == len(texts) and all(parse_number(text) is None for text in texts):
            return tuple(texts)
    return None


def find_renamings(table: Table, role: Role, column: str | None) -> list[str]:
    """Return the other columns that may have the role and are one-to-one with the given one.

    A column may have a role if its name is one of any tier. Empty if `column` is None.
    """
    if column is None:
        return []
    names = frozenset().union(*role.tiers())
    others = [name for name in table.columns if name != column and simplify(name) in names]
    return [name for name in others if is_renaming(table.columns[column], table.columns[name])]


def describe_numbers(table: Table, role: Role, numbers: Sequence[int], names: Sequence[str]) -> str:
    """Return the message for numbers that do not fit the names, with the first such row.

    Args:
        table: the list.
        role: role of the column.
        numbers: the distinct numbers in the column, ascending; at least one is negative or not less
            than the number of names.
        names: the names of the numbers 0, 1 ...
    """
    column = table.find_column(role)
    out = next(number for number in numbers if not 0 <= number < len(names))
    values = table.column(role)
    index = next(i for i, value in enumerate(values) if parse_number(clean_text(value)) == out)
    return (
        f"{table.location(index)}: {column} is {values[index]!r}, expected one of 0 to "
        f"{len(names) - 1} for the {len(names)} names {', '.join(names)}; the column has "
        f"{len(numbers)} different numbers, from {numbers[0]} to {numbers[-1]}"
    )


def encode_flags(
    table: Table, role: Role, distinct: Sequence[str], names: Sequence[str] | None
) -> tuple[Codes, tuple[str, ...], tuple[str, ...]]:
    """Return the code of each spelling of yes and no, the names of the codes, and a note.

    No is 0 and yes is 1; if only one of them occurs, it is 0. Concatenated lists may have 1 beside
    yes or true, and 0 beside no or false. Names are the given ones, else a spelling of each, words
    first.

    Args:
        table: the list.
        role: role of the column.
        distinct: the different spellings, each of which `parse_binary` knows.
        names: names of the user in the order of the codes, or None.

    Raises:
        ExtractError: there are fewer names than values.
    """
    code_of = {text: parse_binary(text) for text in distinct}
    column = table.find_column(role)
    if set(code_of.values()) != {0, 1}:
        code_of = dict.fromkeys(code_of, 0)
    words_first = sorted(code_of.items(), key=lambda pair: parse_flag(pair[0]) is None)
    spelled = {code: text for text, code in reversed(words_first)}
    own_names = tuple(spelled[code] for code in sorted(spelled))
    if names and len(names) < len(own_names):
        raise ExtractError(
            f"{table.path}: {column} has the values {', '.join(own_names)}, expected as many as "
            f"the names {', '.join(names)}"
        )
    chosen = tuple(names or own_names)
    pairs = (f"{text} is {code} ({chosen[code]})" for code, text in enumerate(own_names))
    return code_of, chosen, (f"{table.path}: in the column {column}, {', '.join(pairs)}",)


def refuse_fractions(table: Table, role: Role, distinct: Sequence[str]) -> None:
    """Raise ExtractError if all values are numbers and one of them has a fraction.

    Args:
        table: the list.
        role: role of the column.
        distinct: the different cleaned values of the column.
    """
    if not all(parse_decimal(text) is not None for text in distinct):
        return
    values = table.column(role)
    index = next(i for i, value in enumerate(values) if parse_number(clean_text(value)) is None)
    raise ExtractError(
        f"{table.location(index)}: {table.find_column(role)} is {values[index]!r}, expected whole "
        f"numbers or names; name another column with --columns {role.name}=COLUMN"
    )


def encode_words(
    table: Table, role: Role, cleaned: Mapping[str, str], names: Sequence[str]
) -> Codes:
    """Return the index in `names` of each cleaned value.

    Names also match in another case or form, where that is unambiguous (see `find_by_spelling`).

    Args:
        table: the list.
        role: role of the column.
        cleaned: cleaned value by the value in the list.
        names: names in the order of their codes.

    Raises:
        ExtractError: a value is not one of the names; the message gives its first row.
    """
    distinct = tuple(dict.fromkeys(cleaned.values()))
    matches = {text: find_by_spelling(text, names) for text in distinct}
    unknown = next((text for text in distinct if matches[text] is None), None)
    if unknown is not None:
        values = table.column(role)
        index = next(i for i, value in enumerate(values) if cleaned[value] == unknown)
        raise ExtractError(
            f"{table.location(index)}: {table.find_column(role)} is {values[index]!r}, expected "
            f"one of {', '.join(names)}; to rename labels, write --class-names "
            f"{shorten(distinct[0])}=NEW,..."
        )
    return matches


def shorten(text: str, length: int = 40) -> str:
    """Return text of at most `length` characters; `...` takes the place of the rest."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def encode_binary(table: Table, role: Role) -> Int32[np.ndarray, " n"]:
    """Return 0 or 1 for each entry of a column of two values, as `parse_binary` reads them.

    Raises:
        ExtractError: there is no such column, or a value is neither; the message gives its row.
    """
    values = table.column(role)
    code_of = {value: parse_binary(clean_text(value)) for value in dict.fromkeys(values)}
    unknown = next((i for i, value in enumerate(values) if code_of[value] is None), None)
    if unknown is not None:
        raise ExtractError(
            f"{table.location(unknown)}: {table.find_column(role)} is {values[unknown]!r}, "
            "expected 0 or 1 (also written as -1 and 1, true and false, yes and no)"
        )
    return np.array([code_of[value] for value in values], np.int32)


def parse_binary(value: str) -> int | None:
    """Return 1 for `1` or yes, 0 for `0`, `-1` or no, in any spelling; None for any other text."""
    flag = parse_flag(value)
    if flag is not None:
        return int(flag)
    return {-1: 0, 0: 0, 1: 1}.get(parse_number(value))


def encode_splits(table: Table) -> Int8[np.ndarray, " n"]:
    """Return the split code of each entry: 0 train, 1 val, 2 test. See `parse_split`.

    Raises:
        ExtractError: there is no column of splits, or a value is not one of the usual names.
    """
    values = table.column(SPLIT)
    codes = {value: parse_split(clean_text(value)) for value in dict.fromkeys(values)}
    if None in codes.values():
        raise ExtractError(describe_unknown_splits(table, values, codes))
    return np.array([codes[value] for value in values], np.int8)


def note_merged_splits(table: Table) -> tuple[str, ...]:
    """Return one note if several validation splits, such as val and eval, become one split.

    Empty otherwise. The list has a column of splits.
    """
    cleaned = (clean_text(value).casefold() for value in set(table.column(SPLIT)))
    # `valid` and `validation` share their first letters and are one split.
    words = {word[:3]: word for word in sorted(cleaned) if parse_split_word(word) == VAL}
    if len(words) < 2:
        return ()
    return (
        f"{table.path}: in the column {table.find_column(SPLIT)}, {' and '.join(words.values())} "
        f"are all taken as {SPLIT_NAMES[VAL]}; leave one out with --ignore-splits",
    )


def describe_unknown_splits(
    table: Table, values: Sequence[str], codes: Mapping[str, int | None]
) -> str:
    """Return the message for values that name no split: first row, all values, and remedy.

    Args:
        table: the list.
        values: value of each entry in the column of splits.
        codes: split code by value; None for at least one.
    """
    index = next(i for i, value in enumerate(values) if codes[value] is None)
    counts = ", ".join(f"{value} ({count_noun(n, 'row')})" for value, n in Counter(values).items())
    unknown = ",".join(value for value in codes if codes[value] is None)
    return (
        f"{table.location(index)}: {table.find_column(SPLIT)} is {values[index]!r}, expected "
        f"{', '.join(SPLIT_NAMES)} or 0, 1, 2; found {counts}; leave out such rows with "
        f"--ignore-splits {shlex.quote(unknown)}, or draw the splits again with --columns split="
    )
