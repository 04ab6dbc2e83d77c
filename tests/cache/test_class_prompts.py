"""Sets of class prompts: which a cache has, their class embeddings, and their storage."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from clip_cfr.cache.class_prompts import list_prompt_sets, own_prompt_set, use_prompt_set
from clip_cfr.cache.errors import CacheError, FieldError
from clip_cfr.cache.format.invariants import check_values
from clip_cfr.cache.format.schema import FeatureCache, OtherPrompts
from clip_cfr.cache.read.info import read_info
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import assert_identical, make_cache, normalize

SENTENCES = ("cat", "dog", "a photo of a cat.", "a photo of a dog.", "a photo of a puppy.")


@pytest.fixture
def cache() -> FeatureCache:
    """A cache made with the ImageNet templates that has the two other sets, too."""
    rng = np.random.default_rng(1)
    others = OtherPrompts(
        sentences=SENTENCES,
        sets=("name", "name", "simple", "simple", "simple"),
        owners=np.array([0, 1, 0, 1, 1], np.int32),
        embeddings=normalize(rng.normal(size=(5, 4))),
    )
    plain = make_cache()
    return replace(
        plain,
        texts=replace(plain.texts, other_prompts=others),
        provenance={**plain.provenance, "templates": "imagenet"},
    )


def test_a_cache_lists_its_sets(cache):
    assert list_prompt_sets(cache) == ("name", "simple", "imagenet")
    assert own_prompt_set(cache) == "imagenet"
    assert list_prompt_sets(make_cache()) == ()
    imported = replace(cache, texts=replace(cache.texts, class_prompts=(), other_prompts=None))
    assert list_prompt_sets(imported) == ()


def test_class_embeddings_are_the_normalized_means_of_the_set(cache):
    texts = use_prompt_set(cache, "simple")
    rows = cache.texts.other_prompts.embeddings
    assert texts.class_prompts == (SENTENCES[2:3], SENTENCES[3:])
    np.testing.assert_array_equal(texts.class_prompt_embeddings, rows[2:])
    expected = normalize(np.stack([rows[2], (rows[3] + rows[4]) / 2]))
    np.testing.assert_allclose(texts.class_embeddings, expected, rtol=1e-6)
    check_values(replace(cache, texts=texts))


def test_the_own_set_is_unchanged(cache):
    assert use_prompt_set(cache, "imagenet") is cache.texts


def test_other_prompts_are_stored(cache, tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, cache)
    assert_identical(read_cache(path), cache)
    assert read_info(path)["texts"]["prompt_sets"] == ["name", "simple", "imagenet"]


def test_a_missing_array_is_named(cache, tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, cache)
    with h5py.File(path, "r+") as file:
        del file["text/other_prompt_sets"]
    with pytest.raises(CacheError) as error:
        read_cache(path)
    assert str(error.value).startswith(
        f"{path}: text/other_prompt_sets: expected an HDF5 dataset of this name, found none; "
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"owners": np.array([0, 0, 0, 1, 1], np.int32)},
            "text/other_prompt_owners: expected a sentence of each class in the set 'name', found "
            "none of class 1",
        ),
        (
            {"owners": np.array([0, 2, 0, 1, 1], np.int32)},
            "text/other_prompt_owners, row 1: expected a value from 0 to 1, found 2",
        ),
        (
            {"embeddings": np.ones((5, 4), np.float32)},
            "text/other_prompt_embeddings, row 0: expected a unit-length embedding, found length "
            "2.0",
        ),
        (
            {"sentences": ("cat", "", *SENTENCES[2:])},
            "text/other_prompts, row 1: expected a non-empty name without NUL characters, found ''",
        ),
    ],
)
def test_a_broken_rule_is_named(cache, changes, message):
    others = replace(cache.texts.other_prompts, **changes)
    with pytest.raises(FieldError) as error:
        check_values(replace(cache, texts=replace(cache.texts, other_prompts=others)))
    assert str(error.value) == message
