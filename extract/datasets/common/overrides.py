"""Class names and prompts of the user, which replace those of a data set."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.manifest import Manifest

FORM = '{"classes": [["a photo of a dog."], ["a photo of a cat."]], "attributes": [..]}'


def override_class_names(manifest: Manifest, class_names: tuple[str, ...]) -> Manifest:
    """Return the manifest with other class names, each of which is the only prompt of its class.

    Raises:
        OptionError: if the number of names is not the number of classes, or the names are not
            distinct and non-blank.
    """
    if len(class_names) != len(manifest.class_names):
        raise OptionError(
            f"--class-names has {len(class_names)} names ({', '.join(class_names)}), "
            f"expected {len(manifest.class_names)}, one for each class of {manifest.dataset}"
        )
    if len(set(class_names)) != len(class_names) or not all(map(is_nonblank, class_names)):
        raise OptionError(
            f"--class-names is {', '.join(map(repr, class_names))}, "
            "expected distinct names that are not blank"
        )
    prompts = tuple((name,) for name in class_names)
    return replace(manifest, class_names=class_names, class_prompts=prompts)


def override_prompts(manifest: Manifest, path: Path) -> Manifest:
    """Return the manifest with the prompt entries of a file, for classes, attributes or both.

    Raises:
        ExtractError: if the file does not have the form that `read_prompts` expects, or does not
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
    used unchanged; any other is a name and is inserted into the templates.

    Raises:
        ExtractError: if the file cannot be read, is not valid JSON, or has other keys.
    """
    try:
        prompts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ExtractError(f"{path} cannot be read ({error.strerror}); check --prompts") from error
    except ValueError as error:
        raise ExtractError(f"{path} is not valid JSON ({error}), expected {FORM}") from error
    if not isinstance(prompts, dict) or not prompts or prompts.keys() - {"classes", "attributes"}:
        raise ExtractError(f"{path} is {describe_json(prompts)}, expected {FORM}")
    return prompts


def describe_json(value: Any) -> str:
    """Describe the type of a JSON value and the keys of an object, for messages."""
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(value)}" if value else "an empty object"
    return f"a JSON {type(value).__name__}"


def parse_entries(
    path: Path, field: str, prompts: Any, names: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """Return the prompt entries of each name, in the order of the names.

    Args:
        path, field: origin of the value, for messages.
        prompts: JSON value, a list of lists or an object from name to list.
        names: names of the classes or attribute values.
    """
    if isinstance(prompts, dict):
        if set(prompts) != set(names):
            raise ExtractError(
                f"{path}: {field!r} has the keys {', '.join(prompts)}, expected {', '.join(names)}"
            )
        prompts = [prompts[name] for name in names]
    if not isinstance(prompts, list) or len(prompts) != len(names):
        found = f"{len(prompts)} entries" if isinstance(prompts, list) else repr(prompts)
        raise ExtractError(
            f"{path}: {field!r} has {found}, expected {len(names)} lists, "
            f"one for each of {', '.join(names)}"
        )
    return tuple(
        parse_entry_list(path, field, name, entries)
        for name, entries in zip(names, prompts, strict=True)
    )


def parse_entry_list(path: Path, field: str, name: str, entries: Any) -> tuple[str, ...]:
    """Return the prompt entries of one class or attribute value; all are non-blank strings."""
    if isinstance(entries, list) and entries and all(map(is_nonblank, entries)):
        return tuple(entries)
    raise ExtractError(
        f"{path}: {field!r} of {name!r} is {entries!r}, expected a list of names or sentences"
    )


def is_nonblank(entry: Any) -> bool:
    """Return whether an entry is a string with other characters than white space."""
    return isinstance(entry, str) and bool(entry.strip())
