"""The objectives of the ERM and the CFR stage, in the form that the training loop calls."""

from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from clip_cfr.calibrate.core.centroids import update_centroids
from clip_cfr.calibrate.core.dropout import dropout
from clip_cfr.calibrate.core.embeddings import Embeddings
from clip_cfr.calibrate.core.features import Data
from clip_cfr.calibrate.core.head import AnyHead, Head, embed, logits
from clip_cfr.calibrate.core.losses import contrastive_loss, cosine_loss, cross_entropy, supcon_loss
from clip_cfr.calibrate.core.projection import Precision
from clip_cfr.calibrate.core.sampling import Pool
from clip_cfr.calibrate.core.similarities import (
    Similarities,
    add_where_few,
    centroid_similarities,
    nearest_similarities,
    other_class_similarities,
    pool_similarities,
)

Logged = dict[str, Float[Array, ""]]


def accuracy(scores: Float[Array, "rows classes"], labels: Int[Array, " rows"]) -> Float[Array, ""]:
    """Return the fraction of rows whose highest logit is that of their label, in [0, 1]."""
    return jnp.mean(scores.argmax(axis=-1) == labels)


@dataclass(frozen=True)
class ErmObjective:
    """Cross-entropy over a minibatch of the training split.

    Attributes:
        precision: type that the operands of the projection are rounded to.
    """

    precision: Precision = "float32"

    def loss(
        self,
        head: AnyHead,
        loss_state: None,
        batch: Int[Array, " rows"],
        data: Data,
        dropout_rate: Float[Array, ""],
        key: Array,
    ) -> tuple[Float[Array, ""], tuple[None, Logged]]:
        """Return the mean cross-entropy of one step.

        Args:
            loss_state: not used.
            batch: indices of the minibatch among the resident rows.
            dropout_rate: the only hyperparameter; in [0, 1), traced.
            key: random key of the dropout.

        Returns:
            The loss in nats, and the pair of `loss_state` and the values to log: `batch_accuracy`,
            the accuracy on the minibatch with dropout, in [0, 1].
        """
        embeddings = embed(head, data.features.gather(batch), self.precision)
        labels = data.labels[batch]
        scores = logits(head, dropout(key, embeddings, dropout_rate), data.class_embeddings)
        logged = {"batch_accuracy": accuracy(scores, labels)}
        return cross_entropy(scores, labels), (loss_state, logged)


class CfrBatch(NamedTuple):
    """Rows of one CFR step, as indices among the resident rows.

    In the batches of a `Stage`, every array has a leading axis of steps.

    Attributes:
        anchors: rows of the calibration set.
        training: minibatch of the training split.
        positives: pool of random positives; None if the positives are centroids, or if all are
            rows of the training minibatch.
        eligible: whether each row of the training minibatch may be a positive; None unless they
            are taken from there.
        negatives: pool of negatives; None if all negatives are rows of the training minibatch.
        alpha: weight of cross-entropy and contrastive loss, float32.
    """

    anchors: Int[Array, " anchors"]
    training: Int[Array, " rows"]
    positives: Pool | None
    eligible: Bool[Array, " rows"] | None
    negatives: Pool | None
    alpha: Float[Array, ""]


class CfrHyperparameters(NamedTuple):
    """Hyperparameters of the CFR loss; traced, so that a sweep over them compiles once.

    Attributes:
        temperature: temperature of the contrastive loss.
        holistic_weight: weight lambda of the holistic loss.
        supcon_temperature: temperature of the supervised contrastive loss.
        dropout_rate: dropout of the embeddings that feed the logits, in [0, 1).
        dps_momentum: momentum of the moving-average centroids, in [0, 1].
        row_weights: weight of each resident row in the centroid of its class, at least 0.
    """

    temperature: Float[Array, ""]
    holistic_weight: Float[Array, ""]
    supcon_temperature: Float[Array, ""]
    dropout_rate: Float[Array, ""]
    dps_momentum: Float[Array, ""]
    row_weights: Float[Array, " n"]


class LabelledEmbeddings(NamedTuple):
    """Embeddings of rows, with the class of each row."""

    embeddings: Embeddings
    labels: Int[Array, " rows"]


class EmbeddedBatch(NamedTuple):
    """The rows of a `CfrBatch`, embedded; pools are flattened, block after block.

    Attributes:
        anchors, training: embeddings and classes of these rows.
        positives, negatives: those of the rows of a pool; None if the batch has no such pool.
    """

    anchors: LabelledEmbeddings
    training: LabelledEmbeddings
    positives: LabelledEmbeddings | None
    negatives: LabelledEmbeddings | None


@dataclass(frozen=True)
class CfrObjective:
    """alpha * cross-entropy + alpha * contrastive loss + lambda * holistic loss.

    The loss state holds the class centroids if the positives are centroids, else None.

    Attributes:
        holistic: `cosine`, `supcon` or `none`.
        cross_entropy: rows that it covers: `calibration`, `train` or `both`.
        negatives: `chosen`, drawn before training; `nearest`, searched in the pool or the training
            minibatch in each step; `minibatch`, all rows of other classes in the training
            minibatch, and the pool for anchors that have fewer than `num_negatives` there.
        num_negatives: negatives of each anchor; with `minibatch`, the number that they count as.
        precision: type that the operands of the projection are rounded to.
        contrast: whether the contrastive loss is part of it; if not, nothing is computed for it.

    References:
        arXiv 2403.07241, the total loss. Cross-entropy over training rows is our addition.
    """

    holistic: str
    cross_entropy: str
    negatives: str
    num_negatives: int
    precision: Precision = "float32"
    contrast: bool = True

    def loss(
        self,
        head: Head,
        loss_state: Embeddings | None,
        batch: CfrBatch,
        data: Data,
        hyperparameters: CfrHyperparameters,
        key: Array,
    ) -> tuple[Float[Array, ""], tuple[Embeddings | None, Logged]]:
        """Return the total loss of one step.

        Centroids are updated by the training minibatch before the loss uses them, without a
        gradient.

        Args:
            loss_state: class centroids, one in each column; None if the positives come from a pool.
            key: random key of the dropout.

        Returns:
            The loss, and the pair of the new loss state and the values to log: `cross_entropy`,
            `contrastive` and `holistic`, the losses without their weights, and
            `calibration_accuracy`, the accuracy on the anchors without dropout, in [0, 1].
        """
        rows = embed_batch(head, batch, data, self.precision)
        if loss_state is not None:
            loss_state = update_centroids(
                loss_state,
                *jax.lax.stop_gradient(rows.training),
                hyperparameters.row_weights[batch.training],
                hyperparameters.dps_momentum,
            )
        contrastive = self.contrast_term(rows, batch, loss_state, hyperparameters.temperature)
        entropy = self.entropy(head, rows, data, hyperparameters.dropout_rate, key)
        holistic = self.holistic_loss(rows.training, data, hyperparameters)
        total = batch.alpha * (entropy + contrastive) + hyperparameters.holistic_weight * holistic
        scores = logits(head, rows.anchors.embeddings, data.class_embeddings)
        logged = {
            "cross_entropy": entropy,
            "contrastive": contrastive,
            "holistic": holistic,
            "calibration_accuracy": accuracy(scores, rows.anchors.labels),
        }
        return total, (loss_state, logged)

    def contrast_term(
        self,
        rows: EmbeddedBatch,
        batch: CfrBatch,
        centroids: Embeddings | None,
        temperature: Float[Array, ""],
    ) -> Float[Array, ""]:
        """Return the contrastive loss over the anchors; 0 without contrast."""
        if not self.contrast:
            return jnp.zeros(())
        positive = positive_similarities(rows, batch, centroids)
        negative = self.negative_similarities(rows, batch.negatives)
        scaled_to = self.num_negatives if self.negatives == "minibatch" else None
        return contrastive_loss(*positive, *negative, temperature, scaled_to)

    def negative_similarities(self, rows: EmbeddedBatch, pool: Pool | None) -> Similarities:
        """Return cosines of anchors with their negatives, and the mask of those that count.

        The second axis runs over the negatives drawn for an anchor (`chosen`), its nearest
        candidates (`nearest`), or all rows of the training minibatch, followed by those of the pool
        if there is one (`minibatch`).

        Args:
            pool: the pool that `rows.negatives` was embedded from.
        """
        anchors, count = rows.anchors, self.num_negatives
        if self.negatives == "chosen":
            return pool_similarities(anchors.embeddings, rows.negatives.embeddings, pool.indices)
        if self.negatives == "nearest":
            candidates = rows.training if rows.negatives is None else rows.negatives
            return nearest_similarities(*anchors, *candidates, count)
        similarities = other_class_similarities(*anchors, *rows.training)
        if rows.negatives is None:
            return similarities
        return add_where_few(
            similarities, other_class_similarities(*anchors, *rows.negatives), count
        )

    def entropy(
        self, head: Head, rows: EmbeddedBatch, data: Data, rate: Float[Array, ""], key: Array
    ) -> Float[Array, ""]:
        """Return the mean cross-entropy over anchors, training rows, or both as one batch, in nats.

        Args:
            rate: dropout rate of the embeddings.
            key: random key of the dropout.
        """
        covered = {
            "calibration": [rows.anchors],
            "train": [rows.training],
            "both": [rows.anchors, rows.training],
        }[self.cross_entropy]
        embeddings, labels = jax.tree.map(
            lambda *arrays: jnp.concatenate(arrays, axis=-1), *covered
        )
        scores = logits(head, dropout(key, embeddings, rate), data.class_embeddings)
        return cross_entropy(scores, labels)

    def holistic_loss(
        self, training: LabelledEmbeddings, data: Data, hyperparameters: CfrHyperparameters
    ) -> Float[Array, ""]:
        """Return the holistic loss over the training minibatch, without its weight; 0 if `none`."""
        if self.holistic == "cosine":
            return cosine_loss(*training, len(data.class_embeddings))
        if self.holistic == "supcon":
            return supcon_loss(*training, hyperparameters.supcon_temperature)
        return jnp.zeros(())


def positive_similarities(
    rows: EmbeddedBatch, batch: CfrBatch, centroids: Embeddings | None
) -> Similarities:
    """Return cosines of anchors with their positives, and the mask of those that count.

    The positive of an anchor is the centroid of its class, (anchors, 1). If `centroids` is None,
    its positives are its rows of the pool, (anchors, count), or, if the batch says which are
    eligible, the other rows of its class in the training minibatch; then the pool serves anchors
    that have none there.
    """
    if centroids is not None:
        return centroid_similarities(*rows.anchors, centroids)
    pooled = None
    if batch.positives is not None:
        pool = rows.positives.embeddings
        pooled = pool_similarities(rows.anchors.embeddings, pool, batch.positives.indices)
    if batch.eligible is None:
        return pooled
    cosines, differ = other_class_similarities(*rows.anchors, *rows.training)
    itself = batch.anchors[:, None] == batch.training[None, :]
    found = cosines, ~differ & ~itself & batch.eligible[None, :]
    return found if pooled is None else add_where_few(found, pooled, 1)


def embed_batch(head: Head, batch: CfrBatch, data: Data, precision: Precision) -> EmbeddedBatch:
    """Embed all rows of a step in one matrix product, and look up their classes.

    Args:
        batch: rows of one step; a pool that is None stays None.
        precision: type that the operands of the projection are rounded to.
    """
    pools = [
        None if pool is None else pool.rows.reshape(-1)
        for pool in (batch.positives, batch.negatives)
    ]
    groups = [batch.anchors, batch.training, *pools]
    rows = jnp.concatenate([group for group in groups if group is not None])
    embeddings = embed(head, data.features.gather(rows), precision)
    sizes = tuple(0 if group is None else len(group) for group in groups)
    parts = zip(groups, *(split(each, sizes) for each in embeddings), strict=True)
    return EmbeddedBatch(
        *(
            None if group is None else LabelledEmbeddings(Embeddings(*part), data.labels[group])
            for group, *part in parts
        )
    )


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def split(array: Shaped[Array, "*rest rows"], sizes: tuple[int, ...]) -> tuple[Array, ...]:
    """Split the last axis into parts of some sizes, which add up to its own.

    The gradient is one concatenation. That of slices would be a sum of padded arrays, which takes
    7 % of a step of CFR.
    """
    return tuple(array[..., slice(*each)] for each in pairwise(accumulate(sizes, initial=0)))


def split_forward(
    array: Shaped[Array, "*rest rows"], sizes: tuple[int, ...]
) -> tuple[tuple[Array, ...], None]:
    """Return the parts; their gradient needs nothing else."""
    return split(array, sizes), None


def split_backward(
    sizes: tuple[int, ...], saved: None, gradients: tuple[Array, ...]
) -> tuple[Shaped[Array, "*rest rows"]]:
    """Return the gradient of the array from those of its parts."""
    return (jnp.concatenate(gradients, axis=-1),)


split.defvjp(split_forward, split_backward)
