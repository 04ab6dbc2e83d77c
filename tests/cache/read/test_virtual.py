"""Read merged caches whose features stay in the shards."""

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.merge.merge import merge_shards
from clip_cfr.cache.read.info import content_digest, read_info
from clip_cfr.cache.read.reader import open_cache, read_cache, verify_cache
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import assert_identical
from tests.cache.shard_files import make_whole, shard_cache, write_shard, write_shards

ARCHIVES = Path(__file__).parents[1] / "archives"
WHOLE = make_whole()
AGAIN = "restore it, or merge the shards again with merge --virtual --overwrite"


@pytest.fixture
def merged(tmp_path) -> Path:
    """Write a virtual cache and its shards, in a folder whose name HDF5 must escape."""
    folder = tmp_path / "all"
    folder.mkdir()
    merge_shards(write_shards(folder / "100%b shards", WHOLE), folder / "a.h5", virtual=True)
    return folder / "a.h5"


def shard(merged: Path, index: int) -> Path:
    return merged.parent / "100%b shards" / f"a.{index}-of-3.h5"


def open_only(path: Path) -> None:
    with open_cache(path):
        pass


READS = [read_cache, open_only, verify_cache, read_info]


def refusal(read, path: Path) -> str:
    with pytest.raises(CacheError) as error:
        read(path)
    return str(error.value)


def test_cache_and_shards_can_be_moved_together(merged, tmp_path, monkeypatch):
    moved = shutil.move(merged.parent, tmp_path / "moved") / "a.h5"
    monkeypatch.chdir(tmp_path)
    for path in (moved, moved.relative_to(tmp_path)):
        assert_identical(replace(read_cache(path), provenance=WHOLE.provenance), WHOLE)
        assert len(verify_cache(path)) == 14
    assert read_info(moved)["sources"] == [str(shard(moved, index)) for index in (1, 2, 3)]


def test_plain_hdf5_reads_the_features(merged):
    with h5py.File(merged) as file:
        assert (file["features"][:] == WHOLE.features).all()
        # Without these, readers older than virtual features refuse the file.
        assert (file["features"].chunks, file["features"].fletcher32) == (None, False)


def test_features_are_not_copied(tmp_path):
    whole = make_whole(n=4000, dim=512, width=2, subjects=False)
    merge_shards(write_shards(tmp_path / "shards", whole), tmp_path / "a.h5", virtual=True)
    assert (tmp_path / "a.h5").stat().st_size < whole.features.nbytes / 10


def test_a_missing_shard_is_named(merged):
    shard(merged, 2).unlink()
    with h5py.File(merged) as file:
        assert not file["features"][7:15].any()  # HDF5 itself reads zeros.
    for read in READS:
        assert refusal(read, merged) == (
            f"{shard(merged, 2)}: no such file, and a merged cache reads its features from it; "
            f"{AGAIN}"
        )


def test_a_replaced_shard_is_named(merged):
    expected = content_digest(shard(merged, 2))
    other = replace(WHOLE, features=(WHOLE.features * 2).astype(np.float16))
    write_shard(shard(merged, 2).parent, shard_cache(other, 2, 3))
    found = content_digest(shard(merged, 2))
    for read in READS:
        assert refusal(read, merged) == (
            f"{shard(merged, 2)}: expected the file that was merged, with SHA-256 {expected}, "
            f"found SHA-256 {found}; {AGAIN}"
        )


def test_a_shard_that_vanishes_later_is_named_when_it_is_read(merged):
    with open_cache(merged) as cache:
        shard(merged, 1).unlink()
        with pytest.raises(CacheError, match="no such file, and a merged cache reads"):
            cache.features[np.array([0, 20])]


def test_a_damaged_chunk_of_a_shard_is_named(merged):
    path = shard(merged, 3)
    data = bytearray(path.read_bytes())
    data[data.index(WHOLE.features[20].tobytes())] ^= 1
    path.write_bytes(data)
    expected = (
        f"{path}: features, rows 0 to 7: expected data that matches its checksum, found "
        "damaged data; the file is damaged: restore it, or write it again with --overwrite"
    )
    for read in (read_cache, verify_cache):
        assert refusal(read, merged) == expected
    with open_cache(merged) as cache:
        assert (cache.features[np.array([0, 14])] == WHOLE.features[[0, 14]]).all()
        with pytest.raises(CacheError) as error:
            cache.features[np.array([0, 20])]
    assert str(error.value) == expected


def test_virtual_features_of_other_rows_are_refused(merged):
    with h5py.File(merged, "r+") as file:
        digest = file["features"].attrs["sha256"]
        del file["features"]
        layout = h5py.VirtualLayout(WHOLE.features.shape, np.float16)
        layout[:7] = h5py.VirtualSource("100%%b shards/a.1-of-3.h5", "features", (7, 6))
        data = file.create_virtual_dataset("features", layout)
        data.attrs.create("sha256", digest, dtype=digest.dtype)
    assert refusal(read_cache, merged).startswith(
        f"{merged}: features: expected the rows of the shards in provenance, merged, "
        "found other rows; "
    )


def test_virtual_features_without_a_list_of_shards_are_refused(merged, tmp_path):
    path = tmp_path / "b.h5"
    write_cache(path, WHOLE)
    with h5py.File(merged) as file, h5py.File(path, "r+") as other:
        digest = other["features"].attrs["sha256"]
        del other["features"]
        file.copy("features", other)
        assert other["features"].is_virtual
        assert other["features"].attrs["sha256"] == digest
    assert refusal(read_cache, path).startswith(
        f"{path}: provenance, merged: expected the list of merged shards, found None; "
    )


def test_a_virtual_cache_is_not_a_shard(merged, tmp_path):
    message = refusal(lambda path: merge_shards([path], tmp_path / "b.h5"), merged)
    assert message.startswith(f"{merged}: expected a shard, found a whole cache")


def test_the_archived_files_of_format_1_are_readable():
    cache = read_cache(ARCHIVES / "format1.2-of-2.h5", allow_shard=True)
    assert cache.provenance["shard"]["first_row"] == 2
    path = ARCHIVES / "format1-virtual.h5"
    cache = read_cache(path)
    assert cache.rows.ids[4] == "images/é 4.png"
    assert_identical(replace(cache, provenance=WHOLE.provenance), make_whole(n=5))
    assert len(verify_cache(path)) == 14
