import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.cache.class_prompts import average_prompts
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, Sentence, make_rows
from clip_cfr.extract.prompts.embed import embed_other_prompts, embed_prompts
from clip_cfr.extract.prompts.templates import TEMPLATES

SIMPLE = TEMPLATES["simple"]


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return Manifest(
        dataset="pets",
        rows=make_rows([], [], [], []),
        images=FileSource(tmp_path, ()),
        class_names=("dog", "cat"),
        attribute_names=("indoor", "outdoor"),
        class_prompts=(("dog", Sentence("A dog in the rain.")), ("cat",)),
        attribute_prompts=(("indoor",), ("outdoor",)),
    )


def embed_by_hash(sentences: Sequence[str]) -> np.ndarray:
    """A text tower that maps equal sentences to equal unit vectors."""
    seeds = [int(hashlib.sha256(s.encode()).hexdigest()[:8], 16) for s in sentences]
    rows = np.stack([np.random.default_rng(seed).normal(size=4) for seed in seeds])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_a_class_embedding_is_the_unit_length_mean_of_its_prompts():
    rows = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    averages = average_prompts(rows, [2, 1])
    np.testing.assert_allclose(averages, [[0.5**0.5, 0.5**0.5], [0.6, 0.8]], rtol=1e-6)
    assert averages.dtype == np.float32


def test_prompts_are_ordered_by_class(manifest):
    texts = embed_prompts(manifest, SIMPLE, embed_by_hash)
    dog = ("a photo of a dog.", "A dog in the rain.")
    assert texts.class_prompts == (dog, ("a photo of a cat.",))
    assert texts.attribute_prompts == (("a photo of a indoor.",), ("a photo of a outdoor.",))
    rows = embed_by_hash([*dog, "a photo of a cat."])
    np.testing.assert_array_equal(texts.class_prompt_embeddings, rows)
    np.testing.assert_array_equal(texts.class_embeddings, average_prompts(rows, [2, 1]))
    attributes = embed_by_hash(["a photo of a indoor.", "a photo of a outdoor."])
    np.testing.assert_allclose(texts.attribute_embeddings, attributes, rtol=1e-6)


def test_other_prompts_are_ordered_by_set_and_class(manifest):
    others = embed_other_prompts(manifest, {"name": ("{}",), "simple": SIMPLE}, embed_by_hash)
    sentence = "A dog in the rain."
    assert others.sentences == (
        *("dog", sentence, "cat"),
        *("a photo of a dog.", sentence, "a photo of a cat."),
    )
    assert others.sets == ("name",) * 3 + ("simple",) * 3
    assert others.owners.tolist() == [0, 0, 1, 0, 0, 1]
    np.testing.assert_array_equal(others.embeddings, embed_by_hash(others.sentences))


def test_a_set_with_a_sentence_that_is_too_long_is_left_out(manifest):
    def embed(sentences):
        if any("photo" in sentence for sentence in sentences):
            raise ExtractError("too long")
        return embed_by_hash(sentences)

    others = embed_other_prompts(manifest, {"name": ("{}",), "simple": SIMPLE}, embed)
    assert set(others.sets) == {"name"}
    assert embed_other_prompts(manifest, {"simple": SIMPLE}, embed) is None


def test_without_attribute_prompts_there_are_no_attribute_embeddings(manifest):
    manifest = replace(manifest, attribute_names=(), attribute_prompts=())
    assert embed_prompts(manifest, SIMPLE, embed_by_hash).attribute_embeddings is None
