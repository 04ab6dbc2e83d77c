"""Exceptions of this package."""


class ExtractError(Exception):
    """A data set, image or model cannot be used; the message says what to do."""


class OptionError(ExtractError):
    """An option is invalid, or does not go together with the others."""
