"""Words in an imported cache."""

from dataclasses import replace

import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.words.add import add_words
from clip_cfr.cache.words.files import write_words
from clip_cfr.cache.words.words import words_of_cache
from tests.cache.examples import make_cache
from tests.cache.words.test_files import make_words


def test_an_imported_cache_keeps_the_words_and_names_their_model(tmp_path):
    write_words(tmp_path / "words.h5", make_words())
    imported = replace(make_cache(), provenance={"model": "imported"})
    words = words_of_cache(add_words(imported, tmp_path / "words.h5"))
    assert words.words == make_words().words
    assert (words.provenance["model"], words.provenance["weights_sha256"]) == ("a/b", "1f" * 32)


def test_words_of_another_width_are_refused(tmp_path):
    write_words(tmp_path / "words.h5", make_words())
    with pytest.raises(CacheError, match=r"expected embeddings of width 3, .* found 4 of a/b"):
        add_words(make_cache(width=3), tmp_path / "words.h5")
