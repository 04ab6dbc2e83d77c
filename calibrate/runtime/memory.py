"""Memory of this machine."""

import os


def physical_memory() -> int | None:
    """Return the physical memory in bytes; None if the system does not report it."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
