"""Whole caches: written, read back, verified, refused."""

import hashlib
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import open_cache, read_cache, verify_cache
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import ROOT, caches, make_cache, run_python, same, unit

ARCHIVE = ROOT / "tests/cache/archives/format1.h5"


@given(cache=caches())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(cache, tmp_path_factory):
    path = tmp_path_factory.mktemp("round") / "a.h5"
    write_cache(path, cache)
    assert same(read_cache(path), cache)
    assert verify_cache(path)["features"] == hashlib.sha256(cache.features.tobytes()).hexdigest()
    assert [each.name for each in path.parent.iterdir()] == ["a.h5"]


def test_many_chunks_are_read_back(tmp_path):
    cache = make_cache(n=5000, dim=256, width=2)
    write_cache(tmp_path / "a.h5", cache)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["features"].chunks == (2048, 256)
    assert same(read_cache(tmp_path / "a.h5"), cache)


def test_features_begin_at_a_cache_line(tmp_path):
    """Then JAX takes them without a copy."""
    for n in (1, 3, 5000):
        write_cache(tmp_path / "a.h5", make_cache(n=n, dim=7), overwrite=True)
        assert read_cache(tmp_path / "a.h5").features.ctypes.data % 64 == 0


def test_rows_are_read_out_of_an_open_file(tmp_path):
    rng, cache = np.random.default_rng(0), make_cache(n=5000, dim=256, width=2)
    write_cache(tmp_path / "a.h5", cache)
    with open_cache(tmp_path / "a.h5") as stored:
        assert (stored.features.shape, stored.features.dtype) == ((5000, 256), np.float16)
        assert same(replace(stored, features=cache.features), cache)
        for rows in (np.arange(5000), np.array([2047]), np.array([4999]), np.zeros(0, int)):
            assert (stored.features[rows] == cache.features[rows]).all()
        for count in (3, 100, 4000):
            rows = np.sort(rng.choice(5000, count, replace=False))
            assert (stored.features[rows] == cache.features[rows]).all()


def test_long_provenance_is_read_back(tmp_path):
    cache = replace(make_cache(), provenance={"text": "ü" * 100_000, "list": [1, None, 0.1]})
    write_cache(tmp_path / "a.h5", cache)
    assert read_cache(tmp_path / "a.h5").provenance == cache.provenance


def test_the_same_contents_make_the_same_bytes_and_digest(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_cache(tmp_path / name, make_cache())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    write_cache(tmp_path / "b.h5", replace(make_cache(), dataset="other"), overwrite=True)
    assert content_digest(tmp_path / "a.h5") != content_digest(tmp_path / "b.h5")


def test_the_archived_file_stays_readable():
    cache = read_cache(ARCHIVE)
    assert cache.rows.ids[:2] == ("images/é 0.png", "images/é 1.png")
    assert cache.rows.splits.tolist() == [0, 1, 2] * 4
    assert cache.valid.tolist() == [True, False] + [True] * 10
    assert cache.texts.class_prompts == (("a cat.", "cats."), ("a dog.",))
    assert (cache.features.dtype, cache.head.logit_scale) == (np.float16, 100.0)
    assert len(verify_cache(ARCHIVE)) == 14
    expected = "ecb0574bd118142f44c27adda648a61ca36efdb2f58dbf831bd0f646dbf5b39c"
    assert content_digest(ARCHIVE) == expected


def test_a_finished_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, make_cache())
    with pytest.raises(CacheError) as error:
        write_cache(path, make_cache(seed=1))
    assert str(error.value) == (
        f"{path}: the file exists; replace it with --overwrite or name another"
    )
    assert same(read_cache(path), make_cache())
    write_cache(path, make_cache(seed=1), overwrite=True)
    assert same(read_cache(path), make_cache(seed=1))


def changed(cache: FeatureCache, part: str, **values) -> FeatureCache:
    """The cache with some fields of one part replaced."""
    if part == "cache":
        return replace(cache, **values)
    return replace(cache, **{part: replace(getattr(cache, part), **values)})


def with_entry(array: np.ndarray, index: int | tuple[int, int], value: float) -> np.ndarray:
    """The array with one entry replaced."""
    array = array.copy()
    array[index] = value
    return array


GOOD = make_cache()
BAD = [
    (
        changed(GOOD, "cache", features=with_entry(GOOD.features, (5, 2), np.nan)),
        "features, row 5: expected finite numbers, found nan in column 2",
    ),
    (
        changed(GOOD, "cache", features=with_entry(GOOD.features, (5, 3), np.inf)),
        "features, row 5: expected finite numbers, found inf in column 3",
    ),
    (
        changed(GOOD, "cache", features=with_entry(GOOD.features, (1, 4), 2)),
        "features, row 1: expected zeros in an invalid row, found 2.0 in column 4",
    ),
    (
        changed(GOOD, "cache", features=GOOD.features.astype(np.float64)),
        "features: expected type float16 or float32, found float64",
    ),
    (
        changed(GOOD, "cache", features=GOOD.features[0]),
        "features: expected the axes (rows, dim), found shape (6,)",
    ),
    (
        changed(GOOD, "cache", features=GOOD.features[:0]),
        "features: expected at least 1 along axis rows, found shape (0, 6)",
    ),
    (
        changed(GOOD, "cache", valid=GOOD.valid[:-1]),
        "valid: expected shape (12,), found shape (11,)",
    ),
    (
        changed(GOOD, "cache", dataset=""),
        "dataset: expected a non-empty name without NUL characters, found ''",
    ),
    (
        changed(GOOD, "cache", provenance={"rate": np.nan}),
        "provenance: expected a JSON value, found Out of range float values are not JSON compliant",
    ),
    (
        changed(GOOD, "rows", ids=("a", "b", "a", *GOOD.rows.ids[3:])),
        "ids, row 2: expected unique ids, found 'a', which is also in row 0",
    ),
    (
        changed(GOOD, "rows", ids=("a", "", *GOOD.rows.ids[2:])),
        "ids, row 1: expected a non-empty name without NUL characters, found ''",
    ),
    (
        changed(GOOD, "rows", ids=("a\udc80", *GOOD.rows.ids[1:])),
        "ids: expected text that can be encoded as UTF-8, found 'a\\udc80'",
    ),
    (
        changed(GOOD, "rows", labels=GOOD.rows.labels.astype(np.int64)),
        "labels: expected type int32, found int64",
    ),
    (
        changed(GOOD, "rows", labels=with_entry(GOOD.rows.labels, 3, 2)),
        "labels, row 3: expected a value from 0 to 1, found 2",
    ),
    (
        changed(GOOD, "rows", attributes=with_entry(GOOD.rows.attributes, 4, -1)),
        "attributes, row 4: expected a value from 0 to 1, found -1",
    ),
    (
        changed(GOOD, "rows", splits=with_entry(GOOD.rows.splits, 7, 3)),
        "splits, row 7: expected a value from 0 to 2, found 3",
    ),
    (
        changed(GOOD, "head", projection=GOOD.head.projection[:-1]),
        "head/projection: expected shape (6, 4), found shape (5, 4)",
    ),
    (
        changed(GOOD, "head", projection=with_entry(GOOD.head.projection, (2, 1), -np.inf)),
        "head/projection, row 2: expected finite numbers, found -inf in column 1",
    ),
    (
        changed(GOOD, "head", bias=with_entry(GOOD.head.bias, 3, np.nan)),
        "head/bias, row 3: expected finite numbers, found nan",
    ),
    (
        changed(GOOD, "head", logit_scale=0.0),
        "head/logit_scale: expected a positive float32, found 0.0",
    ),
    (
        changed(GOOD, "texts", class_names=("one", "one")),
        "class_names: expected unique names, found ['one', 'one']",
    ),
    (
        changed(GOOD, "texts", attribute_prompts=(("one",),)),
        "attribute_prompts: expected prompts for each of 2 names, found prompts for 1",
    ),
    (
        changed(GOOD, "texts", class_embeddings=GOOD.texts.class_embeddings[:, :3]),
        "text/class_embeddings: expected shape (2, 4), found shape (2, 3)",
    ),
    (
        changed(GOOD, "texts", attribute_embeddings=2 * GOOD.texts.attribute_embeddings),
        "text/attribute_embeddings, row 0: expected a unit-length embedding, found length ",
    ),
    (
        changed(GOOD, "texts", class_embeddings=unit(np.eye(2, 4))),
        "text/class_embeddings, row 0: expected the normalised mean of the class's prompt "
        "embeddings, found a difference of ",
    ),
]


@pytest.mark.parametrize(("cache", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_cache_that_breaks_a_rule_is_not_written(cache, message, tmp_path):
    path = tmp_path / "a.h5"
    with pytest.raises(CacheError) as error:
        write_cache(path, cache)
    assert str(error.value).startswith(f"{path}: {message}")
    assert str(error.value).endswith("; nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_older_file(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, GOOD)
    with pytest.raises(CacheError):
        write_cache(path, BAD[0][0], overwrite=True)
    assert same(read_cache(path), GOOD)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    path = tmp_path / "nowhere" / "a.h5"
    with pytest.raises(CacheError) as error:
        write_cache(path, GOOD)
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
def test_a_full_disk_is_reported_and_nothing_is_left(limit, tmp_path):
    path = tmp_path / "a.h5"
    done = run_python(FILL_DISK, path, limit)
    assert done.stderr == ""
    assert done.stdout == (
        f"{path}: cannot be written: File too large; 3,172,176 bytes are needed; "
        "make room and run the same command again\n"
    )
    # The second attempt, in the same process, went through.
    assert same(read_cache(path), make_cache(n=3000, dim=512, width=2))
    assert list(tmp_path.iterdir()) == [path]


# Peak memory of Python and numpy, not that of the imports before.
MEASURE_MEMORY = """
import sys, tracemalloc
from clip_cfr.cache.read.reader import read_cache
tracemalloc.start()
cache = read_cache(sys.argv[1])
print(tracemalloc.get_traced_memory()[1], cache.features.nbytes)
"""


def test_reading_holds_little_more_than_the_result(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, make_cache(n=60_000, dim=512, width=2))
    done = run_python(MEASURE_MEMORY, path)
    peak, features = map(int, done.stdout.split())
    assert features == 60_000 * 512 * 2
    # The rest: 60,000 ids as Python strings, the other columns, and one chunk with its mask.
    assert peak - features < 16e6
