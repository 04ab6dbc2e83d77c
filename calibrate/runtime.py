"""Sets up JAX for a command: the device, the cache of compiled programs, the seconds compiling."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import jax
from platformdirs import user_cache_path

from calibrate.errors import CalibrationError

COMPILE_EVENTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


def start(device: str) -> str:
    """The platform that JAX computes on, after it is set up.

    Compiled programs are kept in the user's cache folder, so that the next run starts without
    compiling.

    Raises:
        CalibrationError: there is no such device.
    """
    # Where that folder may not be used, JAX compiles anew: slower, and nothing to worry about.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(user_cache_path("clip-cfr") / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    return use_device(device)


def use_device(name: str) -> str:
    """The platform that JAX computes on: its own choice with `auto`, else `cpu` or `gpu`.

    Raises:
        CalibrationError: there is no such device.
    """
    if name != "auto":
        try:
            jax.config.update("jax_default_device", jax.devices(name)[0])
        except RuntimeError as error:
            raise CalibrationError(
                f"--device {name}: JAX finds no such device, only "
                f"{', '.join(sorted({d.platform for d in jax.devices()}))}; leave the option out, "
                "or install JAX for it"
            ) from error
        return name
    return jax.default_backend()


@dataclass
class Stopwatch:
    """Seconds spent compiling so far."""

    seconds: float = 0.0

    def listen(self, event: str, duration: float, **_) -> None:
        if event in COMPILE_EVENTS:
            self.seconds += duration


@contextmanager
def compile_seconds():
    """A stopwatch that counts tracing, lowering and compiling while the block runs."""
    watch = Stopwatch()
    jax.monitoring.register_event_duration_secs_listener(watch.listen)
    try:
        yield watch
    finally:
        jax.monitoring.unregister_event_duration_listener(watch.listen)
