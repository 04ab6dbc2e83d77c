"""Classify features with the heads of a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64

from clip_cfr.cache.errors import FieldError, error_context
from clip_cfr.cache.runs.apply_head import apply_head, to_probabilities
from clip_cfr.cache.runs.heads import NAME_ONE, SavedHead, all_seeds, choose_head, class_names
from clip_cfr.cache.runs.run import Run


@dataclass(frozen=True)
class Prediction:
    """The prediction for an image.

    Attributes:
        image: name of the image: its path, `ARCHIVE/MEMBER`, or its id in a cache.
        label: name of the most probable class; empty if the image could not be read.
        probability: probability of that class; None if the image could not be read.
        margin: the probability minus that of the second most probable class, in [0, 1].
        error: why the image could not be read; empty if it could.
    """

    image: str
    label: str = ""
    probability: float | None = None
    margin: float | None = None
    error: str = ""


@dataclass(frozen=True)
class RunClassifier:
    """Heads of a run, whose probabilities are averaged.

    Attributes:
        heads: one head, or those of several seeds of a method.
        class_names: name of each class, in the order of the probabilities.
    """

    heads: tuple[SavedHead, ...]
    class_names: tuple[str, ...]

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.heads[0].dim

    def probabilities(
        self, features: Float[np.ndarray, "rows dim"]
    ) -> Float64[np.ndarray, "rows classes"]:
        """Return the probability of each class, as the mean over the heads; rows sum to 1."""
        total = sum(
            to_probabilities(head.arrays, apply_head(head.arrays, features)) for head in self.heads
        )
        return total / len(self.heads)

    def predict(
        self, names: Sequence[str], features: Float[np.ndarray, "rows dim"]
    ) -> Iterator[Prediction]:
        """Yield the prediction of each row.

        Of equal probabilities, the class that comes first is predicted.

        Args:
            names: name of each image.
            features: pooled features, not normalized.
        """
        for name, row in zip(names, self.probabilities(features), strict=True):
            best = int(row.argmax())
            second = np.delete(row, best).max(initial=0.0)
            yield Prediction(
                name, self.class_names[best], float(row[best]), float(row[best] - second)
            )


def make_classifier(
    directory: Path, run: Run, method: str | None, seed: int | None, mean_of_seeds: bool
) -> RunClassifier:
    """Return the classifier of a run's head.

    Args:
        directory: the run folder, for messages.
        run: its contents.
        method: method of the head; None for that of the recommended one.
        seed: seed of the head; None as in `read_head`.
        mean_of_seeds: take the heads of all seeds of the method instead of one.

    Raises:
        CacheError: the run has no such head, or one with another number of classes.
    """
    with error_context(directory, NAME_ONE):
        heads = all_seeds(run, method) if mean_of_seeds else [choose_head(run, method, seed)]
        names = class_names(run)
        classifier = RunClassifier(tuple(heads), names)
        num_classes = classifier.probabilities(np.zeros((1, classifier.dim))).shape[1]
        if num_classes != len(names):
            raise FieldError("heads", f"{len(names)} classes as in metrics.json", num_classes)
    return classifier
