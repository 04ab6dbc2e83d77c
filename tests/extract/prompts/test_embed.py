import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.manifest.manifest import FileSource, Manifest
from clip_cfr.extract.prompts.embed import class_embeddings, embed_texts, expand
from clip_cfr.extract.prompts.templates import IMAGENET, TEMPLATES

SIMPLE = TEMPLATES["simple"]


def pets(tmp_path) -> Manifest:
    none = np.zeros(0, np.int32)
    return Manifest(
        dataset="pets",
        rows=Rows((), none, none, none.astype(np.int8)),
        images=FileSource(tmp_path, ()),
        class_names=("dog", "cat"),
        attribute_names=("indoor", "outdoor"),
        class_prompts=(("dog", "A dog in the rain."), ("cat",)),
        attribute_prompts=(("indoor",), ("outdoor",)),
    )


def vectors(sentences) -> np.ndarray:
    """A unit vector for each sentence, the same whenever it is asked."""
    seeds = [int(hashlib.sha256(s.encode()).hexdigest()[:8], 16) for s in sentences]
    rows = np.stack([np.random.default_rng(seed).normal(size=4) for seed in seeds])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_templates_are_the_80_as_published():
    assert len(IMAGENET) == len(set(IMAGENET)) == 80
    assert all(re.fullmatch(r"[a-z- ]*\{\}[a-z- ]*\.", template) for template in IMAGENET)
    assert (IMAGENET[0], IMAGENET[-1]) == ("a bad photo of a {}.", "a tattoo of the {}.")
    digest = hashlib.sha256("\n".join(IMAGENET).encode()).hexdigest()
    assert digest == "4f976686fb651bb5803d4689dcd849f75efe0ef19a3c801355bc9a6f03c8a5af"


def test_the_seven_that_were_selected_are_among_the_80():
    selected = {
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    }
    assert selected < set(IMAGENET)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["dog"], ("a photo of a dog.",)),
        (["A dog in the rain."], ("A dog in the rain.",)),
        (["dog", "It barks."], ("a photo of a dog.", "It barks.")),
        (["St. Bernard"], ("a photo of a St. Bernard.",)),
        (["{dog} {}"], ("a photo of a {dog} {}.",)),
        ([], ()),
    ],
)
def test_a_name_goes_into_templates_and_a_sentence_stays(entries, expected):
    assert expand(entries, SIMPLE) == expected


def test_a_name_goes_into_all_80():
    prompts = expand(["dog"], IMAGENET)
    assert len(prompts) == 80
    assert prompts[35] == "a dog in a video game."


def test_a_class_embedding_is_the_unit_mean_of_its_prompts():
    rows = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    found = class_embeddings(rows, [2, 1])
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5], [0.6, 0.8]], rtol=1e-6)
    assert found.dtype == np.float32


def test_texts_hold_prompts_class_after_class(tmp_path):
    texts = embed_texts(pets(tmp_path), SIMPLE, vectors)
    dog = ("a photo of a dog.", "A dog in the rain.")
    assert texts.class_prompts == (dog, ("a photo of a cat.",))
    assert texts.attribute_prompts == (("a photo of a indoor.",), ("a photo of a outdoor.",))
    rows = vectors([*dog, "a photo of a cat."])
    np.testing.assert_array_equal(texts.class_prompt_embeddings, rows)
    np.testing.assert_array_equal(texts.class_embeddings, class_embeddings(rows, [2, 1]))
    assert texts.attribute_embeddings.shape == (2, 4)


def test_without_attribute_prompts_there_are_no_attribute_embeddings(tmp_path):
    manifest = replace(pets(tmp_path), attribute_names=(), attribute_prompts=())
    assert embed_texts(manifest, SIMPLE, vectors).attribute_embeddings is None
