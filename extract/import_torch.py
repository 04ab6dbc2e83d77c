"""Import torch, which takes seconds and fails in many ways."""

import importlib

from clip_cfr.extract.errors import ExtractError


def import_torch() -> None:
    """Import torch before the modules that compute with it, to convert the errors of the import.

    Raises:
        ModuleNotFoundError: torch, or a Python package that it needs, is not installed.
        ExtractError: torch is installed, but a library that it needs is missing or of another
            version, or a variable such as TORCH_LOGS has a value that it does not know.
    """
    try:
        importlib.import_module("torch")
    except ModuleNotFoundError:
        raise
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        raise ExtractError(
            f"torch cannot be imported ({type(error).__name__}: {first_line}); if a TORCH_ "
            "variable of the environment is set, unset it; otherwise install torch again"
        ) from error
