"""Write caches: round trips, overwriting, errors of the disk."""

import hashlib
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import assert_identical, caches, make_cache, run_python


@given(cache=caches())
@settings(max_examples=60, deadline=None)
def test_round_trip(cache, tmp_path_factory):
    path = tmp_path_factory.mktemp("round") / "a.h5"
    write_cache(path, cache)
    assert_identical(read_cache(path), cache)
    assert verify_cache(path)["features"] == hashlib.sha256(cache.features.tobytes()).hexdigest()
    assert [each.name for each in path.parent.iterdir()] == ["a.h5"]


def test_round_trip_of_several_chunks(tmp_path):
    cache = make_cache(n=5000, dim=256, width=2)
    write_cache(tmp_path / "a.h5", cache)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["features"].chunks == (2048, 256)
    assert_identical(read_cache(tmp_path / "a.h5"), cache)


def test_round_trip_of_a_long_provenance(tmp_path):
    cache = replace(make_cache(), provenance={"text": "ü" * 100_000, "list": [1, None, 0.1]})
    write_cache(tmp_path / "a.h5", cache)
    assert read_cache(tmp_path / "a.h5").provenance == cache.provenance


def test_equal_contents_give_equal_bytes_and_digests(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_cache(tmp_path / name, make_cache())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    write_cache(tmp_path / "b.h5", replace(make_cache(), dataset="other"), overwrite=True)
    assert content_digest(tmp_path / "a.h5") != content_digest(tmp_path / "b.h5")


def test_a_finished_file_is_replaced_only_with_overwrite(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, make_cache())
    with pytest.raises(CacheError) as error:
        write_cache(path, make_cache(seed=1))
    assert str(error.value) == (
        f"{path}: the file exists; replace it with --overwrite or name another"
    )
    assert_identical(read_cache(path), make_cache())
    write_cache(path, make_cache(seed=1), overwrite=True)
    assert_identical(read_cache(path), make_cache(seed=1))


def test_a_failed_write_keeps_the_older_file(tmp_path):
    path, cache = tmp_path / "a.h5", make_cache()
    write_cache(path, cache)
    with pytest.raises(CacheError, match="features, row 0: expected finite numbers"):
        write_cache(path, replace(cache, features=cache.features * np.nan), overwrite=True)
    assert_identical(read_cache(path), cache)
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "nowhere" / "a.h5"
    with pytest.raises(CacheError) as error:
        write_cache(path, make_cache())
    assert str(error.value) == (
        f"{path}: the folder {tmp_path / 'nowhere'} does not exist; create it first"
    )


FILL_DISK = """
import resource, signal, sys
from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import make_cache
path, limit = sys.argv[1], int(sys.argv[2])
cache = make_cache(n=3000, dim=512, width=2)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    write_cache(path, cache)
except CacheError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
write_cache(path, cache)
"""


@pytest.mark.parametrize("limit", [100, 1_500_000, 3_072_000, 3_140_000])
def test_a_full_disk_is_reported_and_leaves_no_file(limit, tmp_path):
    path = tmp_path / "a.h5"
    done = run_python(FILL_DISK, path, limit)
    assert done.stderr == ""
    assert done.stdout == (
        f"{path}: cannot be written: File too large; 3,172,176 bytes are needed; "
        "make room and run the same command again\n"
    )
    # The second attempt, in the same process, succeeded.
    assert_identical(read_cache(path), make_cache(n=3000, dim=512, width=2))
    assert list(tmp_path.iterdir()) == [path]
