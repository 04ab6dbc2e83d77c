"""Import JAX, which reads its settings from the environment."""

import importlib

from clip_cfr.calibrate.core.errors import CalibrationError


def import_jax() -> None:
    """Import JAX, to report wrong settings of it before modules that compute with it are imported.

    Raises:
        CalibrationError: a variable of the environment, such as JAX_ENABLE_X64, has a value that
            JAX does not know.
    """
    try:
        importlib.import_module("jax")
    except ValueError as error:
        raise CalibrationError(
            f"JAX cannot read its settings from the environment: {error}; unset the JAX_ variable "
            "that sets this, or correct it"
        ) from error
