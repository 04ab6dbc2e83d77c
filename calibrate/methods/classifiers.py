"""Classifiers: how a fitted method gives logits, and which arrays of it are saved."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import Head

BIAS_TERM = " + bias"
HEAD_FORMULA = (
    "embedding = normalize(features @ projection{}); "
    "logits = logit_scale * embedding @ class_embeddings.T; "
    "probabilities = softmax(logits)"
)


@runtime_checkable
class Classifier(Protocol):
    """A fitted classifier of the rows of a task; see `HeadClassifier`."""

    @property
    def formula(self) -> str:
        """How to apply the saved arrays, named as in `arrays`, to features as stored in the cache.

        Python-like assignments that end with probabilities: "scores = features @ linear_weight +
        linear_bias; probabilities = sigmoid(scores) / sum(sigmoid(scores))".
        """

    def logits(
        self, experiment: Experiment, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        """Return the logits of rows of the experiment's task; their softmax are probabilities."""

    def arrays(self, experiment: Experiment) -> dict[str, np.ndarray]:
        """Return the arrays to save, by name, which `formula` applies to features as stored."""


@dataclass(frozen=True)
class HeadClassifier:
    """A head, which classifies by cosine similarity with the class embeddings of the task.

    It saves `projection` (dim, embedding), `bias` (embedding,) if there is one, `logit_scale` ()
    and `class_embeddings` (classes, embedding), all float32.

    Attributes:
        head: head in units of training.
    """

    head: Head

    @property
    def formula(self) -> str:
        """`HEAD_FORMULA`, which adds `bias` only if the head has one."""
        return HEAD_FORMULA.format("" if self.head.bias is None else BIAS_TERM)

    def logits(
        self, experiment: Experiment, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        return np.asarray(experiment.logits(self.head, rows))

    def arrays(self, experiment: Experiment) -> dict[str, np.ndarray]:
        """Return the arrays of the head for features as stored, and `class_embeddings`."""
        class_embeddings = experiment.task.class_embeddings
        return {**experiment.head_arrays(self.head), "class_embeddings": class_embeddings}
