"""The exceptions of this package."""


class ExtractError(Exception):
    """A data set, an image or a model is not what it should be; the message says what to do."""


class OptionError(ExtractError):
    """An option was given that does not fit the others, such as one of another data set."""
