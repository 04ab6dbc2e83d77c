"""Versions of the libraries that determine the features."""

import platform
from importlib.metadata import version


def encoder_versions(*libraries: str) -> dict[str, str]:
    """Return the versions of torch, Pillow, numpy and Python, and of further libraries."""
    names = ("torch", *libraries, "pillow", "numpy")
    return library_versions(*names) | {"python": platform.python_version()}


def library_versions(*names: str) -> dict[str, str]:
    """Return the installed version of each distribution."""
    return {name: version(name) for name in names}
