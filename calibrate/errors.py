"""The exception of this package."""


class CalibrationError(Exception):
    """The data or the settings allow no such training; the message says what to change."""
