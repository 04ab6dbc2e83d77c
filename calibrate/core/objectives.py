"""The objectives of the two training stages, as the training loop calls them."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core import similarities
from clip_cfr.calibrate.core.centroids import update_centroids
from clip_cfr.calibrate.core.dropout import dropout
from clip_cfr.calibrate.core.embeddings import Embeddings
from clip_cfr.calibrate.core.head import Data, Head, embed, logits
from clip_cfr.calibrate.core.losses import contrastive_loss, cosine_loss, cross_entropy, supcon_loss
from clip_cfr.calibrate.core.sampling import Pool


def accuracy(scores: Float[Array, "rows classes"], labels: Int[Array, " rows"]):
    """Share of rows whose highest logit is that of their label."""
    return jnp.mean(scores.argmax(axis=-1) == labels)


@dataclass(frozen=True)
class ErmObjective:
    """Cross-entropy over the training minibatch. Batch: row numbers. Weights: dropout rate."""

    def loss(self, head: Head, memory: None, batch, data: Data, weights, key: Array):
        embeddings, labels = embed(head, data.features.gather(batch)), data.labels[batch]
        scores = logits(head, dropout(key, embeddings, weights), data.class_embeddings)
        return cross_entropy(scores, labels), (memory, {"batch_accuracy": accuracy(scores, labels)})


class CfrBatch(NamedTuple):
    """The rows of one step of CFR; None stands for what its variant does not need.

    Attributes:
        anchors: rows of the calibration set.
        training: a minibatch of the training split.
        positives: the pool of random positives; None with centroids.
        negatives: their pool; None where the nearest rows of the training minibatch serve.
        alpha: weight of cross-entropy and contrast.
    """

    anchors: Int[Array, " anchors"]
    training: Int[Array, " rows"]
    positives: Pool | None
    negatives: Pool | None
    alpha: Float[Array, ""]


class CfrWeights(NamedTuple):
    """What CFR's loss takes beside its batch; traced, so that sweeping it compiles nothing.

    `row_weights` says how much each row counts in the centroid of its class.
    """

    temperature: Float[Array, ""]
    holistic: Float[Array, ""]
    supcon_temperature: Float[Array, ""]
    dropout: Float[Array, ""]
    dps_momentum: Float[Array, ""]
    row_weights: Float[Array, " n"]


class Part(NamedTuple):
    """Embeddings of some rows of a step, and their labels."""

    embeddings: Embeddings
    labels: Int[Array, " rows"]


@dataclass(frozen=True)
class CfrObjective:
    """alpha * cross-entropy + alpha * contrastive loss + lambda * holistic term.

    The memory holds the class centroids where the positives are centroids, else None.

    References:
        arXiv 2403.07241, the total loss; where the cross-entropy runs is our addition.
    """

    holistic: str
    cross_entropy: str
    num_negatives: int

    def loss(self, head: Head, memory, batch: CfrBatch, data: Data, weights: CfrWeights, key):
        anchors, training, positives, negatives = project_once(head, batch, data)
        if memory is not None:
            memory = update_centroids(
                memory,
                *jax.lax.stop_gradient(training),
                weights.row_weights[batch.training],
                weights.dps_momentum,
            )
            pulling = similarities.with_centroids(*anchors, memory)
        else:
            slots = batch.positives.slots
            pulling = similarities.with_slots(anchors.embeddings, positives.embeddings, slots)
        pushing = self.negative_similarities(anchors, training, negatives, batch.negatives)
        contrastive = contrastive_loss(*pulling, *pushing, weights.temperature)
        entropy = self.entropy(head, anchors, training, data, weights.dropout, key)
        holistic = self.holistic_term(training, len(data.class_embeddings), weights)
        total = batch.alpha * (entropy + contrastive) + weights.holistic * holistic
        scores = logits(head, anchors.embeddings, data.class_embeddings)
        return total, (
            memory,
            {
                "cross_entropy": entropy,
                "contrastive": contrastive,
                "holistic": holistic,
                "calibration_accuracy": accuracy(scores, anchors.labels),
            },
        )

    def negative_similarities(
        self, anchors: Part, training: Part, negatives: Part | None, pool: Pool | None
    ):
        """Similarities with the negatives: those of the slots, or the nearest of a pool."""
        if pool is not None and pool.slots is not None:
            return similarities.with_slots(anchors.embeddings, negatives.embeddings, pool.slots)
        candidates = training if negatives is None else negatives
        return similarities.with_nearest(*anchors, *candidates, self.num_negatives)

    def entropy(self, head, anchors: Part, training: Part, data: Data, rate, key):
        """Cross-entropy over the anchors, the training minibatch, or both as one batch."""
        parts = {
            "calibration": [anchors],
            "train": [training],
            "both": [anchors, training],
        }[self.cross_entropy]
        embeddings, labels = jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)
        scores = logits(head, dropout(key, embeddings, rate), data.class_embeddings)
        return cross_entropy(scores, labels)

    def holistic_term(self, training: Part, num_classes: int, weights: CfrWeights):
        """The holistic term over the training minibatch."""
        if self.holistic == "cosine":
            return cosine_loss(*training, num_classes)
        if self.holistic == "supcon":
            return supcon_loss(*training, weights.supcon_temperature)
        return jnp.zeros(())


def project_once(head: Head, batch: CfrBatch, data: Data) -> list[Part | None]:
    """Anchors, training rows, positives and negatives, out of one product for all of them."""
    pools = [
        None if pool is None else pool.rows.reshape(-1)
        for pool in (batch.positives, batch.negatives)
    ]
    groups = [batch.anchors, batch.training, *pools]
    rows = jnp.concatenate([group for group in groups if group is not None])
    everything = Part(embed(head, data.features.gather(rows)), data.labels[rows])
    parts, start = [], 0
    for group in groups:
        stop = start + (0 if group is None else len(group))
        parts.append(None if group is None else rows_of(everything, start, stop))
        start = stop
    return parts


def rows_of(part: Part, start: int, stop: int) -> Part:
    """Some neighbouring rows."""
    return jax.tree.map(lambda array: array[start:stop], part)
