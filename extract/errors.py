"""Exceptions of this package."""


class ExtractError(Exception):
    """A data set, image or model cannot be used; the message says what to do. Exit code 1."""


class OptionError(ExtractError):
    """An option is invalid, or does not go together with the others. Exit code 2."""
