"""Memory that this process shares with its worker processes, in which they write pixels."""

import mmap
import os
from multiprocessing.reduction import DupFd
from typing import Any, Self

import numpy as np
from jaxtyping import UInt8


class SharedPixels:
    """An array of 8-bit integers in anonymous memory, which a pickled copy shares.

    The memory does not count towards the size of /dev/shm, which is 64 MB in a container by
    default. It is zero, and takes up space only where it has been written. Pickle it while a
    process starts, and call `close_descriptor` once all have started.

    Args:
        shape: shape of the array.

    Attributes:
        shape: shape of the array.
        array: the array, uint8, in memory that all copies share.
        descriptor: file descriptor of the memory; closed in copies.

    Raises:
        OSError: the system has no such memory, or its limits forbid it.
    """

    def __init__(self, shape: tuple[int, ...]):
        if not hasattr(os, "memfd_create"):
            raise OSError("this system has no anonymous files")
        self.shape = shape
        self.descriptor = os.memfd_create("clip-cfr-pixels")
        try:
            os.ftruncate(self.descriptor, int(np.prod(shape)))
            self.array = self._map()
        except (OSError, ValueError) as error:
            self.close_descriptor()
            raise OSError(f"shared memory cannot be mapped ({error})") from error

    @classmethod
    def create(cls, shape: tuple[int, ...]) -> Self | None:
        """Return shared pixels of a shape, or None if the system does not allow it."""
        try:
            return cls(shape)
        except OSError:
            return None

    def close_descriptor(self) -> None:
        """Close the file descriptor; the array stays, but cannot be pickled any more."""
        os.close(self.descriptor)

    def __getstate__(self) -> dict[str, Any]:
        return {"shape": self.shape, "descriptor": DupFd(self.descriptor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.shape, self.descriptor = state["shape"], state["descriptor"].detach()
        self.array = self._map()
        self.close_descriptor()

    def _map(self) -> UInt8[np.ndarray, "..."]:
        """Map the memory into this process."""
        memory = mmap.mmap(self.descriptor, int(np.prod(self.shape)))
        return np.frombuffer(memory, np.uint8).reshape(self.shape)
