"""The formulas of the method in float64, one term at a time, to hold the fast code against."""

from math import exp, log, sqrt

import numpy as np


def dot(left, right) -> float:
    """Inner product."""
    return sum(float(x) * float(y) for x, y in zip(left, right, strict=True))


def unit(vector):
    """A vector over its length."""
    length = sqrt(dot(vector, vector))
    return np.array([float(x) / length for x in vector])


def embed(features, projection, bias):
    """v = xW / |xW| of one row; W is (dim, embedding)."""
    columns = [dot(features, projection[:, column]) for column in range(projection.shape[1])]
    return unit(np.array(columns) + (0 if bias is None else np.asarray(bias, float)))


def cross_entropy(logits, labels) -> float:
    """Mean of -log softmax at the label."""
    losses = []
    for row, label in zip(logits, labels, strict=True):
        total = sum(exp(score) for score in row)
        losses.append(-log(exp(row[label]) / total))
    return sum(losses) / len(losses)


def anchor_loss(positives, negatives, temperature) -> float:
    """L_cfr of one anchor, from its cosines with its positives and its negatives."""
    losses = []
    for positive in positives:
        pull = exp(positive / temperature)
        push = sum(exp(negative / temperature) for negative in negatives)
        losses.append(-log(pull / (pull + push)))
    return sum(losses) / len(losses)


def contrastive(positives, negatives, temperature) -> float:
    """Mean L_cfr over the anchors that have positives; lists of cosines for each anchor."""
    pairs = zip(positives, negatives, strict=True)
    losses = [anchor_loss(own, others, temperature) for own, others in pairs if len(own)]
    return sum(losses) / len(losses) if losses else 0.0


def cosine(embeddings, labels) -> float:
    """L_cos: the mean over all pairs, a row with itself among them."""
    total, count = 0.0, len(labels)
    for i in range(count):
        for j in range(count):
            sign = 1 if labels[i] != labels[j] else -1
            total += sign * dot(embeddings[i], embeddings[j])
    return total / count**2


def supcon(embeddings, labels, temperature) -> float:
    """Khosla et al., equation 2, over the rows that share their class with another."""
    losses = []
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if j != i]
        own = [j for j in others if labels[j] == labels[i]]
        cosines = {j: dot(embeddings[i], embeddings[j]) / temperature for j in others}
        total = sum(exp(score) for score in cosines.values())
        if own:
            losses.append(-sum(log(exp(cosines[j]) / total) for j in own) / len(own))
    return sum(losses) / len(losses) if losses else 0.0


def cnc(embeddings, labels, predicted, temperature) -> float:
    """Zhang et al. 2022 over all pairs of a minibatch that have a positive and a negative."""
    losses, rows = [], range(len(labels))
    for i in rows:
        own = [j for j in rows if labels[j] == labels[i] and predicted[j] != predicted[i]]
        others = [j for j in rows if labels[j] != labels[i] and predicted[j] == predicted[i]]
        terms = {j: exp(dot(embeddings[i], embeddings[j]) / temperature) for j in [*own, *others]}
        if own and others:
            total = sum(terms.values())
            losses.append(-sum(log(terms[j] / total) for j in own) / len(own))
    return sum(losses) / len(losses) if losses else 0.0


def moved_centroids(centroids, embeddings, labels, weights, momentum):
    """c <- normalize(m c + (1 - m) mean) for each class that the batch weighs."""
    moved = np.array(centroids, float)
    for each in range(len(centroids)):
        members = [i for i in range(len(labels)) if labels[i] == each and weights[i] > 0]
        if members:
            total = sum(weights[i] for i in members)
            mean = sum(weights[i] * np.asarray(embeddings[i], float) for i in members) / total
            moved[each] = unit(momentum * moved[each] + (1 - momentum) * mean)
    return moved


def row_weight(probabilities, label, weighting) -> float:
    """How much a row feeds its centroid: nothing if it is wrong, else by its certainty."""
    if int(np.argmax(probabilities)) != label:
        return 0.0
    if weighting == "confidence":
        return float(probabilities[label])
    if weighting == "entropy":
        entropy = -sum(p * log(p) for p in map(float, probabilities) if p > 0)
        return 1 - entropy / log(len(probabilities))
    return 1.0


def nearest(anchor, label, candidates, candidate_labels, count) -> list[float]:
    """Cosines with the `count` nearest candidates of other classes, the nearest first."""
    others = [v for v, c in zip(candidates, candidate_labels, strict=True) if c != label]
    return sorted((dot(anchor, each) for each in others), reverse=True)[:count]


def scale_sum(similarities, count, temperature) -> list[float]:
    """Shift similarities so that the sum of exp(s / t) is `count` times its mean."""
    shift = temperature * log(count / max(len(similarities), 1))
    return [each + shift for each in similarities]


def pick(rows, indices) -> list[list[int]]:
    """The rows that each anchor's indices name in its part of a pool; -1 names none."""
    return [
        [int(part[slot]) for slot in own if slot >= 0]
        for part, anchors in zip(rows, indices, strict=True)
        for own in anchors
    ]


def chosen_rows(pool) -> np.ndarray:
    """The rows that each anchor's indices name, (steps, anchors, chosen); -1 names none."""
    rows = np.take_along_axis(pool.rows[:, :, None], np.maximum(pool.indices, 0), axis=3)
    rows = np.where(pool.indices < 0, -1, rows)
    return rows.reshape(len(rows), -1, rows.shape[-1])


def cfr_terms(embedded, logits_of, batch, labels, rules):
    """Cross-entropy, contrast and holistic term of one step, each row taken by itself.

    Args:
        embedded: gives the embedding of a row.
        logits_of: gives the logits of an embedding.
        batch: dictionary of `anchors`, `training`, `positives` (rows of each anchor, or the
            centroids of the classes) and `negatives` (rows of each anchor, or a list of candidates
            of which the nearest are taken).
        rules: dictionary of `holistic`, `cross_entropy`, `num_negatives`, `temperature`,
            `supcon_temperature`, and `scaled`: the negatives count as `num_negatives`.
    """
    anchors, training = batch["anchors"], batch["training"]
    positives, negatives = [], []
    for place, row in enumerate(anchors):
        anchor = embedded(row)
        if rules["positive"] == "dps":
            centroid = batch["positives"][labels[row]]
            positives.append([dot(anchor, centroid)] if any(centroid) else [])
        else:
            positives.append([dot(anchor, embedded(p)) for p in batch["positives"][place]])
        if rules["nearest"]:
            pool = batch["negatives"]
            found = [embedded(n) for n in pool], [labels[n] for n in pool]
            negatives.append(nearest(anchor, labels[row], *found, rules["num_negatives"]))
        else:
            negatives.append([dot(anchor, embedded(n)) for n in batch["negatives"][place]])
        if rules.get("scaled"):
            negatives[-1] = scale_sum(negatives[-1], rules["num_negatives"], rules["temperature"])
    entropy_rows = {"calibration": anchors, "train": training, "both": [*anchors, *training]}[
        rules["cross_entropy"]
    ]
    training_embeddings = [embedded(row) for row in training]
    training_labels = [labels[row] for row in training]
    holistic = {
        "cosine": lambda: cosine(training_embeddings, training_labels),
        "supcon": lambda: supcon(training_embeddings, training_labels, rules["supcon_temperature"]),
        "none": lambda: 0.0,
    }[rules["holistic"]]()
    return (
        cross_entropy(
            [logits_of(embedded(row)) for row in entropy_rows], [labels[r] for r in entropy_rows]
        ),
        contrastive(positives, negatives, rules["temperature"]),
        holistic,
    )


def slopes(function, point, size: float = 1e-5):
    """Central differences of a function of one array, entry by entry."""
    point = np.asarray(point, float)
    found = np.zeros(point.shape)
    for place in np.ndindex(point.shape):
        above, below = point.copy(), point.copy()
        above[place] += size
        below[place] -= size
        found[place] = (function(above) - function(below)) / (2 * size)
    return found
