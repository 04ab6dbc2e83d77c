"""The versions of what a feature passes through."""

import platform
from importlib.metadata import version


def versions(*libraries: str) -> dict[str, str]:
    """The versions of Pillow, numpy, torch and Python, and of further libraries."""
    names = ("torch", *libraries, "pillow", "numpy")
    return library_versions(*names) | {"python": platform.python_version()}


def library_versions(*names: str) -> dict[str, str]:
    """The versions of libraries."""
    return {name: version(name) for name in names}
