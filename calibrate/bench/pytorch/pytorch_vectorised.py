"""CFR in PyTorch with care: one gather and one product for all rows of a step, and no DataLoader.

python calibrate/bench/pytorch/pytorch_vectorised.py STAGE.npz --steps N [--no-dropout]
"""

import torch
from common import main, moved_centroids
from torch.nn import functional


def contrastive_loss(pulling, pushing):
    """One positive against the negatives of each anchor, from their scores."""
    return functional.softplus(pushing.logsumexp(dim=1) - pulling).mean()


def cosine_loss(embeddings, labels, num_classes):
    """Mean cosine of all pairs, less where the classes are equal; no pair is formed."""
    sums = functional.one_hot(labels, num_classes).to(embeddings.dtype).T @ embeddings
    total = sums.sum(dim=0)
    return (total @ total - 2 * (sums**2).sum()) / len(labels) ** 2


def loss_of(stage, number, weight, log_scale, centroids, rate):
    """The loss of a step, and the centroids after it."""
    rows = torch.cat([stage.anchors[number], stage.training[number], stage.pool[number]])
    batched = rows[: -stage.pool.shape[1]]
    labels = stage.labels[batched]
    embeddings = functional.normalize(stage.features.index_select(0, rows) @ weight.T, dim=1)
    feeding, pool = embeddings.split([len(batched), len(rows) - len(batched)])
    anchors, training = feeding.split([stage.anchors.shape[1], stage.training.shape[1]])
    anchor_labels, training_labels = labels.split([len(anchors), len(training)])
    with torch.no_grad():
        weights = stage.row_weights[stage.training[number]]
        centroids = moved_centroids(
            centroids, training, training_labels, weights, stage.dps_momentum
        )
    pulling = (anchors * centroids[anchor_labels]).sum(dim=1) / stage.temperature
    pushing = (anchors @ pool.T).gather(1, stage.slots[number]) / stage.temperature
    dropped = functional.dropout(feeding, rate)
    entropy = functional.cross_entropy(
        log_scale.exp() * (dropped @ stage.class_embeddings.T), labels
    )
    holistic = cosine_loss(training, training_labels, len(centroids))
    contrast = contrastive_loss(pulling, pushing)
    return stage.alpha[number] * (entropy + contrast) + stage.holistic * holistic, centroids


def loop(stage, rate):
    """The losses of the steps, one after the other."""
    weight = stage.weight.clone().requires_grad_()
    log_scale = torch.tensor(stage.log_scale, requires_grad=True)
    groups = [
        {"params": [weight], "weight_decay": stage.weight_decay},
        {"params": [log_scale]},
    ]
    optimizer = torch.optim.SGD(groups, lr=stage.lr, momentum=stage.momentum, fused=True)
    centroids = stage.centroids
    for number in range(len(stage.anchors)):
        loss, centroids = loss_of(stage, number, weight, log_scale, centroids, rate)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield loss.detach()


if __name__ == "__main__":
    main(loop, __doc__, tune_threads=True)
