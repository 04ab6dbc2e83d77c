"""The objective of Correct-n-Contrast (CnC)."""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.dropout import dropout
from clip_cfr.calibrate.core.features import Data
from clip_cfr.calibrate.core.head import Head, embed, logits
from clip_cfr.calibrate.core.losses import cnc_loss, cross_entropy
from clip_cfr.calibrate.core.objectives import Logged, accuracy
from clip_cfr.calibrate.core.projection import Precision


class CncBatch(NamedTuple):
    """Row indices of one step, and the identification head's prediction of each row."""

    rows: Int[Array, " rows"]
    predicted: Int[Array, " rows"]


class CncHyperparameters(NamedTuple):
    """Hyperparameters of CnC; traced, so that a sweep over them compiles once.

    Attributes:
        weight: weight of the contrastive loss; cross-entropy has 1 minus it.
        temperature: temperature of the contrastive loss.
        dropout_rate: dropout of the embeddings that feed the logits.
    """

    weight: Float[Array, ""]
    temperature: Float[Array, ""]
    dropout_rate: Float[Array, ""]


@dataclass(frozen=True)
class CncObjective:
    """lambda * contrastive loss + (1 - lambda) * cross-entropy, both over one minibatch.

    Attributes:
        precision: type that the operands of the projection are rounded to.

    References:
        Zhang, Sohoni, Zhang, Finn, Re, ICML 2022, arXiv 2203.01517, the total loss.
    """

    precision: Precision = "float32"

    def loss(
        self,
        head: Head,
        loss_state: None,
        batch: CncBatch,
        data: Data,
        hyperparameters: CncHyperparameters,
        key: Array,
    ) -> tuple[Float[Array, ""], tuple[None, Logged]]:
        """Return the loss of one step, no loss state, and the two terms and accuracy to log."""
        embeddings = embed(head, data.features.gather(batch.rows), self.precision)
        labels = data.labels[batch.rows]
        contrastive = cnc_loss(embeddings, labels, batch.predicted, hyperparameters.temperature)
        dropped = dropout(key, embeddings, hyperparameters.dropout_rate)
        scores = logits(head, dropped, data.class_embeddings)
        entropy = cross_entropy(scores, labels)
        weight = hyperparameters.weight
        logged = {
            "cross_entropy": entropy,
            "contrastive": contrastive,
            "batch_accuracy": accuracy(scores, labels),
        }
        return weight * contrastive + (1 - weight) * entropy, (loss_state, logged)
