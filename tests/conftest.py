"""Fixtures that several packages' tests use."""

import sys
from pathlib import Path

import pytest

from clip_cfr.extract.words import vocabulary
from tests.samples import save_small_clip


@pytest.fixture(scope="session", autouse=True)
def own_user_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keeps compiled programs of the tests out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("user-cache")))
        yield


@pytest.fixture(scope="module", autouse=True)
def few_memory_maps():
    """Frees compiled programs after a module if there are many.

    Each maps several parts of memory, and Linux ends a process that has more than 65,530.
    """
    yield
    maps = Path("/proc/self/maps")
    if "jax" in sys.modules and maps.exists() and maps.read_bytes().count(b"\n") > 45_000:
        sys.modules["jax"].clear_caches()


WHOLE_VOCABULARY = vocabulary.DEFAULT_PATH


@pytest.fixture(scope="session", autouse=True)
def short_vocabulary(tmp_path_factory: pytest.TempPathFactory):
    """Replaces the default vocabulary in this process, so that extractions take less time."""
    path = tmp_path_factory.mktemp("vocabulary") / "words.txt"
    path.write_text("# places\non water\non land\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "DEFAULT_PATH", path)
        yield path


@pytest.fixture
def whole_vocabulary(monkeypatch: pytest.MonkeyPatch):
    """Uses the default vocabulary of the package in a test."""
    monkeypatch.setattr(vocabulary, "DEFAULT_PATH", WHOLE_VOCABULARY)


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory) -> Path:
    """The folder of a small CLIP; a test that changes it works on a copy."""
    return save_small_clip(tmp_path_factory.mktemp("small_clip"))
