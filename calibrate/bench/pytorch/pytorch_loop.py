"""CFR in idiomatic PyTorch: Dataset, DataLoader, and the negatives of each anchor embedded alone.

python calibrate/bench/pytorch/pytorch_loop.py STAGE.npz --steps N [--no-dropout]
"""

import torch
from common import main, update_centroids
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset


class Anchors(Dataset):
    """The anchors of all steps in order, each with the features of its negatives.

    An item is the features (dim,), the label () and the features of the negatives (negatives, dim).
    """

    def __init__(self, stage):
        self.stage = stage
        self.rows = stage.anchors.flatten()
        pools = stage.pool[:, None, :].expand(-1, stage.anchors.shape[1], -1)
        self.negatives = pools.gather(2, stage.negatives).flatten(end_dim=1)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row, features = self.rows[index], self.stage.features
        return features[row], self.stage.labels[row], features[self.negatives[index]]


class Training(Dataset):
    """The training rows of all steps in order, each with its weight in the centroids.

    An item is the features (dim,), the label () and the weight ().
    """

    def __init__(self, stage):
        self.stage = stage
        self.rows = stage.training.flatten()

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row, stage = self.rows[index], self.stage
        return stage.features[row], stage.labels[row], stage.row_weights[row]


class Head(nn.Module):
    """The projection without a bias, the dropout, and the logarithm of the logit scale."""

    def __init__(self, stage, rate):
        super().__init__()
        self.projection = nn.Linear(*reversed(stage.weight.shape), bias=False)
        self.projection.weight.data.copy_(stage.weight)
        self.log_scale = nn.Parameter(torch.tensor(stage.log_scale))
        self.dropout = nn.Dropout(rate)
        self.class_embeddings = stage.class_embeddings

    def forward(self, features):
        """Return unit-length embeddings (rows, embedding) of features (rows, dim)."""
        return functional.normalize(self.projection(features), dim=-1)

    def logits(self, embeddings):
        """Return logits (rows, classes): the logit scale times the cosine similarities.

        In training mode dropout is applied to the embeddings first, but not to those of the
        classes.

        Args:
            embeddings: (rows, embedding), unit length, as `forward` returns them.
        """
        return self.log_scale.exp() * self.dropout(embeddings) @ self.class_embeddings.T


def contrastive_loss(anchors, positives, negatives, temperature):
    """Return the mean contrastive loss of one positive and several negatives per anchor, a scalar.

    Args:
        anchors, positives: (anchors, embedding), unit length.
        negatives: (anchors, negatives, embedding), unit length.
        temperature: divisor of the cosine similarities.
    """
    positive = (anchors * positives).sum(dim=1, keepdim=True)
    negative = torch.einsum("ae,ane->an", anchors, negatives)
    similarities = torch.cat([positive, negative], dim=1) / temperature
    targets = torch.zeros(len(similarities), dtype=torch.long)
    return functional.cross_entropy(similarities, targets)


def cosine_loss(embeddings, labels):
    """Return the mean cosine of all ordered pairs, with a minus sign for pairs of one class.

    Pairs of a row with itself count. Embeddings (rows, embedding) have unit length.
    """
    signs = torch.where(labels[:, None] == labels[None, :], -1.0, 1.0)
    return (signs * (embeddings @ embeddings.T)).mean()


def loop(stage, rate):
    """Train the stage and yield the loss of each step, a scalar tensor.

    Args:
        stage: inputs as returned by `read_stage`; unchanged.
        rate: dropout rate.
    """
    head, centroids = Head(stage, rate), stage.centroids
    groups = [
        {"params": head.projection.parameters(), "weight_decay": stage.weight_decay},
        {"params": [head.log_scale]},
    ]
    optimizer = torch.optim.SGD(groups, lr=stage.lr, momentum=stage.momentum)
    anchor_batches = DataLoader(Anchors(stage), batch_size=stage.anchors.shape[1])
    training_batches = DataLoader(Training(stage), batch_size=stage.training.shape[1])
    for alpha, anchor_batch, batch in zip(
        stage.alpha, anchor_batches, training_batches, strict=True
    ):
        anchor_features, anchor_labels, negative_features = anchor_batch
        training_features, labels, weights = batch
        anchors, training = head(anchor_features), head(training_features)
        negatives = head(negative_features)
        centroids = update_centroids(
            centroids, training.detach(), labels, weights, stage.dps_momentum
        )
        contrast = contrastive_loss(anchors, centroids[anchor_labels], negatives, stage.temperature)
        logits = head.logits(torch.cat([anchors, training]))
        entropy = functional.cross_entropy(logits, torch.cat([anchor_labels, labels]))
        holistic = stage.holistic_weight * cosine_loss(training, labels)
        loss = alpha * (entropy + contrast) + holistic
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss


if __name__ == "__main__":
    main(loop, __doc__)
