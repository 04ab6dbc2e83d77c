"""Words and caches: whether both are of one model."""

from dataclasses import replace
from pathlib import Path

import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.words.words import check_same_model, model_of_cache, words_of_cache
from tests.cache.examples import make_cache

WORDS, CACHE = Path("w.h5"), Path("a b.h5")


def cache_of(model: str = "a/b", weights: str | None = "1f" * 32, **settings) -> FeatureCache:
    cache = make_cache(num_words=3, **settings)
    named = {"model": model, "weights_sha256": weights}
    return replace(cache, provenance={key: each for key, each in named.items() if each})


def message_of(words_cache: FeatureCache, cache: FeatureCache) -> str | None:
    try:
        check_same_model(words_of_cache(words_cache), WORDS, cache, CACHE)
    except CacheError as error:
        return str(error)
    return None


def test_the_words_of_a_cache_name_its_model():
    words = words_of_cache(cache_of())
    assert words.words == ("word é 0", "word é 1", "word é 2")
    assert (words.provenance["model"], words.provenance["weights_sha256"]) == ("a/b", "1f" * 32)
    assert words_of_cache(make_cache()) is None


def test_equal_weights_fit_under_any_name():
    assert message_of(cache_of(), cache_of("c/d")) is None


def test_other_weights_are_refused_with_both_models_and_the_command():
    assert message_of(cache_of(), cache_of("c/d", "2e" * 32)) == (
        "w.h5: expected words of the model of a b.h5, c/d (weights 2e2e2e2e2e2e), found words of "
        "a/b (weights 1f1f1f1f1f1f): the weights differ; embed the words with the model of the "
        "cache: clip-cfr words --cache 'a b.h5' --out WORDS.h5"
    )


def test_another_width_is_refused():
    assert "the embeddings have 4 and 3 columns" in message_of(cache_of(), cache_of(width=3))


def test_projections_decide_where_weights_are_unknown():
    assert message_of(cache_of(), cache_of(weights=None)) is None
    assert "the projections differ" in message_of(cache_of(), cache_of(weights=None, seed=1))


def test_an_imported_cache_fits_by_its_width_unless_it_names_the_model_of_its_words():
    imported = cache_of("imported", None, seed=1)
    assert message_of(cache_of(), imported) is None
    named = {"words": {"model": "c/d", "weights_sha256": "2e" * 32}}
    imported = replace(imported, provenance=imported.provenance | named)
    assert model_of_cache(imported).describe() == "c/d (weights 2e2e2e2e2e2e)"
    assert "the weights differ" in message_of(cache_of(), imported)


@pytest.fixture(autouse=True)
def called_as_installed(monkeypatch):
    monkeypatch.setattr("sys.argv", ["clip-cfr"])
