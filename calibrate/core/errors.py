"""The exceptions of this package."""


class CalibrationError(Exception):
    """The data or the settings allow no such training; the message says what to change."""


class SettingsError(CalibrationError):
    """A setting is out of its range, or not among its choices."""
