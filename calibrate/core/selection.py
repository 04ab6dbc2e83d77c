"""Evaluation on the validation split, and the best head by each criterion."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from clip_cfr.calibrate.core.features import CHUNK_ROWS, Data
from clip_cfr.calibrate.core.head import AnyHead, predict
from clip_cfr.calibrate.core.named_groups import SMALLEST
from clip_cfr.calibrate.core.settings import ALWAYS_COUNTED, CRITERIA, WORST_NAMED_GROUP

# More evaluations than a stage can have.
NEVER = 2**31 - 1


class Patience(NamedTuple):
    """When a stage stops before its last step; traced.

    Attributes:
        evaluations: evaluations without a better value after which it stops; `NEVER` for none.
        criteria: whether a better value of each of `CRITERIA` counts.
    """

    evaluations: Int[Array, ""]
    criteria: Bool[Array, " criteria"]


class Best(NamedTuple):
    """The best heads so far, one for each of `CRITERIA`; of equal values the earliest is kept.

    Attributes:
        heads: heads stacked along a leading axis.
        values: validation value of each head by its criterion.
        steps: steps after which the heads were evaluated.
        step: steps after which the last evaluation was made.
        waiting: evaluations since the last better value that `Patience` counts.
    """

    heads: AnyHead
    values: Float[Array, " criteria"]
    steps: Int[Array, " criteria"]
    step: Int[Array, ""]
    waiting: Int[Array, ""]


class Evaluation(NamedTuple):
    """Accuracies of a head on the validation split, in [0, 1].

    Attributes:
        correct: whether the prediction of each row is right.
        group_accuracy: accuracy of each group; 0 for a group without rows.
        criteria: values of `CRITERIA`.
    """

    correct: Bool[Array, " val"]
    group_accuracy: Float[Array, " groups"]
    criteria: Float[Array, " criteria"]


def evaluate(head: AnyHead, data: Data) -> Evaluation:
    """Evaluate a head on the validation split."""
    correct = predict_val(head, data) == data.labels[data.val_rows]
    hits, counts = (
        count_hits(correct, data.val_groups, len(data.group_labels)),
        data.val_group_counts,
    )
    inferred_counts = data.val_inferred_counts
    inferred_hits = count_hits(correct, data.val_inferred, len(inferred_counts))
    by_label = label_criteria(hits, counts, data.group_labels, len(data.class_embeddings))
    over_inferred = mean_accuracy(inferred_hits, inferred_counts)
    values = {
        **by_label,
        "inferred-groups": (by_label["average"] + by_label["worst-class"] + over_inferred) / 3,
        # Without attributes named in words, classes are the only groups with a name.
        WORST_NAMED_GROUP: by_label["worst-class"]
        if data.val_named is None
        else named_criterion(correct, data.val_named, data.val_named_counts, by_label),
    }
    criteria = jnp.stack([values[name] for name in CRITERIA])
    return Evaluation(correct, accuracies(hits, counts), criteria)


def count_hits(
    correct: Bool[Array, " val"], cells: Int[Array, " val"], num_cells: int
) -> Float[Array, " cells"]:
    """Count the correct predictions in each cell of the validation split, as whole floats."""
    return jnp.bincount(cells, weights=correct.astype(jnp.float32), length=num_cells)


def predict_val(head: AnyHead, data: Data) -> Int[Array, " val"]:
    """Return the predicted class of each validation row.

    The rows are read in equal chunks of up to `CHUNK_ROWS`, the last one padded: those of a large
    split, in float32, would take more memory than all features do as stored.
    """
    count = len(data.val_rows)
    chunks = -(-count // CHUNK_ROWS)
    size = -(-count // chunks)
    rows = jnp.pad(data.val_rows, (0, chunks * size - count)).reshape(chunks, size)

    def predict_chunk(chunk: Int[Array, " size"]) -> Int[Array, " size"]:
        return predict(head, data.features.gather(chunk), data.class_embeddings)

    return jax.lax.map(predict_chunk, rows).reshape(-1)[:count]


def accuracies(
    hits: Float[Array, " cells"], counts: Float[Array, " cells"]
) -> Float[Array, " cells"]:
    """Return the accuracy of each cell (a class or a group); 0 for a cell without rows."""
    return hits / jnp.maximum(counts, 1)


def lowest_accuracy(
    hits: Float[Array, " cells"], counts: Float[Array, " cells"]
) -> Float[Array, ""]:
    """Return the lowest accuracy over the cells that have rows."""
    return jnp.where(counts > 0, accuracies(hits, counts), jnp.inf).min()


def named_criterion(
    correct: Bool[Array, " val"],
    cells: Int[Array, "val attributes"],
    counts: Float[Array, " named"],
    by_label: Mapping[str, Float[Array, ""]],
) -> Float[Array, ""]:
    """Return what `criterion_value` of `named_groups` does, in the training loop.

    Args:
        correct: whether each validation row is right.
        cells, counts: `val_named` and `val_named_counts` of `Data`.
        by_label: `average` and `worst-class` accuracy.
    """
    repeated = jnp.repeat(correct, cells.shape[1])
    hits = count_hits(repeated, cells.reshape(-1), len(counts))
    is_small = (counts[:-1] < SMALLEST).any()
    mean = (by_label["average"] + by_label["worst-class"] + mean_accuracy(hits, counts)) / 3
    return jnp.where(is_small, mean, lowest_accuracy(hits, counts))


def mean_accuracy(hits: Float[Array, " cells"], counts: Float[Array, " cells"]) -> Float[Array, ""]:
    """Return the mean accuracy over the cells whose count is above 0."""
    counted = counts > 0
    return jnp.where(counted, accuracies(hits, counts), 0).sum() / counted.sum(dtype=jnp.float32)


def label_criteria(
    hits: Float[Array, " groups"],
    counts: Float[Array, " groups"],
    group_labels: Int[Array, " groups"],
    num_classes: int,
) -> dict[str, Float[Array, ""]]:
    """Return worst-class, average and worst-group accuracy by name; empty cells are ignored.

    Args:
        hits: correct predictions in each group, as whole floats.
        counts: rows of each group, as whole floats.
        group_labels: class of each group.
    """
    # Sums of whole numbers are exact. Sums of accuracies would be rounded, and the step that
    # worst-class or average selects would depend on the attributes.
    class_hits = jnp.bincount(group_labels, weights=hits, length=num_classes)
    class_counts = jnp.bincount(group_labels, weights=counts, length=num_classes)
    average = hits.sum() / counts.sum()
    return {
        "worst-class": lowest_accuracy(class_hits, class_counts),
        "average": average,
        "worst-group": lowest_accuracy(hits, counts),
    }


def init_best(head: AnyHead) -> Best:
    """Return best heads of value minus infinity, which any evaluated head replaces."""
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(CRITERIA)), head)
    return Best(
        heads=stacked,
        values=jnp.full(len(CRITERIA), -jnp.inf, jnp.float32),
        steps=jnp.zeros(len(CRITERIA), jnp.int32),
        step=jnp.int32(0),
        waiting=jnp.int32(0),
    )


def update_best(
    best: Best,
    head: AnyHead,
    values: Float[Array, " criteria"],
    step: Int[Array, ""],
    patience: Patience,
) -> Best:
    """Return the best heads, with those replaced whose values the new head exceeds.

    Args:
        values: values of `CRITERIA` of the new head.
        step: steps after which it was evaluated.
        patience: criteria of which a better value sets `waiting` to 0; otherwise it grows by 1.
    """
    better = values > best.values
    return Best(
        heads=jax.tree.map(partial(replace_where, better), best.heads, head),
        values=jnp.where(better, values, best.values),
        steps=jnp.where(better, step, best.steps),
        step=step,
        waiting=jnp.where((better & patience.criteria).any(), 0, best.waiting + 1),
    )


def make_patience(evaluations: int, selection: str) -> Patience:
    """Return the patience of a stage, which counts better worst-class and average accuracies.

    Other criteria count only if they select the head: otherwise the step at which a stage stops
    would depend on group labels, or on words.

    Args:
        evaluations: evaluations without a better value; 0 never stops.
        selection: criterion that selects the head.
    """
    counts = np.array([name in (*ALWAYS_COUNTED, selection) for name in CRITERIA])
    return Patience(jnp.int32(evaluations or NEVER), jnp.asarray(counts))


def has_stopped(best: Best, patience: Patience) -> Bool[Array, ""]:
    """Return whether the stage stops after its last evaluation."""
    return best.waiting >= patience.evaluations


def replace_where(
    condition: Bool[Array, " criteria"],
    old: Float[Array, " criteria *shape"],
    new: Float[Array, "*shape"],
) -> Float[Array, " criteria *shape"]:
    """Return `new` at the entries where the condition holds, else `old`."""
    return jnp.where(condition.reshape(-1, *[1] * new.ndim), new, old)
