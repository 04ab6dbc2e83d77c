"""Worlds of embeddings in which an attribute is hidden, or none is, with a vocabulary."""

import numpy as np

from clip_cfr.cache.format.schema import Texts
from clip_cfr.cache.words.words import Words
from clip_cfr.calibrate.explain.images import Images
from tests.calibrate.synthetic import unit

HIDDEN = ("hidden 0", "hidden 1")


def make_world(
    seed: int,
    *,
    attribute: float = 1.0,
    overfit: float = 0.0,
    at_random: bool = False,
    images_per_class: int = 100,
    rows_per_subject: int | None = None,
    dim: int = 32,
    num_words: int = 100,
) -> tuple[Images, Texts, Words]:
    """Return two classes whose attribute is one of two words, and random other words.

    An image is class + 2 attribute + noise. The head `erm` adds to the class direction the
    attribute's, so that it is wrong where the attribute is that of the other class; `cfr` does not.

    Args:
        seed: of everything.
        attribute: weight of the attribute in the head `erm`; 0 hides nothing.
        overfit: weight of a random direction in the head `erm`.
        at_random: whether 20 % of the images are wrong, whatever they show.
        rows_per_subject: so many images share their noise, and errors at random.
    """
    rng = np.random.default_rng(seed)
    count, size = 2 * images_per_class, rows_per_subject or 1
    labels = np.repeat([0, 1], images_per_class)
    attributes = rng.integers(2, size=count)
    subjects = np.arange(count) // size
    basis = np.linalg.qr(rng.normal(size=(dim, 5)))[0].T
    shared = rng.normal(size=(count, dim))[subjects]
    noise = rng.normal(size=(count, dim)) if rows_per_subject is None else shared
    if rows_per_subject is not None:
        noise = (noise + rng.normal(size=(count, dim))) / np.sqrt(2)
    raw = 1.2 * basis[labels] + 2 * basis[2 + attributes] + noise
    embeddings = unit(raw)
    axis = basis[1] - basis[0]
    head = axis + attribute * (basis[3] - basis[2]) + overfit * unit(rng.normal(size=dim))
    predicted = (embeddings @ head > 0).astype(int)
    if at_random:
        predicted = np.where(rng.random(count)[subjects] < 0.2, 1 - labels, labels)
    vectors = np.concatenate([basis[2:4], rng.normal(size=(num_words, dim)) / np.sqrt(dim)])
    images = Images(
        rows=np.arange(count),
        ids=tuple(f"{row}.png" for row in range(count)),
        labels=labels,
        subjects=None if rows_per_subject is None else subjects.astype(np.int32),
        embeddings=embeddings.astype(np.float32),
        predicted={"erm": predicted, "cfr": (embeddings @ axis > 0).astype(int)},
        probability=1 / (1 + np.exp(-5 * (2 * labels - 1) * (embeddings @ head))),
    )
    return images, make_texts(basis[:2]), make_words(vectors)


def make_texts(class_embeddings: np.ndarray) -> Texts:
    """Return two classes without prompts, `cat` and `dog`."""
    embeddings = unit(class_embeddings).astype(np.float32)
    return Texts(
        ("cat", "dog"), (), (), (), embeddings, np.zeros((0, embeddings.shape[1]), np.float32)
    )


def make_words(vectors: np.ndarray) -> Words:
    """Return words with these vectors, scaled to unit length; the first are `HIDDEN`."""
    names = [*HIDDEN, *(f"word {row}" for row in range(len(vectors) - len(HIDDEN)))]
    return Words(tuple(names), unit(vectors).astype(np.float32), ("{}",), {"model": "none"})
