"""What every method hands back."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from clip_cfr.calibrate.core.experiment import Experiment, selected_heads
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.settings import CRITERIA, SELECTIONS
from clip_cfr.calibrate.core.train import Trained


@runtime_checkable
class Classifier(Protocol):
    """Something that gives class probabilities."""

    def probabilities(
        self, experiment: Experiment, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        """Class probabilities of rows of the experiment's task."""

    def arrays(self, experiment: Experiment) -> dict[str, np.ndarray]:
        """All there is to save, for features as they stand in the cache."""


@dataclass(frozen=True)
class HeadClassifier:
    """A head with the class embeddings of the task."""

    head: Head
    formula = "embedding = normalize(features @ projection + bias)"

    def probabilities(self, experiment, rows):
        return experiment.probabilities(self.head, rows)

    def arrays(self, experiment):
        class_embeddings = experiment.task.class_embeddings
        return {**experiment.arrays(self.head), "class_embeddings": class_embeddings}


@dataclass(frozen=True)
class Fitted:
    """A fitted method.

    Attributes:
        classifiers: the classifier of each selection; the same one four times where the method
            leaves nothing to select.
        selected_steps: the step after which each selection's classifier stood.
        history: columns of the log, one entry an evaluation.
    """

    classifiers: dict[str, Classifier]
    selected_steps: dict[str, int] = field(default_factory=dict)
    history: dict[str, np.ndarray] = field(default_factory=dict)


def unselected(classifier: Classifier) -> Fitted:
    """A method that leaves nothing to select."""
    return Fitted(dict.fromkeys(SELECTIONS, classifier))


def trained_heads(trained: Trained) -> Fitted:
    """A method that trained a head and evaluated it on the way."""
    steps = np.asarray(trained.info.step)
    best_steps = (*map(int, trained.best.steps), int(steps[-1]))
    return Fitted(
        {name: HeadClassifier(head) for name, head in selected_heads(trained).items()},
        dict(zip(SELECTIONS, best_steps, strict=True)),
        history(trained),
    )


def history(trained: Trained) -> dict[str, np.ndarray]:
    """The log of a training stage as columns."""
    info = trained.info
    criteria = {f"val {name}": info.criteria[:, i] for i, name in enumerate(CRITERIA)}
    groups = {f"val group {i}": column for i, column in enumerate(info.group_accuracy.T)}
    columns = {**info.logged, "logit scale": info.logit_scale, **criteria, **groups}
    return {"step": np.asarray(info.step), **{k: np.asarray(v) for k, v in columns.items()}}
