"""Merging shards with a vocabulary."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.cache.merge.merge import merge_shards
from clip_cfr.cache.read.reader import read_cache
from tests.cache.examples import assert_identical, make_vocabulary
from tests.cache.shard_files import make_whole, shard_cache, write_shard

OTHER = make_vocabulary(np.random.default_rng(1), 3, 4)


def merge_with(second, tmp_path) -> tuple[list[str], object, object]:
    """Merge two shards; return the warnings, the merged vocabulary and that of the first shard."""
    whole = make_whole(num_words=3)
    vocabularies = (whole.vocabulary, second(whole.vocabulary))
    paths = [
        write_shard(tmp_path, replace(shard_cache(whole, index, 2), vocabulary=vocabulary))
        for index, vocabulary in enumerate(vocabularies, start=1)
    ]
    warnings = merge_shards(paths, tmp_path / "a b.h5")
    return warnings, read_cache(tmp_path / "a b.h5").vocabulary, whole.vocabulary


@pytest.mark.parametrize("rounding", [0, 1e-4])
def test_equal_words_are_kept(rounding, tmp_path):
    def rounded(found):
        return replace(found, embeddings=found.embeddings + np.float32(rounding))

    warnings, merged, first = merge_with(rounded, tmp_path)
    assert warnings == []
    assert_identical(merged, first)


@pytest.mark.parametrize(
    "second",
    [
        lambda _: None,
        lambda _: OTHER,
        lambda found: replace(found, templates=("{}",)),
        lambda found: replace(found, words=("a", "b", "c")),
    ],
)
def test_different_words_are_left_out_with_a_warning(second, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["clip-cfr"])
    warnings, merged, _ = merge_with(second, tmp_path)
    assert merged is None
    assert warnings == [
        "the shards do not have the same words, so none are kept; embed them with: clip-cfr words "
        f"--cache '{tmp_path / 'a b.h5'}' --out WORDS.h5"
    ]
