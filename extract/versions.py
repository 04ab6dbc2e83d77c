"""The versions of what a feature passes through."""

import platform
from importlib.metadata import version


def versions(*libraries: str) -> dict[str, str]:
    """The versions of Pillow, numpy, torch and Python, and of further libraries."""
    names = ("torch", *libraries, "pillow", "numpy")
    return {name: version(name) for name in names} | {"python": platform.python_version()}
