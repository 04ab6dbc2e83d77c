"""A cache that the tests of this folder share."""

import pytest

from clip_cfr.cache.write.writer import write_cache
from tests.cli.test_calibrate import make_cache


@pytest.fixture(scope="session")
def toy_cache(tmp_path_factory):
    path = tmp_path_factory.mktemp("tracking-cache") / "toy.h5"
    write_cache(path, make_cache())
    return path
