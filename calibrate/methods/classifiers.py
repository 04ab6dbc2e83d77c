"""Classifiers: how a fitted method gives logits, and which arrays of it are saved."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import AdapterHead, Head
from clip_cfr.calibrate.methods.inputs import input_chunks

EMBEDDING = "embedding = normalize(features @ projection{}); "
SOFTMAX = "; probabilities = softmax(logits)"
HEAD_FORMULA = EMBEDDING + "logits = logit_scale * embedding @ class_embeddings.T" + SOFTMAX
ADAPTER_FORMULA = (
    EMBEDDING
    + "adapted = normalize(embedding + relu(embedding @ adapter_down) @ adapter_up); "
    + "logits = logit_scale * adapted @ class_embeddings.T"
    + SOFTMAX
)
LOGITS_FORMULA = "logits = {} @ logits_weight + logits_bias" + SOFTMAX


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
        return HEAD_FORMULA.format(bias_term(self.head))

    def logits(
        self, experiment: Experiment, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        return np.asarray(experiment.logits(self.head, rows))

    def arrays(self, experiment: Experiment) -> dict[str, np.ndarray]:
        """Return the arrays of the head for features as stored, and `class_embeddings`."""
        class_embeddings = experiment.task.class_embeddings
        return {**experiment.head_arrays(self.head), "class_embeddings": class_embeddings}


@dataclass(frozen=True)
class AdapterClassifier:
    """CLIP's head with an adapter, which classifies by cosine similarity as a head does.

    It saves the arrays of `HeadClassifier`, and `adapter_down` (embedding, hidden) and `adapter_up`
    (hidden, embedding), both float32.

    Attributes:
        head: frozen head and adapter in units of training.
    """

    head: AdapterHead

    @property
    def formula(self) -> str:
        """`ADAPTER_FORMULA`, which adds `bias` only if the frozen head has one."""
        return ADAPTER_FORMULA.format(bias_term(self.head.frozen))

    def logits(
        self, experiment: Experiment, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        return np.asarray(experiment.logits(self.head, rows))

    def arrays(self, experiment: Experiment) -> dict[str, np.ndarray]:
        """Return the arrays of head and adapter for features as stored, and `class_embeddings`."""
        head = self.head
        return {
            **experiment.head_arrays(head.frozen._replace(log_scale=head.log_scale)),
            "adapter_down": np.asarray(head.down).T,
            "adapter_up": np.asarray(head.up).T,
            "class_embeddings": experiment.task.class_embeddings,
        }


@dataclass(frozen=True)
class LogitsClassifier:
    """A linear map of the features, or of the embeddings of a head, to logits.

    Attributes:
        weight, bias: the map; the standardization of the inputs, if there was one, is part of it.
        head: gives the embeddings; None if the inputs are the features as stored in the cache.
    """

    weight: Float[np.ndarray, "inputs classes"]
    bias: Float[np.ndarray, " classes"]
    head: Head | None = None

    @property
    def formula(self) -> str:
        """`LOGITS_FORMULA` on the features, or on the embeddings of the head."""
        if self.head is None:
            return LOGITS_FORMULA.format("features")
        return EMBEDDING.format(bias_term(self.head)) + LOGITS_FORMULA.format("embedding")

    def logits(
        self, experiment: Experiment, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        """Return the linear map of the features or embeddings of rows, in float32."""
        return self.apply(input_chunks(experiment, self.head, rows))

    def apply(
        self, chunks: Iterable[Float[np.ndarray, "chunk inputs"]]
    ) -> Float[np.ndarray, "rows classes"]:
        """Return the logits of inputs that `input_chunks` has read."""
        return np.concatenate([chunk @ self.weight + self.bias for chunk in chunks])

    def arrays(self, experiment: Experiment) -> dict[str, np.ndarray]:
        """Return `logits_weight` and `logits_bias`; with a head also its projection and bias."""
        linear = {"logits_weight": self.weight, "logits_bias": self.bias}
        if self.head is None:
            return linear
        arrays = experiment.head_arrays(self.head)
        return {**{name: arrays[name] for name in arrays if name != "logit_scale"}, **linear}


def bias_term(head: Head) -> str:
    """Return the term of a formula that adds the bias of a head; empty if it has none."""
    return "" if head.bias is None else " + bias"
