"""Axes of a search space: the values of a setting, or an interval to sample from."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import click
import numpy as np
from optuna.trial import Trial

from clip_cfr.calibrate.comparison.titles import format_value
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import POOL_WORDS, Settings, Value, value_type

NONE_WORDS = ("none", "null")
FIELDS = {field.name: field for field in fields(Settings)}


@dataclass(frozen=True)
class AxisText:
    """The values of one setting as text.

    Attributes:
        name: the setting.
        texts: its values.
        origin: the option or the line of a file that holds them, for error messages.
    """

    name: str
    texts: tuple[str, ...]
    origin: str


@dataclass(frozen=True)
class Choices:
    """Axis of distinct values of a setting.

    Attributes:
        values: the values, in the order in which they were given.
    """

    values: tuple[Value, ...]

    def suggest(self, trial: Trial, name: str) -> Value:
        """Return the value that the sampler proposes; it becomes the trial's parameter `name`."""
        return trial.suggest_categorical(name, self.values)

    def to_json(self) -> list[Value]:
        """Return the values as a list."""
        return list(self.values)


@dataclass(frozen=True)
class Interval:
    """Axis of the numbers from `low` to `high`; ints if `low` is an int, else floats.

    Attributes:
        low: the smallest number.
        high: the largest number, included.
    """

    low: float | int
    high: float | int

    @property
    def log(self) -> bool:
        """Whether to sample on a log scale: floats above 0 that span at least a factor of 10."""
        return isinstance(self.low, float) and self.low > 0 and self.high >= 10 * self.low

    def suggest(self, trial: Trial, name: str) -> float | int:
        """Return the number that the sampler proposes; it becomes the trial's parameter `name`."""
        if isinstance(self.low, int):
            return trial.suggest_int(name, self.low, self.high)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def to_json(self) -> dict[str, Any]:
        """Return {"low": low, "high": high, "log": whether to sample on a log scale}."""
        return {"low": self.low, "high": self.high, "log": self.log}


Axis = Choices | Interval


def parse_axis(text: AxisText, fixed: Settings) -> Axis:
    """Return the axis of values as text: an `Interval` for one `LOW:HIGH`, otherwise `Choices`.

    Only a setting that is a number has intervals.

    Args:
        text: a field of `Settings` and its values.
        fixed: settings that each value must be valid with.

    Raises:
        SettingsError: a value is invalid, missing or given twice, an interval is empty, or it is
            listed with other values; the message starts with the origin of the text.
    """
    try:
        bounds = [each for each in text.texts if is_interval(text.name, each)]
        if not bounds:
            return make_choices(
                [parse_value(text.name, each, fixed) for each in text.texts or [""]]
            )
        if len(text.texts) > 1:
            raise SettingsError(
                f"the range {bounds[0]} is listed with other values; give the range alone"
            )
        low, high = (parse_value(text.name, each, fixed) for each in bounds[0].split(":"))
        return make_interval(text.name, low, high)
    except SettingsError as error:
        raise SettingsError(f"{text.origin}: {error}") from error


def convert_axis(name: str, values: Any, fixed: Settings) -> Axis:
    """Return the axis of values given from Python, converted to the type of the setting.

    An `Interval` gives an `Interval`, everything else `Choices` in the given order.

    Args:
        name: a field of `Settings`.
        values: an `Interval`, `Choices` or an iterable of values, but not a string.
        fixed: settings that each value must be valid with.

    Raises:
        SettingsError: `values` has another type or no value; a value is invalid or occurs twice;
            or an interval is empty, or the setting is not a number. The message starts with
            `space['NAME']: `.
    """
    try:
        if isinstance(values, Interval):
            low, high = (convert_value(name, each, fixed) for each in (values.low, values.high))
            return make_interval(name, low, high)
        given = values.values if isinstance(values, Choices) else values
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise SettingsError(f"expected an Interval or a list of values, found {given!r}")
        return make_choices([convert_value(name, each, fixed) for each in given])
    except SettingsError as error:
        raise SettingsError(f"space[{name!r}]: {error}") from error


def make_choices(values: list[Value]) -> Choices:
    """Return an axis of values that are valid already.

    Raises:
        SettingsError: there is no value, or one occurs twice.
    """
    if not values:
        raise SettingsError("a value is missing")
    for index, value in enumerate(values):
        if value in values[:index]:
            raise SettingsError(f"{format_value(value)} is given twice")
    return Choices(tuple(values))


def make_interval(name: str, low: Value, high: Value) -> Interval:
    """Return an interval of a setting, whose bounds are valid values already.

    Raises:
        SettingsError: the setting is not a number, the interval is empty, or its bounds mix
            fractions and numbers of rows.
    """
    if value_type(FIELDS[name]) not in (int, float):
        raise SettingsError(f"{name} is not a number, so it has no range; give a list of values")
    text = f"{format_value(low)}:{format_value(high)}"
    if not low < high:
        raise SettingsError(f"the range {text} is empty, expected LOW:HIGH")
    if name == "calibration_size" and low <= 1 < high:
        raise SettingsError(
            f"the range {text} mixes fractions with numbers of rows; end it at 1, or begin it at 2"
        )
    return Interval(low, high)


def is_interval(name: str, text: str) -> bool:
    """Return whether a text has one colon, as `LOW:HIGH`, and the setting is a number."""
    return value_type(FIELDS[name]) in (int, float) and text.count(":") == 1


def parse_value(name: str, text: str, fixed: Settings) -> Value:
    """Return the value of a setting from its text, as on the command line.

    `none` and `null` give None for a setting whose default is None.

    Args:
        name: the setting.
        text: the value.
        fixed: settings that the value must be valid with.

    Raises:
        SettingsError: the text is not a valid value; the message is that of `calibrate`.
    """
    if not text:
        raise SettingsError("a value is missing")
    if FIELDS[name].default is None and text.lower() in NONE_WORDS:
        return None
    try:
        value = click.types.convert_type(value_type(FIELDS[name])).convert(text, None, None)
    except click.BadParameter as error:
        raise SettingsError(error.message) from error
    return validate_value(name, value, fixed)


def validate_value(name: str, value: Value, fixed: Settings) -> Value:
    """Return a value as `Settings` stores it.

    Args:
        name: a field of `Settings`.
        value: a value of the field's type.
        fixed: the other settings; its own value of the field is ignored.

    Raises:
        SettingsError: the value is out of range, or does not suit the other settings in `fixed`.
    """
    return getattr(replace(fixed, **{name: value}), name)


def convert_value(name: str, value: Any, fixed: Settings) -> Value:
    """Return a value given from Python in the type of its setting.

    An int is converted to float for a setting of this type, and numpy numbers to Python's. None is
    valid for a setting whose default is None.

    Args:
        name: a field of `Settings`.
        value: the value.
        fixed: settings that the value must be valid with.

    Raises:
        SettingsError: the value has another type, is out of range, or does not suit `fixed`.
    """
    value = value.item() if isinstance(value, np.generic) else value
    expected = value_type(FIELDS[name])
    if expected is float and type(value) is int:
        value = float(value)
    if name in POOL_WORDS and type(value) is int:
        value = str(value)
    if type(value) is not expected and not (value is None and FIELDS[name].default is None):
        raise SettingsError(f"{name} is {value!r}, expected {expected.__name__}")
    return validate_value(name, value, fixed)
