"""Nested settings, such as a provenance or a job, flattened and compared."""

import json
from typing import Any

# Maximum depth of JSON values. Python's own limit depends on the depth of the call stack.
MAX_DEPTH = 100


def load_json(text: str | bytes) -> Any:
    """Return the value of a JSON text whose objects and lists are nested at most `MAX_DEPTH` deep.

    Raises:
        ValueError: the text is not JSON, or is nested deeper.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested more than {MAX_DEPTH} deep") from error
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Raise ValueError if the dicts and lists of a value are nested more than `MAX_DEPTH` deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner = [each for each in level if isinstance(each, dict | list)]
        if not inner:
            return
        level = [x for each in inner for x in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(f"nested more than {MAX_DEPTH} deep")


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one dict with dotted names: {"a": {"b": 1}} gives {"a.b": 1}.

    Lists and empty dicts are values. `settings` is not changed.

    Args:
        settings: the settings, with dicts for nested ones.
        prefix: text before each name.
    """
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def describe_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a phrase such as `model.seed was 0, now 1` for each setting that differs.

    Phrases are sorted by dotted name; values are JSON, or `not set` on the side that lacks the
    setting. The list is empty if the settings are the same.
    """
    old, new = flatten(old), flatten(new)
    return [
        f"{name} was {_as_json(old, name)}, now {_as_json(new, name)}"
        for name in sorted(old.keys() | new.keys())
        if _as_json(old, name) != _as_json(new, name)
    ]


def _as_json(settings: dict[str, Any], name: str) -> str:
    return json.dumps(settings[name]) if name in settings else "not set"
