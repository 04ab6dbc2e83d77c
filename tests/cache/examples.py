"""Caches for tests: one that is always the same, and any that the format allows."""

import os
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from clip_cfr.cache.format.schema import FeatureCache, Head, Rows, Texts

ROOT = Path(__file__).parents[2]


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows scaled to length 1, float32."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def make_texts(
    rng: np.random.Generator, prompts: tuple[tuple[str, ...], ...], num_attributes: int, width: int
) -> Texts:
    """Texts of random embeddings that keep the rules of the format."""
    # All positive, so that no mean of prompts is zero.
    prompt_embeddings = unit(rng.uniform(0.1, 1, (sum(map(len, prompts)), width)))
    class_embeddings = unit(rng.normal(size=(len(prompts), width)))
    ends = np.cumsum([len(sentences) for sentences in prompts])
    for row, (sentences, end) in enumerate(zip(prompts, ends, strict=True)):
        if sentences:
            own = prompt_embeddings[end - len(sentences) : end]
            class_embeddings[row] = unit(own.mean(axis=0, keepdims=True))[0]
    return Texts(
        tuple(f"class {row}" for row in range(len(prompts))),
        tuple(f"attribute {row}" for row in range(num_attributes)),
        prompts,
        tuple((f"an attribute {row}.",) for row in range(num_attributes)),
        class_embeddings,
        prompt_embeddings,
        unit(rng.normal(size=(num_attributes, width))) if num_attributes else None,
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
    seed: int = 0,
) -> FeatureCache:
    """A cache of random numbers; row 1 is not valid where there is one."""
    rng = np.random.default_rng(seed)
    valid = np.arange(n) != 1
    rows = Rows(
        ids or tuple(f"images/é {row}.png" for row in range(n)),
        rng.integers(0, len(prompts), n, dtype=np.int32),
        rng.integers(0, max(1, num_attributes), n, dtype=np.int32),
        (np.arange(n) % 3).astype(np.int8),
        np.arange(n, dtype=np.int32) // 2 if subjects else None,
    )
    return FeatureCache(
        dataset="examples",
        rows=rows,
        valid=valid,
        features=np.where(valid[:, None], rng.normal(size=(n, dim)), 0).astype(dtype),
        head=Head(
            rng.normal(size=(dim, width)).astype(np.float32),
            rng.normal(size=width).astype(np.float32) if bias else None,
            100.0,
        ),
        texts=make_texts(rng, prompts, num_attributes, width),
        provenance={
            "model": "examples",
            "created": "2026-01-01T00:00:00+00:00",
            "nested": {"a": 1},
        },
    )


def caches() -> st.SearchStrategy[FeatureCache]:
    """Small caches of every kind that the format allows."""
    # Surrogates have no UTF-8, and the format pads with zero characters.
    name = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    ids = st.lists(name, min_size=1, max_size=9, unique=True).map(tuple)
    sentences = st.lists(st.text(max_size=9), max_size=3).map(tuple)
    prompts = st.lists(sentences, min_size=1, max_size=3).map(tuple)
    return st.builds(
        lambda ids, **settings: make_cache(n=len(ids), ids=ids, **settings),
        ids=ids,
        dim=st.integers(1, 5),
        width=st.integers(1, 4),
        dtype=st.sampled_from(["float16", "float32"]),
        prompts=prompts,
        num_attributes=st.integers(0, 3),
        bias=st.booleans(),
        subjects=st.booleans(),
        seed=st.integers(0, 99),
    )


def same(one: object, other: object) -> bool:
    """Whether two caches hold the same values of the same types, bit for bit."""
    if is_dataclass(one):
        pairs = ((getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
        return type(one) is type(other) and all(same(*pair) for pair in pairs)
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and (one.dtype, one.shape) == (other.dtype, other.shape)
            and one.tobytes() == other.tobytes()
        )
    return one == other


def run_python(code: str, *arguments: object, **settings) -> subprocess.CompletedProcess[str]:
    """Runs a program in a process of its own, with this project's packages at hand."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **settings,
    )
