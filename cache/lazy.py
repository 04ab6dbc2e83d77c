"""Public names of a package that are imported on first use (PEP 562), as lazy_loader does."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` for a package with lazy public names.

    Importing the package then loads none of the modules; `__getattr__` imports the object of a name
    on first use, and raises AttributeError for a name that is not in `modules`. For example, in its
    `__init__.py`:

        __getattr__, __dir__, __all__ = lazy_exports(
            __name__, {"read_cache": "clip_cfr.cache.read.reader"}
        )

    Args:
        package: `__name__` of the package.
        modules: public name -> full name of the module that defines it.
    """
    return partial(_load, package, modules), partial(_list_names, package, modules), [*modules]


def _load(package: str, modules: Mapping[str, str], name: str) -> Any:
    """Import the object of a public name, and store it in the package for the next access."""
    if name not in modules:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(import_module(modules[name]), name)
    setattr(sys.modules[package], name, value)
    return value


def _list_names(package: str, modules: Mapping[str, str]) -> list[str]:
    return sorted({*vars(sys.modules[package]), *modules})
