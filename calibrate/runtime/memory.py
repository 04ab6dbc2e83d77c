"""Memory of this machine."""

import os
import sys


def physical_memory() -> int | None:
    """Return the physical memory in bytes; None if the system does not report it."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def peak_memory_mb() -> int | None:
    """Return the highest resident memory of this process in MB; None if it is not reported."""
    try:
        import resource
    except ImportError:  # on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
