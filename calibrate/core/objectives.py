"""The objectives of the ERM and the CFR stage, in the form that the training loop calls."""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.centroids import update_centroids
from clip_cfr.calibrate.core.dropout import dropout
from clip_cfr.calibrate.core.embeddings import Embeddings
from clip_cfr.calibrate.core.features import Data
from clip_cfr.calibrate.core.head import Head, embed, logits
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
    """Return the fraction of rows whose highest logit is that of their label."""
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
        head: Head,
        loss_state: None,
        batch: Int[Array, " rows"],
        data: Data,
        dropout_rate: Float[Array, ""],
        key: Array,
    ) -> tuple[Float[Array, ""], tuple[None, Logged]]:
        """Return the loss of one step, no loss state, and the accuracy on the minibatch.

        Args:
            batch: row indices.
            dropout_rate: the only hyperparameter.
        """
        embeddings = embed(head, data.features.gather(batch), self.precision)
        labels = data.labels[batch]
        scores = logits(head, dropout(key, embeddings, dropout_rate), data.class_embeddings)
        logged = {"batch_accuracy": accuracy(scores, labels)}
        return cross_entropy(scores, labels), (loss_state, logged)


class CfrBatch(NamedTuple):
    """Row indices of one CFR step; None if a variant does not need them.

    Attributes:
        anchors: rows of the calibration set.
        training: minibatch of the training split.
        positives: pool of random positives; None with centroids.
        negatives: pool of negatives; None if all negatives are rows of the training minibatch.
        alpha: weight of cross-entropy and contrastive loss.
    """

    anchors: Int[Array, " anchors"]
    training: Int[Array, " rows"]
    positives: Pool | None
    negatives: Pool | None
    alpha: Float[Array, ""]


class CfrHyperparameters(NamedTuple):
    """Hyperparameters of the CFR loss; traced, so that a sweep over them compiles once.

    Attributes:
        temperature: temperature of the contrastive loss.
        holistic_weight: weight lambda of the holistic loss.
        supcon_temperature: temperature of the supervised contrastive loss.
        dropout_rate: dropout of the embeddings that feed the logits.
        dps_momentum: momentum of the moving-average centroids.
        row_weights: weight of each row in the centroid of its class.
    """

    temperature: Float[Array, ""]
    holistic_weight: Float[Array, ""]
    supcon_temperature: Float[Array, ""]
    dropout_rate: Float[Array, ""]
    dps_momentum: Float[Array, ""]
    row_weights: Float[Array, " n"]


class LabelledEmbeddings(NamedTuple):
    """Embeddings of rows, with their class labels."""

    embeddings: Embeddings
    labels: Int[Array, " rows"]


class EmbeddedBatch(NamedTuple):
    """The rows of a `CfrBatch`, embedded."""

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
        """Return the loss of one step, the updated centroids, and the values to log."""
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
        positive = positive_similarities(rows, batch.positives, centroids)
        negative = self.negative_similarities(rows, batch.negatives)
        scaled_to = self.num_negatives if self.negatives == "minibatch" else None
        return contrastive_loss(*positive, *negative, temperature, scaled_to)

    def negative_similarities(self, rows: EmbeddedBatch, pool: Pool | None) -> Similarities:
        """Compare anchors with their negatives."""
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
        """Return the cross-entropy over anchors, training rows, or both as one batch."""
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
        """Return the holistic loss over the training minibatch."""
        if self.holistic == "cosine":
            return cosine_loss(*training, len(data.class_embeddings))
        if self.holistic == "supcon":
            return supcon_loss(*training, hyperparameters.supcon_temperature)
        return jnp.zeros(())


def positive_similarities(
    rows: EmbeddedBatch, pool: Pool | None, centroids: Embeddings | None
) -> Similarities:
    """Compare anchors with their centroids, or with their rows of the pool if there are none."""
    if centroids is not None:
        return centroid_similarities(*rows.anchors, centroids)
    return pool_similarities(rows.anchors.embeddings, rows.positives.embeddings, pool.indices)


def embed_batch(head: Head, batch: CfrBatch, data: Data, precision: Precision) -> EmbeddedBatch:
    """Embed all rows of a step in one matrix product."""
    pools = [
        None if pool is None else pool.rows.reshape(-1)
        for pool in (batch.positives, batch.negatives)
    ]
    groups = [batch.anchors, batch.training, *pools]
    rows = jnp.concatenate([group for group in groups if group is not None])
    embeddings = embed(head, data.features.gather(rows), precision)
    embedded = LabelledEmbeddings(embeddings, data.labels[rows])
    sizes = [0 if group is None else len(group) for group in groups]
    bounds = pairwise(accumulate(sizes, initial=0))
    return EmbeddedBatch(
        *(
            None if group is None else jax.tree.map(itemgetter((..., slice(*each))), embedded)
            for group, each in zip(groups, bounds, strict=True)
        )
    )
