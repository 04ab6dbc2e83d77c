"""Choose the precision of training by the instructions of the processor."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from clip_cfr.calibrate.core.settings import Settings

CPU_INFO = Path("/proc/cpuinfo")
# Instructions that multiply bfloat16 numbers about twice as fast as float32, or faster.
BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


def resolve_precision(settings: Settings) -> Settings:
    """Replace the precision `auto` by `bfloat16` or `float32`.

    The features of the processor decide, not a timing, so that a machine always computes the same
    numbers; on Linux only, float32 elsewhere.
    """
    if settings.precision != "auto":
        return settings
    fast = BFLOAT16_FLAGS & read_processor_flags()
    return replace(settings, precision="bfloat16" if fast else "float32")


@cache
def read_processor_flags() -> frozenset[str]:
    """Return the feature flags of the first processor; empty if the system does not list them."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return frozenset(next(flags, "").split())
