"""Versions of the libraries that determine the features."""

import platform
from importlib.metadata import version


def encoder_versions(*libraries: str) -> dict[str, str]:
    """Return the versions of torch, further libraries, Pillow, numpy and Python by their names.

    Args:
        libraries: names of further distributions.

    Raises:
        PackageNotFoundError: one of them is not installed.
    """
    names = ("torch", *libraries, "pillow", "numpy")
    return library_versions(*names) | {"python": platform.python_version()}


def library_versions(*names: str) -> dict[str, str]:
    """Return the installed version of each distribution by its name.

    Raises:
        PackageNotFoundError: one of them is not installed.
    """
    return {name: version(name) for name in names}
