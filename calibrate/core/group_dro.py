"""The objective of group DRO: cross-entropy weighted by the loss of the groups."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.dropout import dropout
from clip_cfr.calibrate.core.features import Data
from clip_cfr.calibrate.core.head import Head, embed, logits
from clip_cfr.calibrate.core.losses import row_cross_entropies
from clip_cfr.calibrate.core.objectives import Logged, accuracy
from clip_cfr.calibrate.core.projection import Precision


class GroupBatch(NamedTuple):
    """Row indices of one step, and the group of each row."""

    rows: Int[Array, " rows"]
    groups: Int[Array, " rows"]


class GroupDroHyperparameters(NamedTuple):
    """Hyperparameters of group DRO; traced, so that a sweep over them compiles once.

    Attributes:
        step_size: eta, the step size of the group weights.
        dropout_rate: dropout of the embeddings that feed the logits.
    """

    step_size: Float[Array, ""]
    dropout_rate: Float[Array, ""]


@dataclass(frozen=True)
class GroupDroObjective:
    """sum_g q_g L_g, with the mean cross-entropy L_g and the weight q_g of each group.

    The loss state holds log q, which does not underflow; q sums to 1. A group without rows in the
    training split has weight 0.

    Attributes:
        precision: type that the operands of the projection are rounded to.

    References:
        Sagawa, Koh, Hashimoto, Liang, ICLR 2020, arXiv 1911.08731, algorithm 1: before each step of
        the head, q_g <- q_g exp(eta L_g), scaled to a sum of 1. Its generalization adjustment is
        left out.
    """

    precision: Precision = "float32"

    def loss(
        self,
        head: Head,
        log_weights: Float[Array, " groups"],
        batch: GroupBatch,
        data: Data,
        hyperparameters: GroupDroHyperparameters,
        key: Array,
    ) -> tuple[Float[Array, ""], tuple[Float[Array, " groups"], Logged]]:
        """Return the loss of one step, the next log q, and accuracy and group weights to log."""
        embeddings = embed(head, data.features.gather(batch.rows), self.precision)
        labels = data.labels[batch.rows]
        dropped = dropout(key, embeddings, hyperparameters.dropout_rate)
        scores = logits(head, dropped, data.class_embeddings)
        losses = average_by_group(
            row_cross_entropies(scores, labels), batch.groups, len(log_weights)
        )
        log_weights = update_log_weights(
            log_weights, jax.lax.stop_gradient(losses), hyperparameters.step_size
        )
        weights = jnp.exp(log_weights)
        logged = {f"weight of group {index}": weight for index, weight in enumerate(weights)}
        return weights @ losses, (
            log_weights,
            {"batch_accuracy": accuracy(scores, labels), **logged},
        )


def initial_log_weights(counts: Int[np.ndarray, " groups"]) -> Float[Array, " groups"]:
    """Return log q for equal weights of the groups that have rows, minus infinity for others.

    Args:
        counts: training rows of each group.
    """
    present = counts > 0
    return jnp.where(jnp.asarray(present), -jnp.log(jnp.float32(present.sum())), -jnp.inf)


def average_by_group(
    values: Float[Array, " rows"], groups: Int[Array, " rows"], num_groups: int
) -> Float[Array, " groups"]:
    """Return the mean value of each group; 0 for a group without rows."""
    members = jax.nn.one_hot(groups, num_groups, dtype=values.dtype)
    return values @ members / jnp.maximum(members.sum(axis=0), 1)


def update_log_weights(
    log_weights: Float[Array, " groups"],
    losses: Float[Array, " groups"],
    step_size: Float[Array, ""] | float,
) -> Float[Array, " groups"]:
    """Return the logarithm of q_g exp(eta L_g) / sum_h q_h exp(eta L_h)."""
    return jax.nn.log_softmax(log_weights + step_size * losses)
