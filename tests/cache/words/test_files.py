"""Words files: round trip, rules, damage, and the vocabulary of a cache."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.cache.words.any_file import read_any_info, verify_any
from clip_cfr.cache.words.files import read_words, write_words
from clip_cfr.cache.words.words import Words
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import assert_identical, make_cache, make_vocabulary


def make_words(**entries: str) -> Words:
    found = make_vocabulary(np.random.default_rng(0), 5, 4)
    provenance = {"model": "a/b", "weights_sha256": "1f" * 32, "projection_sha256": "2e" * 32}
    return Words(found.words, found.embeddings, found.templates, provenance | entries)


@pytest.fixture
def path(tmp_path):
    write_words(tmp_path / "words.h5", make_words())
    return tmp_path / "words.h5"


def test_a_words_file_gives_back_its_contents(path):
    assert_identical(read_words(path), make_words())


def test_info_and_verify_know_words_files(path):
    info = read_any_info(path)
    assert (info["words_file"], info["words"], info["dim"]) == (str(path), 5, 4)
    assert info["provenance"] == make_words().provenance
    verified = verify_any(path)
    assert verified["sha256"] == info["sha256"]
    assert sorted(verified["datasets"]) == ["embeddings", "templates", "words"]


def test_a_file_is_replaced_with_overwrite_only(path, tmp_path):
    with pytest.raises(CacheError, match="the file exists; replace it with --overwrite"):
        write_words(path, make_words())
    write_words(path, make_words(model="c/d"), overwrite=True)
    assert read_words(path).provenance["model"] == "c/d"
    write_cache(tmp_path / "cache.h5", make_cache())
    with pytest.raises(CacheError, match="is not a words file, so it is not replaced"):
        write_words(tmp_path / "cache.h5", make_words(), overwrite=True)
    with pytest.raises(CacheError, match="is not a feature cache, so it is not replaced"):
        write_cache(path, make_cache(), overwrite=True)


def test_files_of_another_kind_are_refused(path, tmp_path):
    write_cache(tmp_path / "cache.h5", make_cache())
    with pytest.raises(CacheError, match="not a words file: write one with words"):
        read_words(tmp_path / "cache.h5")
    with pytest.raises(CacheError, match="not a feature cache: write one with extract or import"):
        read_cache(path)
    with pytest.raises(CacheError, match=r"no such file; write it with words, --out"):
        read_words(tmp_path / "missing.h5")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"words": ("a", "a", "b", "c", "d")}, "words, row 1: expected unique words, found 'a'"),
        ({"words": ("a", "", "b", "c", "d")}, "words, row 1: expected a non-empty name"),
        ({"words": ("a",)}, "embeddings: expected shape"),
        ({"templates": ("photo",)}, "templates, row 0: expected the placeholder {}"),
        ({"templates": ()}, "templates: expected at least 1 along axis templates"),
        ({"embeddings": np.ones((5, 4), np.float32)}, "embeddings, row 0: expected a unit-length"),
        ({"embeddings": np.ones((5, 4))}, "embeddings: expected type float32, found float64"),
        ({"provenance": {"model": "a/b"}}, "provenance, projection_sha256: expected a text"),
    ],
)
def test_contents_that_break_a_rule_are_not_written(tmp_path, changed, message):
    with pytest.raises(CacheError) as caught:
        write_words(tmp_path / "words.h5", replace(make_words(), **changed))
    assert message in str(caught.value)
    assert str(caught.value).endswith("nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_byte_is_detected_or_harmless(path):
    expected, content = make_words(), path.read_bytes()
    detected = 0
    for position in range(0, len(content), len(content) // 60):
        damaged = bytearray(content)
        damaged[position] ^= 0x40
        path.write_bytes(damaged)
        try:
            found = read_words(path)
        except CacheError:
            detected += 1
        else:
            assert_identical(found, expected)
    assert detected > 5


@pytest.mark.parametrize("name", ["words", "templates", "embeddings"])
def test_a_cache_with_a_part_of_a_vocabulary_is_refused(tmp_path, name):
    write_cache(tmp_path / "cache.h5", make_cache(num_words=3))
    with h5py.File(tmp_path / "cache.h5", "a") as file:
        del file[f"text/words/{name}"]
    with pytest.raises(CacheError, match=f"text/words/{name}: expected an HDF5 dataset"):
        read_cache(tmp_path / "cache.h5")


def test_the_vocabulary_does_not_change_the_identity_of_a_cache(tmp_path):
    plain = make_cache()
    vocabulary = make_vocabulary(np.random.default_rng(0), 3, 4)
    write_cache(tmp_path / "plain.h5", plain)
    write_cache(tmp_path / "words.h5", replace(plain, vocabulary=vocabulary))
    assert content_digest(tmp_path / "plain.h5") == content_digest(tmp_path / "words.h5")
    assert "text/words/embeddings" in verify_cache(tmp_path / "words.h5")
    assert read_any_info(tmp_path / "words.h5")["texts"]["words"] == {
        "n": 3,
        "templates": ["{}", "a photo of {}"],
    }
