"""Attributes in words as the user gives them: values on the command line, or a JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip_cfr.cache.format.nested import load_json
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError

# Name of an attribute whose values are given on the command line.
DEFAULT_NAME = "attribute"
MAX_VALUES = 100
MAX_PHRASES = 1000
FORM = (
    'an object such as {"background": ["on water", "on land"]} or {"background": {"water": ["on '
    'water", "on a lake"], "land": ["on land"]}}'
)

# The values of one attribute, a JSON file of several, or several with phrases by value.
Attributes = Sequence[str] | str | Path | Mapping[str, Any]


@dataclass(frozen=True)
class WordAttribute:
    """An attribute in words.

    Attributes:
        name: name of the attribute.
        values: names of its values, at least two.
        phrases: the phrases that describe each value, at least one, in the order of the values.
    """

    name: str
    values: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the name, and the phrases by value."""
        values = zip(self.values, map(list, self.phrases), strict=True)
        return {"name": self.name, "values": dict(values)}


def read_attributes(given: Attributes) -> tuple[WordAttribute, ...]:
    """Return the attributes that the user names, checked.

    Args:
        given: the values of one attribute, each its own phrase; or by the name of each attribute
            its values, or its values with their phrases; or the path of a JSON file of them.

    Raises:
        SettingsError: there is no attribute, one has a single value, two values have the same
            phrase, or there are too many.
        CalibrationError: the file cannot be read, or has another form.
    """
    if isinstance(given, str | Path):
        return check_all(parse_attributes(read_object(Path(given)), str(given)), str(given))
    if isinstance(given, Mapping):
        return check_all(parse_attributes(given, "attributes"), "attributes")
    return check_all(parse_attributes({DEFAULT_NAME: list(given)}, "--attribute"), "--attribute")


def read_object(path: Path) -> Any:
    """Return the JSON in a file; raise CalibrationError if it cannot be read or is none."""
    try:
        return load_json(path.read_bytes())
    except OSError as error:
        raise CalibrationError(
            f"{path}: cannot be read: {error.strerror}; --attributes needs a JSON file with {FORM}"
        ) from error
    except ValueError as error:
        raise CalibrationError(f"{path}: expected JSON with {FORM}, found {error}") from error


def parse_attributes(found: Any, source: str) -> tuple[WordAttribute, ...]:
    """Return the attributes in a JSON object; raise CalibrationError if it has another form."""
    if not isinstance(found, Mapping) or not found:
        raise CalibrationError(f"{source}: expected {FORM}, found {shown(found)}")
    return tuple(parse_attribute(name, values, source) for name, values in found.items())


def parse_attribute(name: Any, values: Any, source: str) -> WordAttribute:
    """Return one attribute of its values; see `parse_attributes`."""
    name = clean(name, f"{source}: a name of an attribute")
    if isinstance(values, list | tuple):
        values = {clean(each, f"{source}: {name}: a value"): [each] for each in values}
    if not isinstance(values, Mapping):
        raise CalibrationError(
            f"{source}: {name}: expected its values, as in {FORM}, found {shown(values)}"
        )
    names = tuple(clean(each, f"{source}: {name}: a value") for each in values)
    phrases = (
        parse_phrases(each, f"{source}: {name}: {value}")
        for value, each in zip(names, values.values(), strict=True)
    )
    return WordAttribute(name, names, tuple(phrases))


def parse_phrases(found: Any, where: str) -> tuple[str, ...]:
    """Return the phrases of a value, a text or a list of texts."""
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list | tuple) or not listed:
        raise CalibrationError(f"{where}: expected a list of phrases, found {shown(found)}")
    return tuple(dict.fromkeys(clean(each, f"{where}: a phrase") for each in listed))


def clean(text: Any, where: str) -> str:
    """Return a text with single spaces; raise CalibrationError if it is empty or no text."""
    cleaned = " ".join(text.split()) if isinstance(text, str) else ""
    if not cleaned or not cleaned.isprintable():
        raise CalibrationError(f"{where}: expected a text that can be printed, found {shown(text)}")
    return cleaned


def shown(value: Any) -> str:
    """Return a value as short JSON."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:60]}..."


def check_all(attributes: Sequence[WordAttribute], source: str) -> tuple[WordAttribute, ...]:
    """Return attributes after checking each, and their number of phrases."""
    for each in attributes:
        check_attribute(each, source)
    names = [each.name for each in attributes]
    if len(set(names)) < len(names):
        raise SettingsError(f"{source}: two attributes have the same name; rename one of them")
    count = sum(len(phrases) for each in attributes for phrases in each.phrases)
    if count > MAX_PHRASES:
        raise SettingsError(
            f"{source}: expected at most {MAX_PHRASES:,} phrases in all, found {count:,}; describe "
            "fewer attributes at a time"
        )
    return tuple(attributes)


def check_attribute(attribute: WordAttribute, source: str) -> None:
    """Raise SettingsError unless an attribute has 2 to `MAX_VALUES` values with their own phrases.

    Phrases that differ in case alone are equal, because most text towers ignore case.
    """
    where = source if source == "--attribute" else f"{source}: {attribute.name}"
    count = len(attribute.values)
    if count < 2:
        raise SettingsError(
            f"{where}: expected at least two values to choose from, found only "
            f"{attribute.values[0]!r}; add another, as in --attribute 'on water' --attribute 'on "
            "land'"
            if count
            else f"{where}: expected at least two values to choose from, found none"
        )
    if count > MAX_VALUES:
        raise SettingsError(
            f"{where}: expected at most {MAX_VALUES} values, found {count:,}: groups of so many "
            "would hardly have an image; describe fewer"
        )
    owner: dict[str, str] = {}
    for value, phrases in zip(attribute.values, attribute.phrases, strict=True):
        for phrase in phrases:
            other = owner.setdefault(phrase.casefold(), value)
            if other != value:
                raise SettingsError(
                    f"{where}: the values {other!r} and {value!r} have the same phrase "
                    f"{phrase!r}; describe them by different words"
                )
