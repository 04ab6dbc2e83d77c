"""The search space: the axes that --set and a settings file give, checked before anything runs."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.experiment import ERM_SETTINGS
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.axes import FIELDS, Axis, Given, parse_axis
from clip_cfr.calibrate.grid.settings_file import read_settings_file

Space = dict[str, Axis]


def parse_option(text: str) -> Given:
    """What one `--set NAME=VALUE,VALUE` gives."""
    name, found, values = text.partition("=")
    if not found:
        raise SettingsError(f"--set {text}: expected NAME=VALUE,VALUE or NAME=LOW:HIGH")
    texts = tuple(value.strip() for value in values.split(","))
    return Given(name.strip(), texts, f"--set {text}")


def read_space(
    sets: Iterable[str],
    file: Path | None,
    fixed: Settings,
    options: Collection[str],
    method: str = "cfr",
) -> Space:
    """The axes that `--set` options and a settings file give together."""
    entries = [parse_option(each) for each in sets]
    if file is not None:
        entries += read_settings_file(file)
    return make_space(entries, fixed, options, method)


def make_space(
    entries: Iterable[Given],
    fixed: Settings,
    options: Collection[str] = (),
    method: str = "cfr",
) -> Space:
    """The axes by name; those that the ERM stage depends on come first, to vary slowest.

    Args:
        fixed: the other settings.
        options: settings that have an option of their own on the command line.
        method: what is fitted.

    Raises:
        SettingsError: a name is no setting, none of the method's or occurs twice, a value is
            refused, or there is none.
    """
    space: Space = {}
    for entry in (known(each) for each in entries):
        refuse_idle(entry, method)
        if entry.name in space:
            raise SettingsError(f"{entry.origin}: {entry.name} is varied already")
        if entry.name in options:
            option = f"--{entry.name.replace('_', '-')}"
            raise SettingsError(f"{entry.origin}: {entry.name} is fixed by {option}; leave one out")
        space[entry.name] = parse_axis(entry, fixed)
    if not space:
        raise SettingsError("nothing to vary: give --set NAME=VALUE,VALUE or --settings FILE")
    return {name: space[name] for name in ordered(space)}


def known(given: Given) -> Given:
    """The same under the name of the field.

    Raises:
        SettingsError: there is no such setting, or it is the one that all points share.
    """
    name = given.name.replace("-", "_")
    if name == "selection":
        raise SettingsError(
            f"{given.origin}: all points are judged by one criterion; fix it with --selection"
        )
    if name in FIELDS:
        return replace(given, name=name)
    near = get_close_matches(name, FIELDS, n=1)
    hint = f"did you mean {near[0]}?" if near else "calibrate --help lists them"
    raise SettingsError(f"{given.origin}: there is no setting {given.name!r}; {hint}")


def refuse_idle(entry: Given, method: str) -> None:
    """Raises SettingsError where nothing of the method depends on a setting."""
    used = {
        "zeroshot": (),
        "erm": ERM_SETTINGS,
        "dfr": ("dfr_subsamples",),
        "cfr": [name for name in FIELDS if name != "dfr_subsamples"],
    }[method]
    if entry.name not in used:
        raise SettingsError(
            f"{entry.origin}: {method} does not depend on {entry.name}, "
            f"only on {', '.join(used) or 'no setting at all'}; leave it out"
        )


def ordered(names: Collection[str]) -> list[str]:
    """The names in one order, however they were given: what the ERM stage depends on first."""
    slowest_first = dict.fromkeys((*ERM_SETTINGS, *FIELDS))
    return [name for name in slowest_first if name in names]
