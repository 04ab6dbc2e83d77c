"""The head: a linear projection of the features and the scale of the logits."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.embeddings import Embeddings, normalize
from clip_cfr.calibrate.core.features import Features, StoredFeatures, map_chunks
from clip_cfr.calibrate.core.projection import Precision, project


class Head(NamedTuple):
    """The trained parameters, float32, for features scaled to a mean norm of 1.

    Attributes:
        weight: the projection, transposed: its product with rows of features, and the gradient of
            that, are faster.
        bias: bias of the projection; None if the model has none, and then none is trained.
        log_scale: natural logarithm of the logit scale.
    """

    weight: Float[Array, "embedding dim"]
    bias: Float[Array, " embedding"] | None
    log_scale: Float[Array, ""]


class AdapterHead(NamedTuple):
    """A frozen head, and a residual adapter of its embeddings, which is trained.

    Attributes:
        frozen: gives the embeddings that the adapter changes.
        down: first layer of the adapter, to its bottleneck, transposed as a projection is.
        up: second layer, transposed.
        log_scale: natural logarithm of the logit scale, trained; that of `frozen` is not used.
    """

    frozen: Head
    down: Float[Array, "hidden embedding"]
    up: Float[Array, "embedding hidden"]
    log_scale: Float[Array, ""]


AnyHead = Head | AdapterHead


def embed(
    head: AnyHead, features: Float[Array, "rows dim"], precision: Precision = "float32"
) -> Embeddings:
    """Return the unit-length embeddings of features: project, add the bias, normalize.

    With an adapter these are changed by it. No gradient reaches the frozen head.

    Args:
        features: scaled to a mean norm of 1, float32.
        precision: type that the operands of the projection are rounded to.
    """
    if isinstance(head, AdapterHead):
        frozen = jax.tree.map(jax.lax.stop_gradient, head.frozen)
        return adapt(head, embed(frozen, features, precision))
    projected = project(head.weight, features, precision)
    return normalize(projected if head.bias is None else projected + head.bias[:, None])


def adapt(head: AdapterHead, embeddings: Embeddings) -> Embeddings:
    """Return normalize(v + up relu(down v)) for the unit-length embeddings v of the frozen head."""
    unit = embeddings.vectors * embeddings.inverse_norms[None, :]
    return normalize(unit + head.up @ jax.nn.relu(head.down @ unit))


def decayed_leaves(head: AnyHead) -> AnyHead:
    """Return a tree of bools: weight decay acts on all trained leaves but the logit scale."""
    if isinstance(head, AdapterHead):
        frozen = jax.tree.map(lambda leaf: False, head.frozen)
        return AdapterHead(frozen=frozen, down=True, up=True, log_scale=False)
    return Head(weight=True, bias=None if head.bias is None else True, log_scale=False)


def logits(
    head: AnyHead, embeddings: Embeddings, class_embeddings: Float[Array, "classes embedding"]
) -> Float[Array, "rows classes"]:
    """Return the inner products of embeddings and class embeddings, times the logit scale.

    The inner products are cosine similarities, except after dropout.
    """
    return jnp.exp(head.log_scale) * embeddings.dot(class_embeddings)


def predict(
    head: AnyHead,
    features: Float[Array, "rows dim"],
    class_embeddings: Float[Array, "classes embedding"],
) -> Int[Array, " rows"]:
    """Return the class of the highest logit of each row.

    The length of an embedding and the logit scale do not change which logit is the highest. So
    rows of features are multiplied with the class embeddings times the projection: one product for
    each class, instead of one for each number of the embedding.

    Args:
        features: scaled to a mean norm of 1, float32.
    """
    if isinstance(head, AdapterHead):
        return logits(head, embed(head, features), class_embeddings).argmax(axis=-1)
    products = features @ (class_embeddings @ head.weight).T
    if head.bias is not None:
        products += (class_embeddings @ head.bias)[None, :]
    return products.argmax(axis=-1)


def embed_in_chunks(
    head: AnyHead, features: Features | StoredFeatures, rows: Int[np.ndarray, " rows"]
) -> Iterator[tuple[slice, Float[np.ndarray, "chunk embedding"]]]:
    """Yield slices of `rows` in order, each with the unit-length embeddings of its rows, float32.

    A slice has `CHUNK_ROWS` rows, the last one maybe fewer. The embeddings are in NumPy arrays.

    Args:
        rows: row indices in the task, ascending if the features are in a file.
    """
    return map_chunks(partial(embed_rows, head), features, rows)


def compute_logits(
    head: AnyHead,
    features: Features | StoredFeatures,
    class_embeddings: Float[Array, "classes embedding"],
    rows: Int[np.ndarray, " rows"],
) -> Float[np.ndarray, "rows classes"]:
    """Return the float32 logits of many rows, in the order of `rows`, computed in chunks.

    Args:
        rows: row indices in the task, ascending if the features are in a file.
    """
    out = np.empty((len(rows), len(class_embeddings)), np.float32)
    for chunk, values in map_chunks(
        partial(logits_of_rows, head, class_embeddings), features, rows
    ):
        out[chunk] = values
    return out


@jax.jit
def embed_rows(
    head: AnyHead, features: Features, rows: Int[Array, " rows"]
) -> Float[Array, "rows embedding"]:
    """Return the unit-length embeddings of the rows of `features` at these indices."""
    return embed(head, features.gather(rows)).unit


@jax.jit
def logits_of_rows(
    head: AnyHead,
    class_embeddings: Float[Array, "classes embedding"],
    features: Features,
    rows: Int[Array, " rows"],
) -> Float[Array, "rows classes"]:
    """Return the logits of the rows of `features` at these indices."""
    return logits(head, embed(head, features.gather(rows)), class_embeddings)
