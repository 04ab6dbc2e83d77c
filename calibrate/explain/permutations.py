"""Permutations of the wrong and right labels of images, and the test of many words at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

PERMUTATIONS = 1000
# Permutations in memory at a time.
CHUNK = 100
# A standard deviation of similarities below this is rounding of float32.
ROUNDING = 1e-6


@dataclass(frozen=True)
class ClassErrors:
    """The images of a class, which of them are wrong, and directions of words.

    Attributes:
        wrong: whether each image is misclassified; some are, and some are not.
        embeddings: unit-length embeddings of the images.
        directions: a vector for each word, whose product with an embedding is the similarity.
        subjects: number of each image's subject; None if all images are independent.
    """

    wrong: Bool[np.ndarray, " n"]
    embeddings: Float32[np.ndarray, "n embedding"]
    directions: Float32[np.ndarray, "words embedding"]
    subjects: Int[np.ndarray, " n"] | None

    @cached_property
    def centred(self) -> Float32[np.ndarray, "n embedding"]:
        """The embeddings less their mean."""
        return self.embeddings - self.embeddings.mean(axis=0)

    @cached_property
    def deviations(self) -> Float32[np.ndarray, " words"]:
        """Standard deviation of the similarity with each word; infinite if all are equal."""
        covariance = self.centred.T @ self.centred / len(self.centred)
        variances = np.einsum("wd,wd->w", self.directions @ covariance, self.directions)
        found = np.sqrt(np.maximum(variances, 0))
        return np.where(found > ROUNDING, found, np.inf).astype(np.float32)

    @cached_property
    def blocks(self) -> list[Int[np.ndarray, "subjects size"]]:
        """The images as row indices, a matrix for each size of subjects, a row for each subject."""
        return subject_blocks(self.subjects, len(self.wrong))

    def scores(
        self, wrong: Float32[np.ndarray, "assignments n"]
    ) -> Float32[np.ndarray, "assignments words"]:
        """Return sqrt(n) times the correlation of similarity and being wrong, for each word.

        Args:
            wrong: 1 for wrong and 0 for right images; each row has both.
        """
        centred = wrong - wrong.mean(axis=1, keepdims=True)
        products = (centred @ self.centred) @ self.directions.T
        spread = np.linalg.norm(centred, axis=1, keepdims=True)
        return products / (spread * self.deviations)

    def differences(self, chosen: Bool[np.ndarray, " n"]) -> Float32[np.ndarray, " words"]:
        """Return the mean similarity of the chosen less that of the other images, for each word.

        Args:
            chosen: whether each image is chosen; some are, and some are not.
        """
        between = self.embeddings[chosen].mean(axis=0) - self.embeddings[~chosen].mean(axis=0)
        return self.directions @ between


def subject_blocks(
    subjects: Int[np.ndarray, " n"] | None, count: int
) -> list[Int[np.ndarray, "subjects size"]]:
    """Return row indices of `count` images by the size of their subjects, a row for each subject.

    Images without subjects are subjects of size 1.
    """
    if subjects is None:
        return [np.arange(count)[:, None]]
    _, inverse, sizes = np.unique(subjects, return_inverse=True, return_counts=True)
    order, starts = np.argsort(inverse, kind="stable"), np.cumsum(sizes) - sizes
    return [order[starts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes)]


def permute_wrong(
    rng: np.random.Generator, errors: ClassErrors, count: int
) -> Float32[np.ndarray, "permutations n"]:
    """Return random assignments of wrong (1) and right (0) to the images of a class.

    Subjects of equal size exchange all their values, in random order: how many images of a subject
    are wrong stays together, as images of a subject are not independent.
    """
    permuted = np.empty((count, len(errors.wrong)), np.float32)
    for rows in errors.blocks:
        subjects = np.tile(np.arange(len(rows)), (count, 1))
        values = errors.wrong[rows][rng.permuted(subjects, axis=1)]
        permuted[:, rows.ravel()] = rng.permuted(values, axis=2).reshape(count, -1)
    return permuted


def family_wise_p_values(
    rng: np.random.Generator, classes: Sequence[ClassErrors], permutations: int = PERMUTATIONS
) -> list[Float[np.ndarray, " words"]]:
    """Return the p-value of each word of each class, corrected for all words and all classes.

    The p-value is the share of permutations in which any word of any class has a score as far from
    0: the single-step maxT procedure. It includes the assignment that was observed.

    Args:
        rng: draws the permutations.
        classes: the classes to test, each with the same words.
        permutations: their number; the smallest p-value is 1 / (permutations + 1).

    References:
        P. H. Westfall and S. S. Young, Resampling-Based Multiple Testing, 1993, section 2.5.
    """
    highest = np.sort(np.concatenate(list(iterate_highest(rng, classes, permutations))))
    observed = [np.abs(each.scores(each.wrong[None].astype(np.float32))[0]) for each in classes]
    # Equal scores may differ by rounding.
    above = [permutations - np.searchsorted(highest, each * (1 - 1e-5)) for each in observed]
    return [(1 + each) / (permutations + 1) for each in above]


def iterate_highest(
    rng: np.random.Generator, classes: Sequence[ClassErrors], permutations: int
) -> Iterator[Float32[np.ndarray, " permutations"]]:
    """Yield the highest absolute score over words and classes of each permutation, in chunks."""
    for start in range(0, permutations, CHUNK):
        count = min(CHUNK, permutations - start)
        scores = [
            np.abs(each.scores(permute_wrong(rng, each, count))).max(axis=1) for each in classes
        ]
        yield np.max(scores, axis=0)
