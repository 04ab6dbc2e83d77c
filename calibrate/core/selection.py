"""Evaluation on the validation split, and the best head by each criterion."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.head import Data, Head, embed, logits
from clip_cfr.calibrate.core.settings import CRITERIA


class Best(NamedTuple):
    """The best heads so far, one for each of `CRITERIA`; of equal values the earliest counts.

    Attributes:
        heads: stacked.
        values: on the validation split.
        steps: after which they stood.
    """

    heads: Head
    values: Float[Array, " criteria"]
    steps: Int[Array, " criteria"]


def group_hits(head: Head, data: Data, num_groups: int) -> Float[Array, " groups"]:
    """Right answers in each group of the validation split: whole numbers."""
    embeddings = embed(head, data.features.gather(data.val_rows))
    predictions = logits(head, embeddings, data.class_embeddings).argmax(axis=-1)
    correct = predictions == data.labels[data.val_rows]
    return jnp.bincount(data.val_groups, weights=correct.astype(jnp.float32), length=num_groups)


def accuracies(
    hits: Float[Array, " cells"], counts: Int[Array, " cells"]
) -> Float[Array, " cells"]:
    """Accuracy of each cell (a class or a group); 0 for one without rows."""
    return hits / jnp.maximum(counts, 1)


def lowest(hits: Float[Array, " cells"], counts: Int[Array, " cells"]) -> Float[Array, ""]:
    """Lowest accuracy over the cells that have rows."""
    return jnp.where(counts > 0, accuracies(hits, counts), jnp.inf).min()


def criteria_values(
    hits: Float[Array, " groups"],
    counts: Int[Array, " groups"],
    group_labels: Int[Array, " groups"],
    num_classes: int,
) -> Float[Array, " criteria"]:
    """Worst-class, average and worst-group accuracy; what has no rows does not count."""
    # Sums of whole numbers are exact: were they of accuracies, their rounding, and with it the
    # step that worst-class or average selects, would depend on the attributes.
    class_hits = jnp.bincount(group_labels, weights=hits, length=num_classes)
    class_counts = jnp.bincount(group_labels, weights=counts, length=num_classes)
    average = hits.sum() / counts.sum()
    return jnp.stack([lowest(class_hits, class_counts), average, lowest(hits, counts)])


def no_best(head: Head) -> Best:
    """What stands before anything was evaluated."""
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(CRITERIA)), head)
    return Best(stacked, jnp.full(len(CRITERIA), -jnp.inf), jnp.zeros(len(CRITERIA), jnp.int32))


def keep_best(
    best: Best, head: Head, values: Float[Array, " criteria"], step: Int[Array, ""]
) -> Best:
    """The best heads so far, where the new one takes the place of those that it surpasses."""
    better = values > best.values

    def choose(old, new):
        return jnp.where(better.reshape(-1, *[1] * new.ndim), new, old)

    return Best(
        jax.tree.map(choose, best.heads, head),
        jnp.where(better, values, best.values),
        jnp.where(better, step, best.steps),
    )
