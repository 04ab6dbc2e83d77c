"""Read arrays of any HDF5 file, such as features that another program saved."""

from contextlib import ExitStack
from pathlib import Path

import h5py
import numpy as np

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.hdf5_file import HDF5_ERRORS

REMEDY = "save the array again, for example with numpy.save"


class ArrayOnDisk:
    """An array of an open HDF5 file, whose rows are read by slicing.

    Attributes:
        path: the file.
        name: path of the array in the file, such as `/train/features`.
        shape: shape of the array; () also if HDF5 stores no value.
        dtype: type of the numbers.
    """

    def __init__(self, path: Path, data: h5py.Dataset):
        self.path, self.name = path, data.name
        self.shape, self.dtype = data.shape or (), data.dtype
        self._data = data

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the rows of a slice, in the stored type.

        Raises:
            CacheError: the data are damaged, compressed by a filter that is not installed, or in
                another file.
        """
        if self._data.is_virtual or self._data.external:
            raise CacheError(
                f"{self.path}: {self.name} refers to other files, which are not read; copy the "
                f"array into one file; {REMEDY}"
            )
        try:
            found = self._data[rows]
        except HDF5_ERRORS as error:
            raise CacheError(
                f"{self.path}: {self.name} cannot be read ({error}): the data is damaged, or "
                f"compressed by a filter that is not installed; {REMEDY}"
            ) from error
        return found


def open_arrays(path: Path, stack: ExitStack) -> dict[str, ArrayOnDisk]:
    """Open all arrays of an HDF5 file, and return them by their paths in it, such as `/train/x`.

    Soft and external links are not followed; an array with several hard links appears once.

    Args:
        path: the file.
        stack: the file stays open until this closes.

    Raises:
        CacheError: the file cannot be opened, or is truncated or damaged.
    """
    try:
        file = stack.enter_context(h5py.File(path, "r", locking=False))
        names: list[str] = []
        # HDF5 visits hard links only, and each object once.
        file.visit(names.append)
        found = [file[name] for name in names]
        return {
            data.name: ArrayOnDisk(path, data) for data in found if isinstance(data, h5py.Dataset)
        }
    except HDF5_ERRORS as error:
        raise CacheError(
            f"{path} is a truncated or damaged HDF5 file ({error}); {REMEDY}"
        ) from error
