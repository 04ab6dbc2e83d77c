"""JAX setup: the device, the cache of compiled programs, and the time spent compiling."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import jax
from platformdirs import user_cache_path

from clip_cfr.calibrate.core.errors import CalibrationError

COMPILE_EVENTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


def start(device: str) -> str:
    """Set up JAX and return the platform that it computes on.

    Compiled programs are kept in the user's cache folder, so that later runs need not compile.

    Args:
        device: `auto`, `cpu` or `gpu`.

    Raises:
        CalibrationError: JAX has no such device.
    """
    # Without access to that folder JAX compiles again: slower, but no reason for a warning.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(user_cache_path("clip-cfr") / "jax"))
    # Keep programs that compile fast too: a run has dozens of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    return select_device(device)


def select_device(name: str) -> str:
    """Make a device JAX's default, and return its platform.

    Args:
        name: `cpu`, `gpu`, or `auto` for JAX's own choice.

    Raises:
        CalibrationError: JAX has no such device.
    """
    if name == "auto":
        return jax.default_backend()
    try:
        jax.config.update("jax_default_device", jax.devices(name)[0])
    except RuntimeError as error:
        platforms = ", ".join(sorted({device.platform for device in jax.devices()}))
        raise CalibrationError(
            f"--device {name}: JAX finds no such device, only {platforms}; leave the option out, "
            "or install JAX for it"
        ) from error
    return name


@dataclass
class CompileTimer:
    """Time spent tracing, lowering and compiling.

    Attributes:
        spans: start and end of each event, in seconds.
    """

    spans: list[tuple[float, float]] = field(default_factory=list)

    def record(self, event: str, start: float, end: float, **_) -> None:
        """Record an event of `jax.monitoring` if it is one of compiling."""
        if event in COMPILE_EVENTS:
            self.spans.append((start, end))

    @property
    def seconds(self) -> float:
        """Seconds covered by the spans; overlaps count once."""
        covered, until = 0.0, 0.0
        for start, end in sorted(self.spans):
            covered += max(0.0, end - max(start, until))
            until = max(until, end)
        return covered


@contextmanager
def time_compilation() -> Iterator[CompileTimer]:
    """Yield a timer of the compilations within the block."""
    timer = CompileTimer()
    jax.monitoring.register_event_time_span_listener(timer.record)
    try:
        yield timer
    finally:
        jax.monitoring.unregister_event_time_span_listener(timer.record)
