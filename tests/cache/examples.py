"""Caches for tests: one fixed example, arbitrary ones for hypothesis, and their comparison."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from clip_cfr.cache.format.schema import FeatureCache, Head, Rows, Texts, Vocabulary

ROOT = Path(__file__).parents[2]


def normalize(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors (n, dim) to unit length, float32."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def make_texts(
    rng: np.random.Generator, prompts: tuple[tuple[str, ...], ...], num_attributes: int, width: int
) -> Texts:
    """Return texts with random embeddings that follow the rules of the format."""
    # Positive numbers, so that no mean of prompts is zero.
    prompt_embeddings = normalize(rng.uniform(0.1, 1, (sum(map(len, prompts)), width)))
    class_embeddings = normalize(rng.normal(size=(len(prompts), width)))
    ends = np.cumsum([len(sentences) for sentences in prompts])
    for row, (sentences, end) in enumerate(zip(prompts, ends, strict=True)):
        if sentences:
            own = prompt_embeddings[end - len(sentences) : end]
            class_embeddings[row] = normalize(own.mean(axis=0, keepdims=True))[0]
    return Texts(
        class_names=tuple(f"class {row}" for row in range(len(prompts))),
        attribute_names=tuple(f"attribute {row}" for row in range(num_attributes)),
        class_prompts=prompts,
        attribute_prompts=tuple((f"an attribute {row}.",) for row in range(num_attributes)),
        class_embeddings=class_embeddings,
        class_prompt_embeddings=prompt_embeddings,
        attribute_embeddings=(
            normalize(rng.normal(size=(num_attributes, width))) if num_attributes else None
        ),
    )


def make_cache(
    n: int = 12,
    dim: int = 6,
    width: int = 4,
    dtype: str = "float16",
    ids: tuple[str, ...] | None = None,
    prompts: tuple[tuple[str, ...], ...] = (("a cat.", "cats."), ("a dog.",)),
    num_attributes: int = 2,
    bias: bool = True,
    subjects: bool = True,
    num_words: int = 0,
    seed: int = 0,
) -> FeatureCache:
    """Return a cache of random numbers whose row 1 is invalid."""
    rng = np.random.default_rng(seed)
    valid = np.arange(n) != 1
    rows = Rows(
        ids=ids or tuple(f"images/é {row}.png" for row in range(n)),
        labels=rng.integers(0, len(prompts), n, dtype=np.int32),
        attributes=rng.integers(0, max(1, num_attributes), n, dtype=np.int32),
        splits=(np.arange(n) % 3).astype(np.int8),
        subjects=np.arange(n, dtype=np.int32) // 2 if subjects else None,
    )
    return FeatureCache(
        dataset="examples",
        rows=rows,
        valid=valid,
        features=np.where(valid[:, None], rng.normal(size=(n, dim)), 0).astype(dtype),
        head=Head(
            projection=rng.normal(size=(dim, width)).astype(np.float32),
            bias=rng.normal(size=width).astype(np.float32) if bias else None,
            logit_scale=100.0,
        ),
        texts=make_texts(rng, prompts, num_attributes, width),
        provenance={
            "model": "examples",
            "created": "2026-01-01T00:00:00+00:00",
            "nested": {"a": 1},
        },
        vocabulary=make_vocabulary(rng, num_words, width) if num_words else None,
    )


def make_vocabulary(rng: np.random.Generator, num_words: int, width: int) -> Vocabulary:
    """Return words `word é 0`, ... with random embeddings, in two templates."""
    return Vocabulary(
        words=tuple(f"word é {row}" for row in range(num_words)),
        templates=("{}", "a photo of {}"),
        embeddings=normalize(rng.normal(size=(num_words, width))),
    )


def make_cache_of_ids(ids: tuple[str, ...], **settings) -> FeatureCache:
    return make_cache(n=len(ids), ids=ids, **settings)


def caches() -> st.SearchStrategy[FeatureCache]:
    """Return a strategy of small caches with all that the format allows."""
    # UTF-8 cannot encode surrogates, and the format pads with NUL characters.
    name = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    sentences = st.lists(st.text(max_size=9), max_size=3).map(tuple)
    return st.builds(
        make_cache_of_ids,
        ids=st.lists(name, min_size=1, max_size=9, unique=True).map(tuple),
        dim=st.integers(1, 5),
        width=st.integers(1, 4),
        dtype=st.sampled_from(["float16", "float32"]),
        prompts=st.lists(sentences, min_size=1, max_size=3).map(tuple),
        num_attributes=st.integers(0, 3),
        bias=st.booleans(),
        subjects=st.booleans(),
        num_words=st.integers(0, 3),
        seed=st.integers(0, 99),
    )


def assert_identical(found: object, expected: object) -> None:
    """Assert that two caches, arrays or other values have the same types and bytes."""
    found_leaves, expected_leaves = dict(leaves(found)), dict(leaves(expected))
    assert list(found_leaves) == list(expected_leaves)
    differences = (
        difference(name, found_leaves[name], value) for name, value in expected_leaves.items()
    )
    assert [each for each in differences if each] == []


def leaves(value: object, name: str = "value") -> Iterator[tuple[str, object]]:
    """Yield the name and the value of each field, at any depth, of a dataclass."""
    if not is_dataclass(value):
        yield name, value
        return
    for field in fields(value):
        yield from leaves(getattr(value, field.name), f"{name}.{field.name}")


def difference(name: str, found: object, expected: object) -> str | None:
    """Return how a leaf differs from the expected one, or None."""
    if not isinstance(expected, np.ndarray) or not isinstance(found, np.ndarray):
        same = type(found) is type(expected) and found == expected
        return None if same else f"{name}: expected {expected!r}, found {found!r}"
    if (found.dtype, found.shape) != (expected.dtype, expected.shape):
        kinds = f"{expected.dtype} {expected.shape}, found {found.dtype} {found.shape}"
        return f"{name}: expected {kinds}"
    if found.tobytes() == expected.tobytes():
        return None
    wrong = np.argwhere(found != expected)[:1].tolist()
    return f"{name}: bytes differ, the first wrong number is at {wrong}"


def run_python(code: str, *arguments: object, **settings) -> subprocess.CompletedProcess[str]:
    """Run a program in a new process that can import the tests."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **settings,
    )
