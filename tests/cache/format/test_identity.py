"""Identity heads: written without their zeros, read as any other projection."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.identity import IdentityMatrix
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import assert_identical, make_cache


def make_identity_cache(dim: int, projection: np.ndarray | IdentityMatrix) -> FeatureCache:
    """Return a cache without a bias whose embeddings are as wide as its features."""
    cache = make_cache(dim=dim, width=dim, bias=False)
    return replace(cache, head=replace(cache.head, projection=projection))


@pytest.mark.parametrize("rows", [slice(0, 3), slice(2, 5), slice(4, 9), slice(3, 3)])
def test_slices_equal_those_of_the_dense_matrix(rows: slice):
    np.testing.assert_array_equal(IdentityMatrix(5)[rows], np.eye(5)[rows])
    assert IdentityMatrix(5)[rows].dtype == IdentityMatrix(5).dtype == np.float32


def test_converts_to_the_dense_matrix():
    np.testing.assert_array_equal(np.asarray(IdentityMatrix(3)), np.eye(3, dtype=np.float32))
    assert np.asarray(IdentityMatrix(3), np.float16).dtype == np.float16


@pytest.mark.parametrize("dim", [1, 63, 64, 65, 300])
def test_reads_as_the_dense_matrix(tmp_path: Path, dim: int):
    path, dense = tmp_path / "a.h5", np.eye(dim, dtype=np.float32)
    write_cache(path, make_identity_cache(dim, IdentityMatrix(dim)))
    verify_cache(path)
    assert_identical(read_cache(path), make_identity_cache(dim, dense))
    write_cache(tmp_path / "dense.h5", make_identity_cache(dim, dense))
    assert content_digest(path) == content_digest(tmp_path / "dense.h5")


def test_only_the_chunks_on_the_diagonal_are_stored(tmp_path: Path):
    write_cache(tmp_path / "a.h5", make_identity_cache(1000, IdentityMatrix(1000)))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["head/projection"].id.get_num_chunks() == 16
        assert file["head/projection"].fletcher32
    assert (tmp_path / "a.h5").stat().st_size < 500_000


@pytest.mark.parametrize("row", [0, 999])
def test_detects_a_damaged_diagonal(tmp_path: Path, row: int):
    path = tmp_path / "a.h5"
    write_cache(path, make_identity_cache(1000, IdentityMatrix(1000)))
    with h5py.File(path) as file:
        offset = file["head/projection"].id.get_chunk_info_by_coord((row, row)).byte_offset
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(CacheError, match="head/projection: expected data that matches"):
        read_cache(path)
