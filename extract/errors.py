"""The exception of this package."""


class ExtractError(Exception):
    """A data set, an image or a model is not what it should be; the message says what to do."""
