"""Refuse caches whose arrays are in other files, or lack the storage that the format requires."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.info import content_digest, read_info
from clip_cfr.cache.read.reader import open_cache, read_cache, verify_cache
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import make_cache

DAMAGED = "; the file is damaged: restore it, or write it again with --overwrite"
OWN = "expected an array in the file itself, found "


def open_only(path: Path) -> None:
    with open_cache(path):
        pass


READS = [read_cache, open_only, verify_cache, read_info]


@pytest.fixture
def path(tmp_path) -> Path:
    """Write a sound cache, and another one beside it from which arrays can be taken."""
    for name in ("a.h5", "other.h5"):
        write_cache(tmp_path / name, make_cache())
    return tmp_path / "a.h5"


def message_of(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(CacheError) as error:
        read(path)
    return str(error.value).removeprefix(f"{path}: ")


def replace_array(path: Path, name: str, create: Callable[[h5py.File], h5py.Dataset]) -> None:
    """Replace an array by another one that keeps its digest."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        digest = file[name].attrs["sha256"]
        del file[name]
        create(file).attrs.create("sha256", digest, dtype=digest.dtype)


@pytest.mark.parametrize("name", ["features", "labels", "head", "head/projection", "text"])
def test_a_link_to_another_file_is_refused(path, name):
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = h5py.ExternalLink("other.h5", name)
    for read in READS:
        found = message_of(read, path)
        assert found.startswith(name)
        assert found.endswith(f": {OWN}a link to {name} in other.h5{DAMAGED}")


@pytest.mark.parametrize("name", ["valid", "text", "text/class_embeddings"])
def test_a_soft_link_is_refused(path, name):
    with h5py.File(path, "r+") as file:
        file.move(name, "elsewhere")
        file[name] = h5py.SoftLink("/elsewhere")
    for read in (*READS, content_digest):
        found = message_of(read, path)
        assert found.startswith(name)
        assert found.endswith(f": {OWN}a link to /elsewhere{DAMAGED}")


def test_a_link_that_leads_nowhere_is_refused(path):
    with h5py.File(path, "r+") as file:
        del file["labels"]
        file["labels"] = h5py.ExternalLink("missing.h5", "labels")
    assert message_of(read_cache, path) == (f"labels: {OWN}a link to labels in missing.h5{DAMAGED}")


def test_a_second_hard_link_is_accepted(path):
    with h5py.File(path, "r+") as file:
        file["notes/labels"] = file["labels"]
    verify_cache(path)


@pytest.mark.parametrize("name", ["features", "labels", "text/class_embeddings"])
def test_external_storage_is_refused(path, tmp_path, name):
    raw = tmp_path / "raw.bin"
    with h5py.File(path) as file:
        array = file[name][()]
    raw.write_bytes(array.tobytes())

    def create(file: h5py.File) -> h5py.Dataset:
        external = [(str(raw), 0, array.nbytes)]
        return file.create_dataset(name, array.shape, array.dtype, external=external)

    replace_array(path, name, create)
    for read in READS:
        assert message_of(read, path) == f"{name}: {OWN}one that is stored in {raw}{DAMAGED}"


@pytest.mark.parametrize("name", ["labels", "valid", "head/projection"])
def test_a_virtual_array_is_refused(path, name):
    with h5py.File(path) as file:
        shape, dtype = file[name].shape, file[name].dtype

    def create(file: h5py.File) -> h5py.Dataset:
        layout = h5py.VirtualLayout(shape, dtype)
        layout[:] = h5py.VirtualSource("other.h5", name, shape, dtype)
        return file.create_virtual_dataset(name, layout)

    replace_array(path, name, create)
    for read in READS:
        assert message_of(read, path) == f"{name}: {OWN}one that is stored in other.h5{DAMAGED}"


UNCHECKED = {"contiguous": {}, "without a checksum": {"chunks": True}}


@pytest.mark.parametrize("name", ["features", "labels", "ids", "text/class_embeddings"])
@pytest.mark.parametrize("settings", UNCHECKED.values(), ids=UNCHECKED)
def test_an_array_without_checksums_is_refused(path, name, settings):
    with h5py.File(path) as file:
        array, dtype = file[name][()], file[name].dtype
    replace_array(
        path, name, lambda file: file.create_dataset(name, data=array, dtype=dtype, **settings)
    )
    for read in READS:
        assert message_of(read, path) == (
            f"{name}: expected chunks with checksums (fletcher32), found none" + DAMAGED
        )


def test_provenance_that_is_nested_too_deep_is_refused(path):
    nested = "[" * 20_000 + "]" * 20_000
    with h5py.File(path, "r+") as file:
        text = np.array(nested.encode(), h5py.string_dtype("utf-8", len(nested)))
        file.attrs.create("provenance", text, dtype=text.dtype)
    for read in READS:
        assert message_of(read, path).startswith("root attributes: expected SHA-256 ")


def test_a_cache_with_deeply_nested_provenance_is_not_written(path):
    nested: dict = {}
    for _ in range(300):
        nested = {"a": nested}
    with pytest.raises(CacheError, match=r"provenance: expected JSON as described"):
        write_cache(path.with_name("b.h5"), replace(make_cache(), provenance=nested))
