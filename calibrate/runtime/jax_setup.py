"""Sets up JAX for a command: the device, the cache of compiled programs, the seconds compiling."""

import warnings
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
    """The platform that JAX computes on, after it is set up.

    Compiled programs are kept in the user's cache folder, so that the next run starts without
    compiling.

    Raises:
        CalibrationError: there is no such device.
    """
    # Where that folder may not be used, JAX compiles anew: slower, and nothing to worry about.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(user_cache_path("clip-cfr") / "jax"))
    # All of them: a run has dozens of small ones, and compiling those takes longer than training.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
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
    """Spans of time in which something was traced, lowered or compiled."""

    spans: list[tuple[float, float]] = field(default_factory=list)

    def listen(self, event: str, start: float, end: float, **_) -> None:
        if event in COMPILE_EVENTS:
            self.spans.append((start, end))

    @property
    def seconds(self) -> float:
        """Seconds that the spans cover; what lies within another span counts once."""
        covered, until = 0.0, 0.0
        for start, end in sorted(self.spans):
            covered += max(0.0, end - max(start, until))
            until = max(until, end)
        return covered


@contextmanager
def compile_seconds():
    """A stopwatch that hears of tracing, lowering and compiling while the block runs."""
    watch = Stopwatch()
    jax.monitoring.register_event_time_span_listener(watch.listen)
    try:
        yield watch
    finally:
        jax.monitoring.unregister_event_time_span_listener(watch.listen)
