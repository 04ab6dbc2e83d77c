"""Class names and prompts of the user, which replace those of a data set."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.common.class_names import find_by_spelling
from clip_cfr.extract.datasets.common.values import clean_text, parse_number
from clip_cfr.extract.datasets.tables.text import read_text
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.manifest import Manifest, parse_entry

FORM = '{"classes": [["a photo of a dog."], ["a photo of a cat."]], "attributes": [..]}'
NAMES_FILE = "a name, or old=new, in each line; or a JSON list or object"


def parse_class_names(text: str) -> tuple[str, ...] | dict[str, str]:
    """Return the class names of `--class-names`: a tuple, or new names by old ones.

    For example `("cat", "dog")` for `cat,dog` and `{"0": "cat"}` for `0=cat`.

    Args:
        text: names or `old=new` separated by commas, of which one with a comma is in quotes; or the
            path of a file that has one of these in each line, or a JSON list or object. The path
            needs @ in front if it contains a comma or `=`.

    Raises:
        OptionError: some, but not all entries have the form `old=new`; a name occurs twice; or
            there is one name, which is not a file.
        ExtractError: the file cannot be read or is not valid.
    """
    if text.startswith("@") or ("," not in text and "=" not in text and Path(text).is_file()):
        return read_class_names(Path(text.removeprefix("@")))
    entries = next(csv.reader([text], skipinitialspace=True), [])
    if len(entries) < 2 and "=" not in text:
        raise OptionError(
            f"--class-names {text}: expected two names or more, separated by commas, or old=new, "
            "or an existing file"
        )
    return make_class_names(entries)


def read_class_names(path: Path) -> tuple[str, ...] | dict[str, str]:
    """Return the class names of a file: a tuple, or new names by old ones.

    The file is a JSON list, a JSON object `{"old": "new"}`, or has a name or `old=new` in each
    line.

    Raises:
        OptionError: the lines are not valid, see `make_class_names`, or a name (an old name) of the
            JSON occurs twice.
        ExtractError: the file cannot be read, or is JSON of another form.
    """
    text = read_text(path).strip()
    if not text.startswith(("[", "{")):
        return make_class_names([line for line in text.splitlines() if line.strip()])
    try:
        # Pairs instead of a dict, which would keep only the last of equal keys.
        names = json.loads(text, object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise ExtractError(f"{path} is not valid JSON ({error}), expected {NAMES_FILE}") from error
    is_object = text.startswith("{")
    values = [new for _, new in names] if is_object else names
    if not all(isinstance(value, str) for value in values):
        raise ExtractError(f"{path} has values that are not text, expected {NAMES_FILE}")
    if is_object:
        return make_renaming([(clean_text(old), clean_text(new)) for old, new in names])
    return require_distinct(tuple(map(clean_text, names)))


def make_class_names(entries: Sequence[str]) -> tuple[str, ...] | dict[str, str]:
    """Return the names, or new names by old ones if every entry has the form `old=new`.

    Names are cleaned by `clean_text`.

    Raises:
        OptionError: a name or an old name occurs twice, or only some entries have the form.
    """
    pairs = [tuple(map(clean_text, entry.split("=", 1))) for entry in entries]
    if not any(len(pair) == 2 for pair in pairs):
        return require_distinct(tuple(name for (name,) in pairs))
    is_wrong = ["" in pair or len(pair) < 2 for pair in pairs]
    wrong = entries[is_wrong.index(True)] if any(is_wrong) else None
    if wrong is not None:
        raise OptionError(
            f"--class-names: found {wrong!r}, expected old=new like the others; write names that "
            "contain = as a JSON list in a file"
        )
    return make_renaming(pairs)


def require_distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names unchanged, or raise OptionError if one occurs twice."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError(f"--class-names has the name {twice!r} twice, expected distinct names")
    return names


def make_renaming(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return new names by old ones, or raise OptionError if an old name occurs twice."""
    if len(dict(pairs)) != len(pairs):
        raise OptionError("--class-names: an old name occurs twice, expected one new name for each")
    return dict(pairs)


def override_class_names(
    manifest: Manifest, class_names: Sequence[str] | Mapping[str, str]
) -> Manifest:
    """Return the manifest with other class names, each of which is the only prompt of its class.

    Args:
        manifest: the data set.
        class_names: names of all classes in their order; or new names of some classes by their
            names or numbers. Classes that get the same new name are merged, and labels are
            renumbered.

    Raises:
        OptionError: the number of names is not the number of classes, the names are not distinct
            and non-blank, or an old name is not that of a class.
    """
    if isinstance(class_names, Mapping):
        return rename_classes(manifest, class_names)
    class_names = tuple(map(clean_text, class_names))
    if len(class_names) != len(manifest.class_names):
        raise OptionError(
            f"--class-names has {count_noun(len(class_names), 'name')} ({', '.join(class_names)}), "
            f"expected {len(manifest.class_names)}, one for each class of {manifest.dataset}"
        )
    if len(set(class_names)) != len(class_names) or not all(class_names):
        raise OptionError(
            f"--class-names is {', '.join(map(repr, class_names))}, "
            "expected distinct names that are not blank"
        )
    prompts = tuple((name,) for name in class_names)
    return replace(manifest, class_names=class_names, class_prompts=prompts)


def rename_classes(manifest: Manifest, new_names: Mapping[str, str]) -> Manifest:
    """Return the manifest with new names of some classes; classes of one name are merged.

    A new name is the only prompt entry of its class; other classes keep theirs. Labels count the
    remaining names in the order of their first class.

    Args:
        manifest: the data set.
        new_names: new name by old name or number, see `find_class`.

    Raises:
        OptionError: an old name is not that of a class, or only one class remains.
    """
    new_of = {find_class(manifest, old): new for old, new in new_names.items()}
    names = [new_of.get(label, name) for label, name in enumerate(manifest.class_names)]
    entries = [
        (new_of[label],) if label in new_of else prompts
        for label, prompts in enumerate(manifest.class_prompts)
    ]
    merged = list(dict.fromkeys(names))
    if len(merged) == 1:
        raise OptionError(f"--class-names leaves one class, {merged[0]!r}, expected at least two")
    codes = np.array([merged.index(name) for name in names], np.int32)
    return replace(
        manifest,
        rows=replace(manifest.rows, labels=codes[manifest.rows.labels]),
        class_names=tuple(merged),
        class_prompts=tuple(entries[names.index(name)] for name in merged),
    )


def find_class(manifest: Manifest, name: str) -> int:
    """Return the label of the class with a name, also in another spelling.

    A number finds the class whose name is this number or, if no name is a number, the class with
    this label.

    Raises:
        OptionError: there is no such class.
    """
    names = manifest.class_names
    numbers = [parse_number(each) for each in names]
    label, number = find_by_spelling(name, names), parse_number(name)
    if label is not None:
        return label
    if number in numbers and number is not None:
        return numbers.index(number)
    if numbers == [None] * len(names) and number in range(len(names)):
        return number
    raise OptionError(
        f"--class-names {name}=...: {manifest.dataset} has no such class, found {', '.join(names)}"
    )


def override_prompts(manifest: Manifest, path: Path) -> Manifest:
    """Return the manifest with the prompt entries of a file, for classes, attributes or both.

    Raises:
        ExtractError: the file does not have the form that `read_prompts` expects, or does not
            match the classes and attributes of the manifest.
    """
    prompts = read_prompts(path)
    if "classes" in prompts:
        entries = parse_entries(path, "classes", prompts["classes"], manifest.class_names)
        manifest = replace(manifest, class_prompts=entries)
    if "attributes" in prompts:
        entries = parse_entries(path, "attributes", prompts["attributes"], manifest.attribute_names)
        manifest = replace(manifest, attribute_prompts=entries)
    return manifest


def read_prompts(path: Path) -> dict[str, Any]:
    """Read a prompts file: a JSON object with the key `classes`, `attributes` or both.

    Each value is a list with a list of entries for each class (attribute value), or an object that
    maps each name to its list of entries. An entry that ends with a full stop is a sentence and is
    used unchanged; any other is a name and is inserted into the templates. Values are returned
    unchecked; `parse_entries` checks them.

    Raises:
        ExtractError: the file cannot be read, is not valid JSON, or has other keys.
    """
    try:
        prompts = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ExtractError(f"{path} is not valid JSON ({error}), expected {FORM}") from error
    if not isinstance(prompts, dict) or not prompts or prompts.keys() - {"classes", "attributes"}:
        raise ExtractError(f"{path} is {describe_json(prompts)}, expected {FORM}")
    return prompts


def describe_json(value: Any) -> str:
    """Return a phrase for a JSON value, such as `a JSON list` or `an object with the keys a, b`."""
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(value)}" if value else "an empty object"
    return f"a JSON {type(value).__name__}"


def parse_entries(
    path: Path, field: str, prompts: Any, names: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """Return the prompt entries of each name, in the order of the names.

    Args:
        path, field: origin of the value, for messages.
        prompts: JSON value, a list of lists or an object from name to list. Keys may differ from
            the names in case and blanks.
        names: names of the classes or attribute values.

    Raises:
        ExtractError: keys are not exactly the names, the number of lists is not that of the names,
            or a list is not valid, see `parse_entry_list`.
    """
    if isinstance(prompts, dict):
        found = {find_by_spelling(clean_text(key), names): each for key, each in prompts.items()}
        if set(found) != set(range(len(names))) or len(found) != len(prompts):
            raise ExtractError(
                f"{path}: {field!r} has the keys {', '.join(prompts)}, expected {', '.join(names)}"
            )
        prompts = [found[index] for index in range(len(names))]
    if not isinstance(prompts, list) or len(prompts) != len(names):
        found = (
            count_noun(len(prompts), "entry", "entries")
            if isinstance(prompts, list)
            else repr(prompts)
        )
        raise ExtractError(
            f"{path}: {field!r} has {found}, expected {len(names)} lists, "
            f"one for each of {', '.join(names)}"
        )
    return tuple(
        parse_entry_list(path, field, name, entries)
        for name, entries in zip(names, prompts, strict=True)
    )


def parse_entry_list(path: Path, field: str, name: str, entries: Any) -> tuple[str, ...]:
    """Parse the prompt entries of one class or attribute value, without white space around them.

    An entry that ends with a full stop becomes a `Sentence`.

    Args:
        path: the prompts file, for messages.
        field: `classes` or `attributes`, for messages.
        name: the class or attribute value, for messages.
        entries: the value found in the file.

    Raises:
        ExtractError: `entries` is not a list of strings, is empty or has a blank entry.
    """
    if isinstance(entries, list) and entries and all(map(is_nonblank, entries)):
        return tuple(parse_entry(entry.strip()) for entry in entries)
    raise ExtractError(
        f"{path}: {field!r} of {name!r} is {entries!r}, expected a list of names or sentences"
    )


def is_nonblank(entry: Any) -> bool:
    """Return whether a JSON value is a string with a character other than white space."""
    return isinstance(entry, str) and bool(entry.strip())
