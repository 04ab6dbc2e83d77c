"""Arrays of HDF5 files of other programs."""

from contextlib import ExitStack
from pathlib import Path

import h5py
import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.arrays import open_arrays


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "F.h5"


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def test_arrays_are_found_in_groups(path: Path, stack: ExitStack):
    numbers = np.arange(6.0).reshape(3, 2)
    with h5py.File(path, "w") as file:
        file["train/features"], file["labels"] = numbers, np.arange(3)
    arrays = open_arrays(path, stack)
    assert sorted(arrays) == ["/labels", "/train/features"]
    found = arrays["/train/features"]
    assert (found.shape, found.dtype) == ((3, 2), np.float64)
    np.testing.assert_array_equal(found[1:3], numbers[1:3])


def test_links_and_other_files_are_not_followed(path: Path, stack: ExitStack):
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["x"] = np.ones((3, 2))
    layout = h5py.VirtualLayout((3, 2), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3, 2))
    with h5py.File(path, "w") as file:
        file["soft"] = h5py.SoftLink("/virtual")
        file["link"] = h5py.ExternalLink("other.h5", "x")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset(
            "raw", (3, 2), "f8", external=[(str(path.with_name("other.h5")), 0, 48)]
        )
    arrays = open_arrays(path, stack)
    assert sorted(arrays) == ["/raw", "/virtual"]
    for name in arrays:
        with pytest.raises(CacheError) as error:
            arrays[name][0:1]
        assert str(error.value) == (
            f"{path}: {name} refers to other files, which are not read; copy the array into one "
            "file; save the array again, for example with numpy.save"
        )


def test_damaged_data_is_reported(path: Path, stack: ExitStack):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", data=np.ones((3, 2)), chunks=True, fletcher32=True)
        offset = data.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(CacheError, match=r"F\.h5: /x cannot be read .* data is damaged, or"):
        open_arrays(path, stack)["/x"][:]


def test_a_truncated_file_is_reported(path: Path, stack: ExitStack):
    with h5py.File(path, "w") as file:
        file["x"] = np.ones((300, 2))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CacheError, match=r"F\.h5 is a truncated or damaged HDF5 file"):
        open_arrays(path, stack)
