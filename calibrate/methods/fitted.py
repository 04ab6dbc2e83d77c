"""The result of fitting a method: one classifier for each selection criterion, and the log."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter

import jax
import numpy as np
from jaxtyping import Bool

from clip_cfr.calibrate.core.head import AnyHead
from clip_cfr.calibrate.core.settings import CRITERIA, SELECTIONS
from clip_cfr.calibrate.core.train import Trained
from clip_cfr.calibrate.methods.classifiers import Classifier, HeadClassifier


@dataclass(frozen=True)
class Fitted:
    """A fitted method.

    Attributes:
        classifiers: classifier by selection criterion (each of `SELECTIONS`); the same object for
            all of them if the method has nothing to select.
        selected_steps: steps after which each criterion's classifier was evaluated; empty if the
            method is not trained in steps.
        chosen: hyperparameters that each criterion chose on the validation split, by name; empty if
            the method has none to choose.
        history: columns of the log by name, with one entry for each evaluation, see
            `make_history`; empty if the method is not trained in steps.
        val_correct: whether each classifier that the criteria select from is right about each row
            of the validation split, in the order of the evaluations (of equal values the first is
            selected; the criterion `last` selects the last, or, of classifiers that differ in the
            hyperparameters `chosen`, by worst class); None if there is one classifier.
    """

    classifiers: dict[str, Classifier]
    selected_steps: dict[str, int] = field(default_factory=dict)
    chosen: dict[str, dict[str, float]] = field(default_factory=dict)
    history: dict[str, np.ndarray] = field(default_factory=dict)
    val_correct: Bool[np.ndarray, "evaluations val"] | None = None


def fitted_once(classifier: Classifier) -> Fitted:
    """Return the result of a method with a single classifier, which every criterion selects."""
    return Fitted(dict.fromkeys(SELECTIONS, classifier))


def fitted_heads(
    trained: Trained, classify: Callable[[AnyHead], Classifier] = HeadClassifier
) -> Fitted:
    """Return the result of a training stage: a classifier for each criterion, and the log.

    Args:
        trained: the stage.
        classify: makes the classifier of a head.
    """
    steps = np.asarray(trained.info.step)
    selected_steps = (*np.asarray(trained.best.steps).tolist(), int(steps[-1]))
    return Fitted(
        classifiers={name: classify(head) for name, head in selected_heads(trained).items()},
        selected_steps=dict(zip(SELECTIONS, selected_steps, strict=True)),
        history=make_history(trained),
        val_correct=np.asarray(trained.info.val_correct),
    )


def selected_heads(trained: Trained) -> dict[str, AnyHead]:
    """Return the best head by each of `CRITERIA`, and that of the last step as `last`."""
    # NumPy takes a head out of the arrays without a compiled program for each shape.
    heads = jax.device_get(trained.best.heads)
    best = {name: jax.tree.map(itemgetter(index), heads) for index, name in enumerate(CRITERIA)}
    return {**best, "last": trained.last}


def make_history(trained: Trained) -> dict[str, np.ndarray]:
    """Return the log of a training stage as columns by name, one entry for each evaluation.

    The columns are `step`, the logged values of the objective (`loss`, ...), `logit scale`,
    `val CRITERION` for each of `CRITERIA` (such as `val worst-class`), and `val group INDEX`;
    accuracies are in [0, 1].
    """
    info = trained.info
    criteria = {f"val {name}": info.criteria[:, i] for i, name in enumerate(CRITERIA)}
    groups = {f"val group {i}": column for i, column in enumerate(info.group_accuracy.T)}
    columns = {**info.logged, "logit scale": info.logit_scale, **criteria, **groups}
    return {name: np.asarray(column) for name, column in {"step": info.step, **columns}.items()}
