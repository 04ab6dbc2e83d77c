"""Select the feature columns of a table."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from clip_cfr.extract.datasets.tables.roles import ROLES, simplify
from clip_cfr.extract.datasets.tables.table import INDEX_NAMES

MAX_NAMED = 5
NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)


def select_feature_columns(names: Sequence[str]) -> list[str]:
    """Return the columns of numbers that are the features, in their order.

    If more than half of the names have one stem and numbers without gaps, such as `f0`, `f1`, ...
    or `0`, `1`, ..., these columns are the features, in the order of their numbers. Otherwise all
    are, except those whose name is that of an id, label, attribute, split or index.

    Args:
        names: names of the columns that hold numbers only.
    """
    families: dict[str, dict[int, str]] = defaultdict(dict)
    for name in names:
        if match := NUMBERED.fullmatch(name):
            families[match[1]][int(match[2])] = name
    largest = max(families.values(), key=len, default={})
    numbers = sorted(largest)
    if len(numbers) * 2 > len(names) and numbers[-1] - numbers[0] == len(numbers) - 1:
        return [largest[number] for number in numbers]
    return [name for name in names if not is_reserved(name)]


def describe_other_columns(path: Path, names: Sequence[str], features: Sequence[str]) -> list[str]:
    """Return a note on columns of numbers that are not features, in a list; empty without any.

    Columns whose names show why are not mentioned: beside numbered features those of a list (see
    `is_reserved`), otherwise only those named exactly as a role, such as `label`, or as an index.

    Args:
        path: the file.
        names: names of the columns that hold numbers only.
        features: those that are the features.
    """
    is_numbered = all(map(NUMBERED.fullmatch, features))
    plain = {"", *ROLES, *INDEX_NAMES}
    others = [
        name
        for name in names
        if name not in features
        and not (is_reserved(name) if is_numbered else simplify(name) in plain)
    ]
    if not others:
        return []
    return [
        f"{path}: {len(features)} columns of numbers are the features, from {features[0]} to "
        f"{features[-1]}; not {', '.join(others[:MAX_NAMED])}"
        + (", ..." if len(others) > MAX_NAMED else "")
    ]


def is_reserved(name: str) -> bool:
    """Return whether a name is empty, or that of an id, label, attribute, split, subject or index.

    All names of `ROLES` count, as `simplify` writes them.
    """
    known = {each for role in ROLES.values() for names in role.tiers() for each in names}
    return simplify(name) in {"", *known, *INDEX_NAMES}
