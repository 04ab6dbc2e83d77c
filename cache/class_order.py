"""Whether class embeddings belong to the labels, or to the classes in another order."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

# Rows that a class needs for its recall to count.
MIN_ROWS = 8
# A class is in the wrong place if its rows are recognized in another one at least so often,
# and in its own at most so often.
MIN_RECALL_ELSEWHERE, MAX_RECALL = 0.5, 0.25
# Hits that chance would give, below which far fewer of them mean nothing.
MIN_EXPECTED_HITS = 10
SAMPLE_BLOCKS, ROWS_PER_BLOCK = 64, 16
SHOWN_CLASSES = 5

Predictions = Int[np.ndarray, " rows"]


def check_class_order(
    predictions: Predictions, labels: Int[np.ndarray, " rows"], class_names: Sequence[str]
) -> str | None:
    """Return a warning if zero-shot predictions suggest that the classes are in another order.

    A permutation of class embeddings, or of class names, is invisible otherwise: it makes zero-shot
    accuracy meaningless, and every head that starts from them worse.

    Args:
        predictions: index of the class with the largest zero-shot logit of each row.
        labels: class index of each row.
        class_names: names of the classes, in the order of the labels.

    Returns:
        A sentence without a final period that states the accuracy, that of chance, the classes that
        seem exchanged (at most `SHOWN_CLASSES`) and the remedy. Without a better order it still
        warns if the accuracy is below half of chance and chance would give `MIN_EXPECTED_HITS`
        hits. Otherwise, and without rows, None.
    """
    if not len(labels):
        return None
    accuracy, chance = measure_agreement(predictions, labels, len(class_names))
    better = find_better_order(predictions, labels, len(class_names))
    if better is None and not (accuracy < chance / 2 and chance * len(labels) >= MIN_EXPECTED_HITS):
        return None
    start = (
        f"zero-shot is right for {format_share(accuracy)} of the training rows that were tried, "
        f"chance is {format_share(chance)}: "
    )
    remedy = "check the order of --class-embeddings, --class-names or --prompts"
    if better is None:
        return f"{start}class embeddings or labels may be in another order; {remedy}"
    moved = [label for label in range(len(class_names)) if better[label] != label]
    pairs = ", ".join(
        f"rows of {class_names[label]!r} look like {class_names[better[label]]!r}"
        for label in moved[:SHOWN_CLASSES]
    )
    more = f" and {len(moved) - SHOWN_CLASSES} more" if len(moved) > SHOWN_CLASSES else ""
    reordered = float((better[labels] == predictions).mean())
    return (
        f"{start}{pairs}{more}; with the classes in this order it would be right for "
        f"{format_share(reordered)}; {remedy}"
    )


def measure_agreement(
    predictions: Predictions, labels: Int[np.ndarray, " rows"], num_classes: int
) -> tuple[float, float]:
    """Return the accuracy, and the expected accuracy of the same predictions in random order.

    Both are in [0, 1]. There must be at least one row.
    """
    shares = [
        np.bincount(each, minlength=num_classes) / len(labels) for each in (predictions, labels)
    ]
    return float((predictions == labels).mean()), float(shares[0] @ shares[1])


def find_better_order(
    predictions: Predictions, labels: Int[np.ndarray, " rows"], num_classes: int
) -> Int[np.ndarray, " classes"] | None:
    """Return for each class the class that its rows are predicted as, if classes seem permuted.

    Classes are matched one to one with predictions so that the sum of recalls is largest. A class
    is moved if it has at least `MIN_ROWS` rows, at most `MAX_RECALL` of them predicted as itself
    and at least `MIN_RECALL_ELSEWHERE` as its match.

    Returns:
        Class indices; a class that is not moved has its own index, so that some index may occur
        twice. None if fewer than two classes are moved.
    """
    from scipy.optimize import linear_sum_assignment

    sizes = np.bincount(labels, minlength=num_classes)
    tried = np.flatnonzero(sizes >= MIN_ROWS)
    row_of = np.full(num_classes, -1)
    row_of[tried] = np.arange(len(tried))
    counts = np.zeros((len(tried), num_classes))
    is_tried = row_of[labels] >= 0
    np.add.at(counts, (row_of[labels[is_tried]], predictions[is_tried]), 1)
    recall = counts / sizes[tried][:, None]
    found = linear_sum_assignment(recall, maximize=True)[1]
    own, elsewhere = recall[np.arange(len(tried)), tried], recall[np.arange(len(tried)), found]
    is_moved = (found != tried) & (own <= MAX_RECALL) & (elsewhere >= MIN_RECALL_ELSEWHERE)
    # One class that looks like another is a weakness of the model; two or more may be permuted.
    if is_moved.sum() < 2:
        return None
    order = np.arange(num_classes)
    order[tried[is_moved]] = found[is_moved]
    return order


def sample_rows(rows: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " sample"]:
    """Return at most 1024 of some row indices, as evenly spaced blocks that are read quickly.

    Args:
        rows: ascending row indices.

    Returns:
        `SAMPLE_BLOCKS` blocks of `ROWS_PER_BLOCK` consecutive entries of `rows`, ascending and
        without duplicates; `rows` itself if it is not longer.
    """
    if len(rows) <= SAMPLE_BLOCKS * ROWS_PER_BLOCK:
        return rows
    starts = np.linspace(0, len(rows) - ROWS_PER_BLOCK, SAMPLE_BLOCKS).astype(int)
    return rows[np.unique(starts[:, None] + np.arange(ROWS_PER_BLOCK))]


def predict_zero_shot(
    features: Float[np.ndarray, "rows dim"],
    projection: Float[np.ndarray, "dim embedding"],
    bias: Float[np.ndarray, " embedding"] | None,
    class_embeddings: Float[np.ndarray, "classes embedding"],
) -> Predictions:
    """Return the index of the class embedding that is most similar to each row's embedding.

    Args:
        features: features before the projection; converted to float32.
        projection: weights of the projection head.
        bias: bias of the projection head, or None.
        class_embeddings: embeddings of unit length.
    """
    projected = features.astype(np.float32) @ projection
    # Scaling an embedding to unit length does not change which class is nearest.
    embeddings = projected if bias is None else projected + bias
    return (embeddings @ class_embeddings.T).argmax(axis=1)


def format_share(value: float) -> str:
    """Return a share in [0, 1] as per cent with one decimal: 0.125 gives `12.5 %`."""
    return f"{100 * value:.1f} %"
