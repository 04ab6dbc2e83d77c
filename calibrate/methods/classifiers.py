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
    """A classifier of the rows of a task."""

    @property
    def formula(self) -> str:
        """How to apply the saved arrays, named as in `arrays`, to features as in the cache."""

    def logits(
        self, experiment: Experiment, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        """Return the logits of rows of the experiment's task; their softmax are probabilities."""

    def arrays(self, experiment: Experiment) -> dict[str, np.ndarray]:
        """Return the arrays to save, for features as stored in the cache."""


@dataclass(frozen=True)
class HeadClassifier:
    """A head with the class embeddings of the task."""

    head: Head

    @property
    def formula(self) -> str:
        return HEAD_FORMULA.format("" if self.head.bias is None else BIAS_TERM)

    def logits(
        self, experiment: Experiment, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        return np.asarray(experiment.logits(self.head, rows))

    def arrays(self, experiment: Experiment) -> dict[str, np.ndarray]:
        class_embeddings = experiment.task.class_embeddings
        return {**experiment.head_arrays(self.head), "class_embeddings": class_embeddings}
