"""What a setting may be in a search: one of several values, or anything in an interval."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import click
from optuna.trial import Trial

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings

Value = str | float | int | bool | None
NOTHING = ("none", "null")
FIELDS = {each.name: each for each in fields(Settings)}


@dataclass(frozen=True)
class Given:
    """A setting and its values as somebody wrote them; `origin` says where, for messages."""

    name: str
    texts: tuple[str, ...]
    origin: str


@dataclass(frozen=True)
class Choices:
    """Values, each once, in the order in which they were given."""

    values: tuple[Value, ...]

    def suggest(self, trial: Trial, name: str) -> Value:
        """The trial's value."""
        return trial.suggest_categorical(name, self.values)

    def as_json(self) -> list[Value]:
        return list(self.values)


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both among them: whole ones where the bounds are."""

    low: float | int
    high: float | int

    @property
    def log(self) -> bool:
        """Whether all orders of magnitude count the same: floats above 0 that span tenfold."""
        return isinstance(self.low, float) and self.low > 0 and self.high >= 10 * self.low

    def suggest(self, trial: Trial, name: str) -> float | int:
        """The trial's value."""
        if isinstance(self.low, int):
            return trial.suggest_int(name, self.low, self.high)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def as_json(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "log": self.log}


Axis = Choices | Interval


def parse_axis(given: Given, fixed: Settings) -> Axis:
    """The axis that texts describe: `LOW:HIGH` of a number, or values.

    Raises:
        SettingsError: names the origin and what `Settings` or click have against a value.
    """
    try:
        bounds = [text for text in given.texts if is_interval(given.name, text)]
        if not bounds:
            return Choices(tuple(parse_values(given, fixed)))
        if len(given.texts) > 1:
            raise SettingsError(f"the range {bounds[0]} stands beside other values, expected alone")
        low, high = (parse_value(given.name, text, fixed) for text in bounds[0].split(":"))
        if not low < high:
            raise SettingsError(f"the range {bounds[0]} is empty, expected LOW:HIGH")
        if given.name == "calibration_size" and low <= 1 < high:
            raise SettingsError(
                f"the range {bounds[0]} mixes fractions with numbers of rows; end it at 1, or "
                "begin it at 2"
            )
        return Interval(low, high)
    except SettingsError as error:
        raise SettingsError(f"{given.origin}: {error}") from error


def is_interval(name: str, text: str) -> bool:
    """Whether a text is two bounds of a number."""
    return kind_of(name) in (int, float) and text.count(":") == 1


def parse_values(given: Given, fixed: Settings) -> list[Value]:
    """The values, each once."""
    values = []
    for text in given.texts or ("",):
        value = parse_value(given.name, text, fixed)
        if value in values:
            raise SettingsError(f"{text} is given twice")
        values.append(value)
    return values


def parse_value(name: str, text: str, fixed: Settings) -> Value:
    """The value of a text, refused in the words of `calibrate`."""
    if not text:
        raise SettingsError("a value is missing")
    if FIELDS[name].default is None and text.lower() in NOTHING:
        return None
    try:
        value = click.types.convert_type(kind_of(name)).convert(text, None, None)
    except click.BadParameter as error:
        raise SettingsError(error.message) from error
    replace(fixed, **{name: value})
    return value


def settings_text(values: Mapping[str, Value]) -> str:
    """Settings with their values, in words."""
    return ", ".join(f"{name} {value_text(value)}" for name, value in values.items())


def value_text(value: Value) -> str:
    """A value in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value).lower()


def kind_of(name: str) -> type:
    """The type of a setting's values."""
    return float if FIELDS[name].default is None else FIELDS[name].type
