"""Read caches: rows of an open file, memory, files of released versions."""

from dataclasses import replace

import numpy as np

from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import open_cache, read_cache, verify_cache
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import ROOT, assert_identical, make_cache, run_python

ARCHIVE = ROOT / "tests/cache/archives/format1.h5"


def test_features_are_aligned_to_64_bytes(tmp_path):
    """JAX takes aligned arrays without a copy."""
    for n in (1, 3, 5000):
        write_cache(tmp_path / "a.h5", make_cache(n=n, dim=7), overwrite=True)
        assert read_cache(tmp_path / "a.h5").features.ctypes.data % 64 == 0


def test_features_of_an_open_cache_are_read_by_row_index(tmp_path):
    rng, cache = np.random.default_rng(0), make_cache(n=5000, dim=256, width=2)
    write_cache(tmp_path / "a.h5", cache)
    with open_cache(tmp_path / "a.h5") as stored:
        assert (stored.features.shape, stored.features.dtype) == ((5000, 256), np.float16)
        assert_identical(replace(stored, features=cache.features), cache)
        for rows in (np.arange(5000), np.array([2047]), np.array([4999]), np.zeros(0, int)):
            np.testing.assert_array_equal(stored.features[rows], cache.features[rows])
        for count in (3, 100, 4000):
            rows = np.sort(rng.choice(5000, count, replace=False))
            np.testing.assert_array_equal(stored.features[rows], cache.features[rows])
        assert_identical(stored.features.read_all(), cache.features)


def test_the_archived_file_of_format_1_is_readable():
    cache = read_cache(ARCHIVE)
    assert cache.rows.ids[:2] == ("images/é 0.png", "images/é 1.png")
    assert cache.rows.splits.tolist() == [0, 1, 2] * 4
    assert cache.valid.tolist() == [True, False] + [True] * 10
    assert cache.texts.class_prompts == (("a cat.", "cats."), ("a dog.",))
    assert (cache.features.dtype, cache.head.logit_scale) == (np.float16, 100.0)
    assert len(verify_cache(ARCHIVE)) == 14
    expected = "ecb0574bd118142f44c27adda648a61ca36efdb2f58dbf831bd0f646dbf5b39c"
    assert content_digest(ARCHIVE) == expected


# Peak memory of Python and numpy, without that of the imports.
MEASURE_MEMORY = """
import sys, tracemalloc
from clip_cfr.cache.read.reader import read_cache
tracemalloc.start()
cache = read_cache(sys.argv[1])
print(tracemalloc.get_traced_memory()[1], cache.features.nbytes)
"""


def test_reading_needs_little_more_memory_than_the_result(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, make_cache(n=60_000, dim=512, width=2))
    done = run_python(MEASURE_MEMORY, path)
    peak, features = map(int, done.stdout.split())
    assert features == 60_000 * 512 * 2
    # The rest: 60,000 ids as Python strings, the other columns, and one chunk with its mask.
    assert peak - features < 16e6
