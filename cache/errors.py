"""The exception of this package."""


class CacheError(Exception):
    """A file on disk is not what it should be; the message names it and says what to do."""
