"""The objective of the contrastive adapter."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from clip_cfr.calibrate.core.dropout import dropout
from clip_cfr.calibrate.core.embeddings import Embeddings
from clip_cfr.calibrate.core.features import Data
from clip_cfr.calibrate.core.head import AdapterHead, adapt, embed, logits
from clip_cfr.calibrate.core.losses import contrastive_loss, cross_entropy
from clip_cfr.calibrate.core.objectives import Logged, accuracy
from clip_cfr.calibrate.core.projection import Precision
from clip_cfr.calibrate.core.similarities import Similarities, take_highest


class AdapterBatch(NamedTuple):
    """Row indices of one step.

    Attributes:
        anchors: training rows that CLIP's own head misclassifies.
        training: minibatch of the training split.
    """

    anchors: Int[Array, " anchors"]
    training: Int[Array, " rows"]


class AdapterHyperparameters(NamedTuple):
    """Hyperparameters of the contrastive adapter; traced.

    Attributes:
        temperature: temperature of the contrastive loss.
        dropout_rate: dropout of the embeddings that feed the logits.
        correct: whether CLIP's own head classifies each resident row correctly.
    """

    temperature: Float[Array, ""]
    dropout_rate: Float[Array, ""]
    correct: Bool[Array, " n"]


@dataclass(frozen=True)
class ContrastiveAdapterObjective:
    """Contrastive loss of the anchors, plus cross-entropy of anchors and minibatch.

    Positives of an anchor are the rows of its class in the minibatch that CLIP's own head
    classifies correctly. Negatives are the rows of other classes there whose frozen embeddings are
    nearest to that of the anchor.

    Attributes:
        num_negatives: negatives of each anchor.
        precision: type that the operands of the frozen projection are rounded to.

    References:
        Zhang, Re, NeurIPS 2022, arXiv 2207.07180. The paper searches positives and negatives in the
        whole training split. Equal weights of both terms are our choice.
    """

    num_negatives: int
    precision: Precision = "float32"

    def loss(
        self,
        head: AdapterHead,
        loss_state: None,
        batch: AdapterBatch,
        data: Data,
        hyperparameters: AdapterHyperparameters,
        key: Array,
    ) -> tuple[Float[Array, ""], tuple[None, Logged]]:
        """Return the loss of one step, no loss state, and the two terms and accuracy to log."""
        rows, labels = jnp.concatenate(batch), data.labels[jnp.concatenate(batch)]
        frozen = embed(head.frozen, data.features.gather(rows), self.precision)
        frozen = jax.tree.map(jax.lax.stop_gradient, frozen)
        embeddings = adapt(head, frozen)
        count = len(batch.anchors)
        same_class = labels[:count, None] == labels[None, count:]
        positive = anchor_cosines(embeddings, count)
        negative = self.negatives(embeddings, frozen, ~same_class)
        contrastive = contrastive_loss(
            positive,
            same_class & hyperparameters.correct[batch.training][None, :],
            *negative,
            hyperparameters.temperature,
        )
        dropped = dropout(key, embeddings, hyperparameters.dropout_rate)
        scores = logits(head, dropped, data.class_embeddings)
        entropy = cross_entropy(scores, labels)
        logged = {
            "cross_entropy": entropy,
            "contrastive": contrastive,
            "batch_accuracy": accuracy(scores[count:], labels[count:]),
        }
        return entropy + contrastive, (loss_state, logged)

    def negatives(
        self, embeddings: Embeddings, frozen: Embeddings, others: Bool[Array, "anchors rows"]
    ) -> Similarities:
        """Compare anchors with the rows of other classes that are nearest before adaption."""
        count = len(others)
        similarities, ranking = (anchor_cosines(each, count) for each in (embeddings, frozen))
        return take_highest(similarities, ranking, others, self.num_negatives)


def anchor_cosines(embeddings: Embeddings, count: int) -> Float[Array, "anchors rows"]:
    """Return the cosines of the first `count` embeddings with the others."""
    anchors = Embeddings(embeddings.vectors[:, :count], embeddings.inverse_norms[:count])
    others = Embeddings(embeddings.vectors[:, count:], embeddings.inverse_norms[count:])
    return anchors.cosines(others)
