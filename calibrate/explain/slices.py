"""Clusters of the images of a class in which a method is worse than in the whole class."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from clip_cfr.cache.words.words import Words
from clip_cfr.calibrate.explain.images import Images
from clip_cfr.calibrate.explain.permutations import ROUNDING
from clip_cfr.calibrate.explain.result import Slice
from clip_cfr.calibrate.explain.words import ComparedWords, rank_words, why_untested

COMPONENTS = 5
DIMENSIONS = 8
# Fewer images than this for a component or a dimension of the mixture are not enough.
ROWS_EACH = 10
# Slices shown of each class, and their smallest size.
SHOWN, SMALLEST = 2, 10
NEAREST, WORDS = 5, 3


@dataclass(frozen=True)
class Cluster:
    """A cluster of images of a class.

    Attributes:
        rows: indices of its images among all images, the nearest to its centre first.
        excess: errors above the number at the error rate of the class.
    """

    rows: Int[np.ndarray, " size"]
    excess: float


def find_slices(
    images: Images,
    method: str,
    class_names: Sequence[str],
    tested: Sequence[ComparedWords],
    words: Words | None,
    usable: Bool[np.ndarray, " words"],
) -> tuple[Slice, ...]:
    """Return the slices of every class with enough errors, those with the most excess first.

    Args:
        images: the images of all classes.
        method: the method whose errors are explained.
        class_names: names of the classes.
        tested: classes whose words were tested; the slices of others are not named.
        words: the words; None without words.
        usable: whether each word may name a slice.
    """
    by_label = {each.label: each for each in tested}
    found = []
    for label, name in enumerate(class_names):
        rows = np.flatnonzero(images.labels == label)
        if why_untested(images.wrong(method)[rows]) is not None:
            continue
        for cluster in find_clusters(images, method, rows):
            named = name_slice(cluster.rows, rows, by_label.get(label), words, usable)
            found.append((cluster.excess, describe_slice(images, method, name, cluster, named)))
    return tuple(each for _, each in sorted(found, key=lambda pair: -pair[0]))


def find_clusters(images: Images, method: str, rows: Int[np.ndarray, " n"]) -> list[Cluster]:
    """Return the clusters of a class that are worse than the class, at most `SHOWN`.

    As in Domino, a Gaussian mixture is fitted to the embeddings, reduced by PCA, together with the
    probability of the true class. Images are assigned to components by their embeddings alone.

    Args:
        images: the images of all classes.
        method: the explained method.
        rows: the images of the class.

    References:
        S. Eyuboglu et al., Domino: Discovering Systematic Errors with Cross-Modal Embeddings, ICLR
            2022. There the mixture models label and prediction as categories.
    """
    components = min(COMPONENTS, len(rows) // ROWS_EACH)
    embeddings = images.embeddings[rows].astype(np.float64)
    if components < 2 or np.ptp(embeddings, axis=0).max() < ROUNDING:
        return []
    owners, distances = fit_mixture(embeddings, images.probability[rows], components)
    wrong = images.wrong(method)[rows]
    clusters = []
    for component in range(components):
        members = np.flatnonzero(owners == component)
        excess = wrong[members].sum() - wrong.mean() * len(members)
        if len(members) >= SMALLEST and excess > 0:
            order = np.argsort(distances[members, component], kind="stable")
            clusters.append(Cluster(rows[members[order]], float(excess)))
    return sorted(clusters, key=lambda each: -each.excess)[:SHOWN]


def fit_mixture(
    embeddings: Float[np.ndarray, "n embedding"],
    probability: Float[np.ndarray, " n"],
    components: int,
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n components"]]:
    """Return the component of each image, and its distances from all centres.

    Args:
        embeddings: embeddings of the images of a class.
        probability: probability of the true class.
        components: number of components, at most n.
    """
    dimensions = min(DIMENSIONS, embeddings.shape[1], max(1, len(embeddings) // ROWS_EACH))
    reduced = PCA(dimensions, svd_solver="covariance_eigh").fit_transform(embeddings)
    reduced /= max(reduced[:, 0].std(), np.finfo(np.float32).tiny)
    confidence = (probability - probability.mean()) / max(probability.std(), 1e-6)
    mixture = GaussianMixture(
        components, covariance_type="diag", reg_covar=1e-3, n_init=3, random_state=0
    )
    with warnings.catch_warnings():
        # Equal images, and a mixture that is not quite converged, are clusters good enough to show.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(np.column_stack([reduced, confidence]))
    means, variances = mixture.means_[:, :-1], mixture.covariances_[:, :-1]
    distances = (((reduced[:, None] - means) ** 2) / variances).sum(axis=2)
    log_density = np.log(mixture.weights_) - 0.5 * (distances + np.log(variances).sum(axis=1))
    return log_density.argmax(axis=1), distances


def describe_slice(
    images: Images, method: str, label: str, cluster: Cluster, words: tuple[str, ...]
) -> Slice:
    """Return a cluster with its accuracy under every method of the run."""
    rows = cluster.rows
    return Slice(
        label=label,
        images=len(rows),
        errors=int(images.wrong(method)[rows].sum()),
        accuracies=accuracies(images, rows),
        words=words,
        nearest=tuple(images.ids[row] for row in rows[:NEAREST]),
    )


def accuracies(images: Images, rows: Int[np.ndarray, " rows"]) -> dict[str, float]:
    """Return the accuracy of every method on some images, at least one."""
    return {name: float(1 - images.wrong(name)[rows].mean()) for name in images.predicted}


def name_slice(
    members: Int[np.ndarray, " size"],
    rows: Int[np.ndarray, " n"],
    tested: ComparedWords | None,
    words: Words | None,
    usable: Bool[np.ndarray, " words"],
) -> tuple[str, ...]:
    """Return words that stand out in the class, and that a slice is nearer to than the class.

    Args:
        members: the images of the slice, among all images.
        rows: the images of the class.
        tested: the words of the class; None if they were not tested.
        words: the words; None without words.
        usable: whether each word may name a slice.
    """
    if tested is None or words is None:
        return ()
    inside = np.isin(rows, members)
    if inside.all():
        return ()
    differences = tested.errors.differences(inside)
    differences[np.setdiff1d(np.arange(len(differences)), rank_words(tested, 1))] = 0
    differences[~usable] = 0
    order = np.argsort(-differences, kind="stable")[:WORDS]
    return tuple(words.words[index] for index in order if differences[index] > 0)
