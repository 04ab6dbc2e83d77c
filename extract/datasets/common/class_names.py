"""Names of classes and attribute values: their words, their spellings, and warnings about both."""

import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from clip_cfr.extract.datasets.common.values import parse_decimal, parse_flag

SHOWN_NAMES = 5
# Numbers that put folders in order, such as `001.` or `12_`, and identifiers of WordNet.
LEADING_NUMBER = re.compile(r"(?:\d+\s*[._)\-:]+\s*|\d+\s+|n\d{8}[\s._\-:]+)(?=.*[^\W\d_])")
WORDNET = re.compile(r"n\d{8}", re.IGNORECASE)
# A letter, or a generic word such as `class`, with or without a number.
GENERIC = re.compile(
    r"([a-z]|class|cls|label|category|cat|group|type|target|id|item)[\s_\-#.]*\d+|[a-z]|class",
    re.IGNORECASE,
)
HEXADECIMAL = re.compile(r"(?=.*\d)[0-9a-f\-]{8,}", re.IGNORECASE)
# Blanks between words, but not the minus sign of a number.
SEPARATORS = re.compile(r"(?<=\w)[\s_\-]+(?=\w)|^[\s_]+|[\s_]+$")


def spell_out(name: str) -> str:
    """Return a name as words: `Long tailed Finch` for `001.Long_tailed_Finch`.

    Leading numbering or a leading WordNet identifier goes, if letters follow, and underscores
    become blanks. A name that would be left empty is unchanged.
    """
    text = LEADING_NUMBER.sub("", name, count=1) if LEADING_NUMBER.match(name) else name
    return " ".join(text.replace("_", " ").split()) or name


def is_wordless(name: str) -> bool:
    """Return whether a name describes nothing visible.

    That is a number, text without a letter, yes or no, a single letter, a WordNet or hexadecimal
    identifier, or a generic word with a number such as `class 3`.
    """
    patterns = (WORDNET, GENERIC, HEXADECIMAL)
    return (
        parse_flag(name) is not None
        or not any(letter.isalpha() for letter in name)
        or parse_decimal(name) is not None
        or any(pattern.fullmatch(name) for pattern in patterns)
    )


def spelling_key(name: str) -> str:
    """Return a key that is equal for names spelled alike: `Sea Lion`, `sea_lion` and `SEA-LION`.

    Case, compatibility forms and the kind of blank between words (blank, underscore, hyphen) are
    ignored.
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    return SEPARATORS.sub(" ", text).strip() or text


def find_by_spelling(text: str, names: Sequence[str]) -> int | None:
    """Return the index of the name that equals a text, or else is the only one spelled alike.

    None if no name, or several names, have the same `spelling_key`.
    """
    if text in names:
        return names.index(text)
    key = spelling_key(text)
    found = [index for index, name in enumerate(names) if spelling_key(name) == key]
    return found[0] if len(found) == 1 else None


def warn_of_similar_names(dataset: str, kind: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a warning for each set of names that differ only in case and blanks.

    Args:
        dataset: name of the data set.
        kind: `classes` or `attribute values`; only for classes the remedy is --class-names.
        names: the names.
    """
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in names:
        spellings[spelling_key(name)].append(name)
    return tuple(
        f"{dataset}: the {kind} {join_names(same)} differ only in upper and lower case or in "
        "blanks, so CLIP hardly tells them apart; "
        + (
            "if they are the same, merge them with --class-names "
            f"{shlex.quote(f'{same[1]}={same[0]}')}"
            if kind == "classes"
            else "if they are the same, spell them the same way in the list"
        )
        for same in spellings.values()
        if len(same) > 1
    )


def warn_of_wordless_names(
    dataset: str, names: Sequence[str], entries: Sequence[Sequence[str]]
) -> tuple[str, ...]:
    """Return one warning that names the classes all of whose prompt entries are wordless.

    Empty if there are none. See `is_wordless`.

    Args:
        dataset: name of the data set.
        names: class names.
        entries: prompt entries of each class.
    """
    wordless = [
        name
        for name, prompts in zip(names, entries, strict=True)
        if all(is_wordless(prompt) for prompt in prompts)
    ]
    if not wordless:
        return ()
    example = ",".join(f"{name}=..." for name in wordless[:2])
    return (
        f"{dataset}: the class names {join_names(wordless)} do not describe images, so "
        "CLIP's text tower learns nothing from them; name the classes with --class-names "
        f"{example}, or give --prompts",
    )


def note_spelled_out(dataset: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return one note on the names that `spell_out` changes, with examples.

    Empty if it changes none.
    """
    changed = [name for name in names if spell_out(name) != name]
    if not changed:
        return ()
    examples = ", ".join(f"{name!r} as {spell_out(name)!r}" for name in changed[:SHOWN_NAMES])
    more = f" and {len(changed) - SHOWN_NAMES} more" if len(changed) > SHOWN_NAMES else ""
    return (
        f"{dataset}: prompts spell {examples}{more}; for other words, give --class-names or "
        "--prompts",
    )


def join_names(names: Sequence[str]) -> str:
    """Return the first SHOWN_NAMES names in quotes and the number of the others.

    For example `'a', 'b', 'c', 'd', 'e' and 2 more`.
    """
    shown = ", ".join(repr(name) for name in names[:SHOWN_NAMES])
    more = len(names) - SHOWN_NAMES
    return shown if more <= 0 else f"{shown} and {more} more"
