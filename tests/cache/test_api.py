"""The Python API: `clip_cfr.cache` and its lazily imported names."""

import subprocess
import sys

import numpy as np
import pytest

import clip_cfr.cache
from tests.cache.examples import make_cache

NAMES = [
    "CacheError",
    "merge_shards",
    "open_cache",
    "read_cache",
    "read_info",
    "read_head",
    "read_run",
    "read_words",
    "verify_cache",
    "write_cache",
]


def test_public_names_are_listed_and_importable():
    assert clip_cfr.cache.__all__ == NAMES
    assert set(NAMES) <= set(dir(clip_cfr.cache))
    for name in NAMES:
        assert getattr(clip_cfr.cache, name).__name__ == name


def test_an_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match=r"'clip_cfr\.cache' has no attribute 'load_cache'"):
        clip_cfr.cache.load_cache  # noqa: B018


def test_a_name_loads_its_module_on_first_use():
    code = (
        "import sys, clip_cfr.cache as cache; loaded = 'h5py' in sys.modules; "
        "cache.read_cache; print(loaded, 'h5py' in sys.modules, 'read_cache' in vars(cache))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True True\n"


def test_a_cache_is_written_read_and_verified_through_the_package(tmp_path):
    path, cache = tmp_path / "a.h5", make_cache()
    clip_cfr.cache.write_cache(path, cache)
    assert clip_cfr.cache.read_info(path)["dataset"] == "examples"
    assert len(clip_cfr.cache.verify_cache(path)) == 14
    with clip_cfr.cache.open_cache(path) as stored:
        np.testing.assert_array_equal(stored.features[np.arange(12)], cache.features)
    path.write_bytes(b"")
    with pytest.raises(clip_cfr.cache.CacheError, match="expected an HDF5 file"):
        clip_cfr.cache.read_cache(path)
