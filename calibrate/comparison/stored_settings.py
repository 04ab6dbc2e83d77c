"""Read the settings of a stored result, also of an earlier version."""

from collections.abc import Mapping
from typing import Any

from clip_cfr.calibrate.core.settings import Settings

# Settings that choose a head; the head of the identification stage was that of ERM, `erm`.
HEAD_SETTINGS = ("calibration_source", "dps_source", "init")


def read_settings(values: Mapping[str, Any]) -> Settings:
    """Return stored settings.

    Earlier versions had no identification stage: the ERM that they reported defined the calibration
    set. Its steps and learning rate are then those of the identification stage, too.

    Raises:
        SettingsError: a value is invalid.
        TypeError: there is no such setting.
    """
    return Settings(**convert_settings(values))


def convert_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored settings by name, those of earlier versions in the form of this one.

    Settings may be missing; see `read_settings`.
    """
    if "identification_lr" in values or "identification_steps" in values:
        return dict(values)
    of_stage = {
        f"identification_{name}": values[f"erm_{name}"]
        for name in ("lr", "steps")
        if f"erm_{name}" in values
    }
    heads = {name: "identification" for name in HEAD_SETTINGS if values.get(name) == "erm"}
    return {**values, **of_stage, **heads}
