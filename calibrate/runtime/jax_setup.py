"""JAX setup: the device, the cache of compiled programs, and the time spent compiling."""

import os
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
# Settings that change results, or that the core is not written for.
FIXED_SETTINGS = {
    "jax_enable_x64": False,
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_transfer_guard": "allow",
}


def start(device: str) -> str:
    """Set up JAX and return the platform that it computes on, such as `cpu` or `gpu`.

    Compiled programs are kept in the user's cache folder, or where JAX_COMPILATION_CACHE_DIR says,
    so that later runs need not compile.

    Args:
        device: `auto`, `cpu` or `gpu`.

    Raises:
        CalibrationError: JAX has no such device.
    """
    # Without access to that folder JAX compiles again: slower, but no reason for a warning.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    folder = jax.config.jax_compilation_cache_dir or str(user_cache_path("clip-cfr") / "jax")
    jax.config.update("jax_compilation_cache_dir", os.path.expanduser(folder))
    # Keep programs that compile fast too: a run has dozens of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    return select_device(device)


@contextmanager
def fixed_numerics() -> Iterator[None]:
    """Set JAX's settings of `FIXED_SETTINGS` to fixed values in the block; restore them after.

    The core computes in float32 throughout, and a seed means the same random numbers everywhere,
    regardless of the environment and the caller.
    """
    before = {name: getattr(jax.config, name) for name in FIXED_SETTINGS}
    try:
        for name, value in FIXED_SETTINGS.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def select_device(name: str) -> str:
    """Make a device JAX's default, and return its platform.

    `auto` changes nothing. `cpu` overrides JAX_PLATFORMS if JAX has not started yet.

    Args:
        name: `cpu`, `gpu`, or `auto` for JAX's own choice.

    Raises:
        CalibrationError: JAX has no such device.
    """
    platforms = jax.config.jax_platforms
    if name == "cpu" and platforms and "cpu" not in platforms.split(","):
        # As asked for, instead of the platforms in JAX_PLATFORMS; without effect once JAX runs.
        jax.config.update("jax_platforms", "cpu")
    try:
        if name == "auto":
            return jax.default_backend()
        jax.config.update("jax_default_device", jax.devices(name)[0])
    # JAX asserts that it has a backend, and has none if JAX_PLATFORMS names missing ones only.
    except (RuntimeError, AssertionError) as error:
        raise CalibrationError(describe_missing_device(name, platforms, error)) from error
    return name


def describe_missing_device(name: str, platforms: str | None, error: Exception) -> str:
    """Return the message about a device that JAX does not find, with a remedy.

    Args:
        name: the value of --device.
        platforms: the platforms that JAX_PLATFORMS allows; None or empty for all.
        error: JAX's error.
    """
    why = (str(error).splitlines() or [""])[0].partition(" (set JAX_PLATFORMS")[0]
    if platforms and (name == "auto" or name not in platforms.split(",")):
        reason = f" ({why})" if why else ""
        return (
            f"--device {name}: JAX finds no such device among JAX_PLATFORMS={platforms}{reason}; "
            "unset JAX_PLATFORMS, or set it to cpu"
        )
    if name == "auto":
        return f"JAX finds no device: {why}; unset JAX_PLATFORM_NAME, or set it to cpu"
    found = ", ".join(sorted({device.platform for device in jax.devices()}))
    return (
        f"--device {name}: JAX finds no such device, only {found}; leave the option out, or "
        "install JAX for it"
    )


@dataclass
class CompileTimer:
    """Time that JAX spends tracing, lowering and compiling.

    Attributes:
        spans: start and end of each event, in seconds; they may overlap.
    """

    spans: list[tuple[float, float]] = field(default_factory=list)

    def record(self, event: str, start: float, end: float, **_) -> None:
        """Add the span of an event of `jax.monitoring`; events other than compiling are ignored.

        Args:
            event: name of the event.
            start, end: its start and end in seconds.
        """
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
    """Yield a timer that records the compilations of all threads while the block runs."""
    timer = CompileTimer()
    jax.monitoring.register_event_time_span_listener(timer.record)
    try:
        yield timer
    finally:
        jax.monitoring.unregister_event_time_span_listener(timer.record)
