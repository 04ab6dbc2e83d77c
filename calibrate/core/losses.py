"""Loss functions, each a pure function of arrays."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from clip_cfr.calibrate.core.embeddings import Embeddings


def cross_entropy(
    logits: Float[Array, "rows classes"], labels: Int[Array, " rows"]
) -> Float[Array, ""]:
    """Return the mean cross-entropy of logits against integer labels, in nats."""
    return row_cross_entropies(logits, labels).mean()


def row_cross_entropies(
    logits: Float[Array, "rows classes"], labels: Int[Array, " rows"]
) -> Float[Array, " rows"]:
    """Return the cross-entropy of each row's logits against its integer label, in nats."""
    # The gradient of indexing by label is a scatter, which a CPU runs row by row; one-hot is not.
    members = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    return optax.losses.softmax_cross_entropy(logits, members)


def contrastive_loss(
    positive_similarities: Float[Array, "anchors positives"],
    positive_mask: Bool[Array, "anchors positives"],
    negative_similarities: Float[Array, "anchors negatives"],
    negative_mask: Bool[Array, "anchors negatives"],
    temperature: Float[Array, ""] | float,
    num_negatives: int | None = None,
) -> Float[Array, ""]:
    """Return the mean contrastive loss L_cfr over the anchors that have positives; 0 if none has.

    For one anchor, with cosine similarities s to its positives p and negatives n,
    L = mean_p -log( exp(s_p/t) / (exp(s_p/t) + sum_n exp(s_n/t)) ), which is
    mean_p softplus(logsumexp_n(s_n/t) - s_p/t). An anchor without negatives has loss 0.

    Args:
        positive_similarities, negative_similarities: cosine similarities, in [-1, 1].
        positive_mask, negative_mask: true for the similarities that count.
        temperature: t, above 0.
        num_negatives: if given, the sum over an anchor's negatives is multiplied by this number
            over the number of its negatives, so that the loss does not depend on how many it has.

    References:
        arXiv 2403.07241, the contrastive feature recalibration loss.
    """
    # -1e30 instead of -inf keeps the difference below and its gradient finite; its softplus is 0
    # in float32.
    logits = jnp.where(negative_mask, negative_similarities / temperature, -1e30)
    negative = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    if num_negatives is not None:
        found = jnp.maximum(negative_mask.sum(axis=-1, keepdims=True), 1)
        negative = negative + jnp.log(num_negatives / found.astype(negative.dtype))
    terms = jax.nn.softplus(negative - positive_similarities / temperature)
    return masked_mean(masked_mean(terms, positive_mask, axis=-1), positive_mask.any(axis=-1))


def masked_mean(
    values: Float[Array, "..."], mask: Bool[Array, "..."], axis: int | None = None
) -> Float[Array, "..."]:
    """Return the mean, along an axis, of the values whose mask is true; 0 where none is.

    Args:
        values, mask: arrays of equal shape.
        axis: axis to average over; None for all, which gives a scalar.
    """
    count = jnp.maximum(mask.sum(axis=axis), 1).astype(values.dtype)
    return jnp.where(mask, values, 0).sum(axis=axis) / count


def cosine_loss(
    embeddings: Embeddings,
    labels: Int[Array, " rows"],
    num_classes: int,
) -> Float[Array, ""]:
    """Return the mean cosine over all ordered pairs, with a minus sign for pairs of one class.

    Pairs of a row with itself count. The loss lies in [-1, 1].

    L_cos = mean_ij ([y_i != y_j] - [y_i == y_j]) v_i.v_j, which is
    (|sum_i v_i|^2 - 2 sum_c |sum_{i in c} v_i|^2) / rows^2, computed without forming the pairs.

    Args:
        embeddings: minibatch of the training split.
        labels: class of each row, in [0, num_classes).

    References:
        arXiv 2403.07241, the holistic data integration loss.
    """
    class_sums = embeddings.weighted_sums(jax.nn.one_hot(labels, num_classes))
    total = class_sums.sum(axis=1)
    # A float, as the square of 46,341 rows overflows int32.
    return (total @ total - 2 * jnp.sum(class_sums**2)) / float(len(labels)) ** 2


def supcon_loss(
    embeddings: Embeddings,
    labels: Int[Array, " rows"],
    temperature: Float[Array, ""] | float,
) -> Float[Array, ""]:
    """Return the mean supervised contrastive loss over the rows whose class occurs twice or more.

    L_i = mean_{p: y_p = y_i, p != i} -log( exp(v_i.v_p/t) / sum_{a != i} exp(v_i.v_a/t) );
    0 if no two rows share a class.

    Args:
        embeddings: minibatch of the training split.
        labels: class of each row.
        temperature: t, above 0.

    References:
        Khosla et al. 2020, arXiv 2004.11362, equation 2. The release's variant has targets and a
        queue of 1,280 embeddings; this is the plain loss over the minibatch.
    """
    itself = jnp.eye(len(labels), dtype=bool)
    positives = (labels[:, None] == labels[None, :]) & ~itself
    scores = embeddings.cosines(embeddings) / temperature
    return pair_loss(scores, positives, ~itself, positives.any(axis=-1))


def pair_loss(
    scores: Float[Array, "rows rows"],
    positives: Bool[Array, "rows rows"],
    candidates: Bool[Array, "rows rows"],
    anchors: Bool[Array, " rows"],
) -> Float[Array, ""]:
    """Return the mean over anchors of mean_p -log( exp(s_p) / sum_c exp(s_c) ); 0 without anchors.

    Args:
        scores: score of each row, an anchor, with each row.
        positives: true for the rows p of an anchor, which are among its candidates.
        candidates: true for the rows c of an anchor.
        anchors: true for the rows that count.
    """
    log_probabilities = jax.nn.log_softmax(jnp.where(candidates, scores, -1e30), axis=-1)
    return masked_mean(masked_mean(-log_probabilities, positives, axis=-1), anchors)


def cnc_loss(
    embeddings: Embeddings,
    labels: Int[Array, " rows"],
    predicted: Int[Array, " rows"],
    temperature: Float[Array, ""] | float,
) -> Float[Array, ""]:
    """Return the contrastive loss of Correct-n-Contrast over the pairs of a minibatch.

    L_i = mean_p -log( exp(v_i.v_p/t) / (sum_p exp(v_i.v_p/t) + sum_n exp(v_i.v_n/t)) ), where the
    positives p are of the anchor's class and have another prediction, and the negatives n are
    of another class and have the same one. The mean is over the rows that have both; 0 without.

    Args:
        embeddings: minibatch of the training split.
        labels: class of each row.
        predicted: class that the identification head predicts for each row.
        temperature: t, above 0.

    References:
        Zhang, Sohoni, Zhang, Finn, Re, ICML 2022, arXiv 2203.01517. The paper samples positives
        and negatives for each anchor; here they are all those in the minibatch.
    """
    same_class = labels[:, None] == labels[None, :]
    same_prediction = predicted[:, None] == predicted[None, :]
    positives, negatives = same_class & ~same_prediction, ~same_class & same_prediction
    anchors = positives.any(axis=-1) & negatives.any(axis=-1)
    scores = embeddings.cosines(embeddings) / temperature
    return pair_loss(scores, positives, positives | negatives, anchors)
