"""Search spaces: the varied settings and their axes, validated before anything runs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import Field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.options import Range
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.stage_spec import SHARED_SETTINGS
from clip_cfr.calibrate.grid.axes import (
    FIELDS,
    Axis,
    AxisText,
    Choices,
    Interval,
    convert_axis,
    parse_axis,
)
from clip_cfr.calibrate.grid.settings_file import read_settings_file
from clip_cfr.calibrate.methods import ALL_METHODS, load_method

# The axis of each varied setting, in the order of `sort_settings`.
Space = dict[str, Axis]


def search_space(method: str) -> Space:
    """Return the axes in which to tune a method, as it declares them; empty if it has none."""
    return {name: search_axis(FIELDS[name]) for name in load_method(method).search}


def search_axis(field: Field) -> Axis:
    """Return the axis in which to tune a setting: an interval, or choices."""
    search = field.metadata["search"]
    return Interval(search.low, search.high) if isinstance(search, Range) else Choices(search)


def read_space(
    assignments: Iterable[str],
    file: Path | None,
    *,
    fixed: Settings,
    fixed_names: Collection[str],
    methods: Sequence[str],
) -> Space:
    """Return the axes of `--set` options and a settings file together, in fixed order.

    Args:
        assignments: `NAME=VALUES` of each `--set`.
        file: a YAML or JSON file; None if there is none.
        fixed: the settings of the other options.
        fixed_names: settings given by an option of their own.
        methods: the methods to fit.

    Raises:
        SettingsError: a name or a value is invalid, a setting occurs twice, no method depends on
            it, or there is no setting.
        CalibrationError: the file cannot be read.
    """
    texts = [parse_assignment(each) for each in assignments]
    if file is not None:
        texts += read_settings_file(file)
    space: Space = {}
    for text in map(resolve_name, texts):
        check_setting_used(text.name, methods, text.origin)
        if text.name in space:
            raise SettingsError(f"{text.origin}: {text.name} is varied already")
        if text.name in fixed_names:
            option = f"--{text.name.replace('_', '-')}"
            raise SettingsError(f"{text.origin}: {text.name} is fixed by {option}; leave one out")
        space[text.name] = parse_axis(text, fixed)
    if not space:
        raise SettingsError("nothing to vary: give --set NAME=VALUE,VALUE or --settings FILE")
    return {name: space[name] for name in sort_settings(space)}


def check_space(values: Mapping[str, Any], fixed: Settings, methods: Sequence[str]) -> Space:
    """Check a space given from Python, and return its axes in fixed order.

    Args:
        values: by setting, an `Interval`, `Choices` or values; `-` and `_` in names are the same.
        fixed: the other settings.
        methods: the methods to fit.

    Raises:
        SettingsError: a name or a value is invalid, no method depends on a setting, or there is no
            setting.
    """
    check_methods(methods)
    if not values:
        raise SettingsError("nothing to vary: give a space such as {'lr': [1e-4, 1e-3]}")
    space: Space = {}
    for given_name, axis in values.items():
        name = resolve_name(AxisText(given_name, (), f"space[{given_name!r}]")).name
        check_setting_used(name, methods, f"space[{given_name!r}]")
        space[name] = convert_axis(name, axis, fixed)
    return {name: space[name] for name in sort_settings(space)}


def parse_assignment(text: str) -> AxisText:
    """Return the setting and the values of one `--set NAME=VALUE,VALUE`, stripped but unchecked.

    Raises:
        SettingsError: there is no `=`.
    """
    name, separator, values = text.partition("=")
    if not separator:
        raise SettingsError(f"--set {text}: expected NAME=VALUE,VALUE or NAME=LOW:HIGH")
    texts = tuple(value.strip() for value in values.split(","))
    return AxisText(name.strip(), texts, f"--set {text}")


def resolve_name(text: AxisText) -> AxisText:
    """Return the same values with the name of the field of `Settings`: `erm-lr` gives `erm_lr`.

    Raises:
        SettingsError: there is no such setting, or it is the selection, which all points share.
    """
    name = text.name.replace("-", "_")
    if name == "selection":
        raise SettingsError(
            f"{text.origin}: all points are ranked by one criterion; fix it with --selection"
        )
    if name in FIELDS:
        return replace(text, name=name)
    near = get_close_matches(name, FIELDS, n=1)
    hint = f"did you mean {near[0]}?" if near else "calibrate --help lists them"
    raise SettingsError(f"{text.origin}: there is no setting {text.name!r}; {hint}")


def check_methods(methods: Sequence[str]) -> None:
    """Raise SettingsError if there is no method, one is unknown, or `methods` is a string."""
    known = ", ".join(ALL_METHODS)
    if isinstance(methods, str) or not methods:
        raise SettingsError(f"methods is {methods!r}, expected a list of: {known}")
    for method in methods:
        if method not in ALL_METHODS:
            raise SettingsError(f"there is no method {method!r}, expected one of: {known}")


def check_setting_used(name: str, methods: Sequence[str], origin: str) -> None:
    """Raise SettingsError if no method depends on a setting.

    Args:
        name: the setting.
        methods: the methods to fit.
        origin: start of the message, such as the option.
    """
    if any(name in load_method(method).used_settings for method in methods):
        return
    if len(methods) > 1:
        raise SettingsError(
            f"{origin}: none of {', '.join(methods)} depends on {name}; leave it out"
        )
    used = ", ".join(load_method(methods[0]).used_settings) or "no setting at all"
    raise SettingsError(
        f"{origin}: {methods[0]} does not depend on {name}, only on {used}; leave it out"
    )


def restrict_space(space: Space, method: str) -> Space:
    """Return the axes of the settings that a method depends on, in their order; may be empty."""
    return {name: axis for name, axis in space.items() if name in load_method(method).used_settings}


def sort_settings(names: Collection[str]) -> list[str]:
    """Return the settings among `names` in a fixed order: first those of shared stages.

    The first axis varies slowest, so that neighbouring points share a stage.
    """
    slowest_first = dict.fromkeys((*SHARED_SETTINGS, *FIELDS))
    return [name for name in slowest_first if name in names]
