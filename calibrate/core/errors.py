"""Exceptions of the calibrate package."""


class CalibrationError(Exception):
    """Training is not possible with this data and these settings; says what to change."""


class SettingsError(CalibrationError):
    """A setting is out of its range, not among its choices, or does not suit the task."""
