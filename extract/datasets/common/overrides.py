"""The user's own names and prompts, put over those of a data set."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.manifest import Manifest

FORM = '{"classes": [["a photo of a dog."], ["a photo of a cat."]], "attributes": [..]}'


def with_class_names(manifest: Manifest, class_names: tuple[str, ...]) -> Manifest:
    """The manifest with other class names, which are its class prompts as well.

    Raises:
        OptionError: another number of names than the data set has classes, or one twice.
    """
    if len(class_names) != len(manifest.class_names):
        raise OptionError(
            f"--class-names gives {len(class_names)} names ({', '.join(class_names)}), "
            f"expected {len(manifest.class_names)}, one for each class of {manifest.dataset}"
        )
    if len(set(class_names)) != len(class_names) or not all(map(says_something, class_names)):
        raise OptionError(
            f"--class-names gives {', '.join(map(repr, class_names))}, "
            "expected names that differ and are not blank"
        )
    prompts = tuple((name,) for name in class_names)
    return replace(manifest, class_names=class_names, class_prompts=prompts)


def with_prompts(manifest: Manifest, path: Path) -> Manifest:
    """The manifest with the entries of a prompts file, for classes, attributes or both.

    Raises:
        ExtractError: the file is not of the form that `read_prompts` describes, or does not fit
            the manifest's classes and attributes.
    """
    prompts = read_prompts(path)
    if "classes" in prompts:
        entries = entries_of(path, "classes", prompts["classes"], manifest.class_names)
        manifest = replace(manifest, class_prompts=entries)
    if "attributes" in prompts:
        entries = entries_of(path, "attributes", prompts["attributes"], manifest.attribute_names)
        manifest = replace(manifest, attribute_prompts=entries)
    return manifest


def read_prompts(path: Path) -> dict[str, Any]:
    """What a prompts file holds: a JSON object with `classes`, `attributes` or both.

    Each is a list with one list of entries for each class (attribute), or an object from name to
    list of entries. An entry that ends with a full stop is a sentence and used as it stands, any
    other is a name that goes into templates.

    Raises:
        ExtractError: the file cannot be read, is no JSON, or holds something else.
    """
    try:
        prompts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ExtractError(f"{path}: cannot read the prompts ({error.strerror})") from error
    except ValueError as error:
        raise ExtractError(f"{path} is no JSON ({error}), expected {FORM}") from error
    if not isinstance(prompts, dict) or not prompts or prompts.keys() - {"classes", "attributes"}:
        found = ", ".join(prompts) if isinstance(prompts, dict) else type(prompts).__name__
        raise ExtractError(f"{path} holds {found or 'nothing'}, expected {FORM}")
    return prompts


def entries_of(
    path: Path, field: str, prompts: Any, names: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """The entries of each name, in the order of the names."""
    if isinstance(prompts, dict):
        if set(prompts) != set(names):
            raise ExtractError(
                f"{path}: {field!r} has {', '.join(prompts)}, expected {', '.join(names)}"
            )
        prompts = [prompts[name] for name in names]
    if not isinstance(prompts, list) or len(prompts) != len(names):
        raise ExtractError(
            f"{path}: {field!r} needs {len(names)} lists, one for each of {', '.join(names)}"
        )
    return tuple(checked(path, field, *pair) for pair in zip(names, prompts, strict=True))


def checked(path: Path, field: str, name: str, entries: Any) -> tuple[str, ...]:
    """The entries of one class or attribute, all of them strings that say something."""
    if isinstance(entries, list) and entries and all(map(says_something, entries)):
        return tuple(entries)
    raise ExtractError(
        f"{path}: {field!r} of {name!r} is {entries!r}, expected a list of names or sentences"
    )


def says_something(entry: Any) -> bool:
    """Whether an entry is a string that is not blank."""
    return isinstance(entry, str) and bool(entry.strip())
