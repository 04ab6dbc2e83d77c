"""CFR in vectorized PyTorch: one gather and one product for all rows of a step, no DataLoader.

python calibrate/bench/pytorch/pytorch_vectorised.py STAGE.npz --steps N [--no-dropout]
"""

import torch
from common import main, update_centroids
from torch.nn import functional


def contrastive_loss(positive, negative):
    """Return the mean contrastive loss from similarities divided by the temperature, a scalar.

    Args:
        positive: (anchors,), one positive per anchor.
        negative: (anchors, negatives).
    """
    return functional.softplus(negative.logsumexp(dim=1) - positive).mean()


def cosine_loss(embeddings, labels, num_classes):
    """Return the mean cosine of all pairs, with a minus sign for pairs of one class.

    The pairs are ordered, those of a row with itself included. Their sum is computed from sums over
    classes. Embeddings (rows, embedding) have unit length.
    """
    sums = functional.one_hot(labels, num_classes).to(embeddings.dtype).T @ embeddings
    total = sums.sum(dim=0)
    return (total @ total - 2 * (sums**2).sum()) / len(labels) ** 2


def compute_loss(stage, step, weight, log_scale, centroids, rate):
    """Return the loss of a step, a scalar, and the updated centroids (classes, embedding).

    Args:
        stage: inputs as returned by `read_stage`.
        step: index of the step.
        weight: (embedding, dim), the projection.
        log_scale: scalar, natural logarithm of the logit scale.
        centroids: (classes, embedding), unit length.
        rate: dropout rate.
    """
    rows = torch.cat([stage.anchors[step], stage.training[step], stage.pool[step]])
    minibatch = rows[: -stage.pool.shape[1]]
    labels = stage.labels[minibatch]
    embeddings = functional.normalize(stage.features.index_select(0, rows) @ weight.T, dim=1)
    classified, pool = embeddings.split([len(minibatch), len(rows) - len(minibatch)])
    anchors, training = classified.split([stage.anchors.shape[1], stage.training.shape[1]])
    anchor_labels, training_labels = labels.split([len(anchors), len(training)])
    with torch.no_grad():
        weights = stage.row_weights[stage.training[step]]
        centroids = update_centroids(
            centroids, training, training_labels, weights, stage.dps_momentum
        )
    positive = (anchors * centroids[anchor_labels]).sum(dim=1) / stage.temperature
    negative = (anchors @ pool.T).gather(1, stage.negatives[step]) / stage.temperature
    dropped = functional.dropout(classified, rate)
    entropy = functional.cross_entropy(
        log_scale.exp() * (dropped @ stage.class_embeddings.T), labels
    )
    holistic = cosine_loss(training, training_labels, len(centroids))
    contrast = contrastive_loss(positive, negative)
    return stage.alpha[step] * (entropy + contrast) + stage.holistic_weight * holistic, centroids


def loop(stage, rate):
    """Train the stage and yield the loss of each step, a scalar tensor.

    Args:
        stage: inputs as returned by `read_stage`; unchanged.
        rate: dropout rate.
    """
    weight = stage.weight.clone().requires_grad_()
    log_scale = torch.tensor(stage.log_scale, requires_grad=True)
    groups = [
        {"params": [weight], "weight_decay": stage.weight_decay},
        {"params": [log_scale]},
    ]
    optimizer = torch.optim.SGD(groups, lr=stage.lr, momentum=stage.momentum, fused=True)
    centroids = stage.centroids
    for step in range(len(stage.anchors)):
        loss, centroids = compute_loss(stage, step, weight, log_scale, centroids, rate)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield loss.detach()


if __name__ == "__main__":
    main(loop, __doc__, tune_threads=True)
