"""Options of `Settings`: default, help, source, allowed values, and the range to tune in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from clip_cfr.calibrate.core.errors import SettingsError

# JAX and the drawn row indices count in 32 bits.
MAX_COUNT = 2**31 - 1


@dataclass(frozen=True)
class Range:
    """Bounds of a finite number, both included; `exclusive` excludes the lower bound.

    `value in range` is false for NaN and infinity. As a string: "above 0", "at least 1", or
    "at least 0 and at most 1".
    """

    low: float = 0
    high: float = float("inf")
    exclusive: bool = False

    def __contains__(self, value: float) -> bool:
        above = self.low < value if self.exclusive else self.low <= value
        return above and value <= self.high and isfinite(value)

    def __str__(self) -> str:
        above = "above" if self.exclusive else "at least"
        top = "" if self.high == float("inf") else f" and at most {self.high:g}"
        return f"{above} {self.low:g}{top}"


POSITIVE = Range(exclusive=True)
COUNT = Range(low=1)
FRACTION = Range(high=1)


def option(
    default: Any, text: str, source: str = "", *, choices=None, within=None, search=None
) -> Any:
    """Return a field of `Settings` with the metadata that the command line shows.

    Args:
        default: default value.
        text: help text, in sentences.
        source: sentence on the default in the paper or in the authors' code; empty if it is in
            neither.
        choices: allowed words, if the value is a word, else None.
        within: allowed `Range`, if the value is a number, else None.
        search: `Range` or values to tune it in; None if no method tunes it.
    """
    metadata = {
        "help": text,
        "source": source,
        "choices": choices,
        "within": within,
        "search": search,
    }
    return field(default=default, metadata=metadata)


def check_value(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    """Raise SettingsError if a value is not among its choices or out of its range.

    A range applies to all values but None. A count is at most `MAX_COUNT`.

    Args:
        name: name of the setting, for the message.
        metadata: metadata of its field, as made by `option`.
    """
    choices, within = metadata["choices"], metadata["within"]
    if choices is not None and value not in choices:
        raise SettingsError(f"{name} is {value!r}, expected one of: {', '.join(choices)}")
    if within is not None and value is not None and value not in within:
        finite = "" if isfinite(value) else "a finite number "
        raise SettingsError(f"{name} is {value}, expected {finite}{within}")
    if within is COUNT and value > MAX_COUNT:
        raise SettingsError(f"{name} is {value}, expected at most {MAX_COUNT}")
