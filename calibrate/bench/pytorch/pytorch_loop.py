"""CFR as a PyTorch user would write it: a Dataset, a DataLoader, and negatives for each anchor.

python calibrate/bench/pytorch/pytorch_loop.py STAGE.npz --steps N [--no-dropout]
"""

import torch
from common import main, moved_centroids
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset


class Anchors(Dataset):
    """Anchors in the order of the steps, each with the features of its own negatives."""

    def __init__(self, stage):
        self.stage = stage
        self.rows = stage.anchors.flatten()
        pools = stage.pool[:, None, :].expand(-1, stage.anchors.shape[1], -1)
        self.negatives = pools.gather(2, stage.slots).flatten(end_dim=1)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, place):
        row, features = self.rows[place], self.stage.features
        return features[row], self.stage.labels[row], features[self.negatives[place]]


class Training(Dataset):
    """Rows of the training split in the order of the steps, and whether ERM gets them right."""

    def __init__(self, stage):
        self.stage = stage
        self.rows = stage.training.flatten()

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, place):
        row, stage = self.rows[place], self.stage
        return stage.features[row], stage.labels[row], stage.row_weights[row]


class Head(nn.Module):
    """A projection to unit length, and the scale of the logits."""

    def __init__(self, stage, rate):
        super().__init__()
        self.projection = nn.Linear(*reversed(stage.weight.shape), bias=False)
        self.projection.weight.data.copy_(stage.weight)
        self.log_scale = nn.Parameter(torch.tensor(stage.log_scale))
        self.dropout = nn.Dropout(rate)
        self.class_embeddings = stage.class_embeddings

    def forward(self, features):
        return functional.normalize(self.projection(features), dim=-1)

    def logits(self, embeddings):
        return self.log_scale.exp() * self.dropout(embeddings) @ self.class_embeddings.T


def contrastive_loss(anchors, positives, negatives, temperature):
    """One positive against the negatives of each anchor."""
    pulling = (anchors * positives).sum(dim=1, keepdim=True)
    pushing = torch.einsum("ae,ane->an", anchors, negatives)
    scores = torch.cat([pulling, pushing], dim=1) / temperature
    return functional.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long))


def cosine_loss(embeddings, labels):
    """Mean cosine of all pairs, less where the classes are equal."""
    signs = torch.where(labels[:, None] == labels[None, :], -1.0, 1.0)
    return (signs * (embeddings @ embeddings.T)).mean()


def loop(stage, rate):
    """The losses of the steps, one after the other."""
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
        (features, anchor_labels, negatives), (others, labels, weights) = anchor_batch, batch
        anchors, training, away = head(features), head(others), head(negatives)
        centroids = moved_centroids(
            centroids, training.detach(), labels, weights, stage.dps_momentum
        )
        contrast = contrastive_loss(anchors, centroids[anchor_labels], away, stage.temperature)
        scores = head.logits(torch.cat([anchors, training]))
        entropy = functional.cross_entropy(scores, torch.cat([anchor_labels, labels]))
        loss = alpha * (entropy + contrast) + stage.holistic * cosine_loss(training, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss


if __name__ == "__main__":
    main(loop, __doc__)
