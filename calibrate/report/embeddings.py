"""Embeddings before and after calibration, their maps in the plane, and cosines of centroids."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float64, Int
from sklearn.decomposition import PCA

from clip_cfr.cache.errors import FieldError
from clip_cfr.cache.runs.apply_head import adapt, embed, normalize
from clip_cfr.cache.runs.heads import SavedHead, choose_head, heads_by_method
from clip_cfr.cache.runs.run import Run

Arrays = Mapping[str, np.ndarray]
# t-SNE and UMAP start from so many principal components.
COMPONENTS = 50
PERPLEXITY = 30
MINIMUM_ROWS = 10
# Spread of the start, as scikit-learn scales the one by principal components.
START_SPREAD = 1e-4


def find_calibrated_head(run: Run, recommended: str | None) -> SavedHead | None:
    """Return the head whose embeddings are shown as those after calibration.

    It is the recommended head if that changes the embeddings, else the one of CFR, else the first
    that does; None if no method does.

    Args:
        run: the run.
        recommended: the recommended method; None without one.

    Raises:
        FieldError: the heads of the run are damaged.
    """
    found = heads_by_method(run)
    for method in (recommended, "cfr", *found):
        if method in found and method != "zeroshot":
            head = choose_head(run, method)
            if {"projection", "class_embeddings"} <= head.arrays.keys():
                return head
    return None


def embed_with(arrays: Arrays, features: np.ndarray) -> Float64[np.ndarray, "rows embedding"]:
    """Return the unit-length embeddings of features by a head that has a projection.

    Raises:
        FieldError: the width of the features is not that of the head.
    """
    if features.shape[1] != arrays["projection"].shape[0]:
        expected = f"features of width {arrays['projection'].shape[0]}, as the head takes"
        raise FieldError("features", expected, features.shape[1])
    embeddings = embed(arrays, features.astype(np.float64))
    return adapt(arrays, embeddings) if "adapter_down" in arrays else embeddings


def centroid_cosines(
    embeddings: Float[np.ndarray, "rows embedding"],
    members: Int[np.ndarray, " rows"],
    count: int,
) -> Float64[np.ndarray, "count count"]:
    """Return the cosine similarity of each pair of centroids; NaN for one without rows.

    Args:
        embeddings: embeddings of unit length.
        members: index of the centroid that each row belongs to.
        count: number of centroids.
    """
    centroids = np.full((count, embeddings.shape[1]), np.nan)
    for index in np.unique(members):
        centroids[index] = embeddings[members == index].mean(axis=0)
    units = normalize(centroids)
    return units @ units.T


def project_pair(
    before: Float[np.ndarray, "rows embedding"],
    after: Float[np.ndarray, "rows embedding"],
    method: str,
) -> tuple[Float[np.ndarray, "rows 2"], Float[np.ndarray, "rows 2"]]:
    """Return two maps of the same rows in the plane; the second starts from the first.

    Args:
        before, after: embeddings of unit length, of at least `MINIMUM_ROWS` rows.
        method: `tsne` or `umap`.
    """
    project = {"tsne": project_tsne, "umap": project_umap}[method]
    first = project(reduce_width(before), None)
    return first, project(reduce_width(after), first)


def reduce_width(embeddings: np.ndarray) -> np.ndarray:
    """Return the first `COMPONENTS` principal components of embeddings."""
    width = min(COMPONENTS, *embeddings.shape)
    return PCA(width, random_state=0).fit_transform(embeddings).astype(np.float32)


def project_tsne(rows: np.ndarray, start: np.ndarray | None) -> np.ndarray:
    """Return the map of t-SNE.

    Args:
        rows: points, (n, width).
        start: an earlier map to start from; None starts from principal components.
    """
    from sklearn.manifold import TSNE

    init = "pca" if start is None else scale_start(start)
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init=init, max_iter=500, random_state=0)
    return tsne.fit_transform(rows)


def scale_start(start: np.ndarray) -> np.ndarray:
    """Return a map scaled to the spread from which t-SNE starts."""
    centred = start - start.mean(axis=0)
    return (centred / max(float(centred.std(axis=0)[0]), 1e-12) * START_SPREAD).astype(np.float32)


def project_umap(rows: np.ndarray, start: np.ndarray | None) -> np.ndarray:
    """Return the map of UMAP; see `project_tsne`."""
    from umap import UMAP

    init = "pca" if start is None else start
    neighbours = min(15, len(rows) - 1)
    return UMAP(n_neighbors=neighbours, init=init, random_state=0, n_jobs=1).fit_transform(rows)
