"""Differences of every method from one of them on the test split, and which are beyond noise."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Bool

from clip_cfr.calibrate.comparison.differences import compare_on
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import ALL_METHODS

LEVEL = 0.05
# The criterion of each metric that is compared.
COMPARED = {"worst_group": "worst-group", "worst_class": "worst-class", "average": "average"}


@dataclass(frozen=True)
class MetricDifference:
    """A method's difference from the method that all are compared with, in one metric.

    Attributes:
        difference: value of the method minus that of the other, in [-1, 1]. The accuracy of a class
            or group is its mean over seeds.
        interval: 95 % interval of the difference, of this comparison alone.
        p_value: two-sided p-value of no difference, of this comparison alone.
        adjusted_p_value: p-value after Holm's correction for the number of methods.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    adjusted_p_value: float

    @property
    def is_beyond_noise(self) -> bool:
        """Whether the adjusted p-value is below `LEVEL`."""
        return self.adjusted_p_value < LEVEL

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name and `beyond_noise`, in JSON types."""
        interval = list(self.interval)
        return {**asdict(self), "interval": interval, "beyond_noise": self.is_beyond_noise}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the difference that `to_json` wrote; raise KeyError if a key is missing."""
        numbers = (values["p_value"], values["adjusted_p_value"])
        return cls(values["difference"], tuple(values["interval"]), *numbers)


@dataclass(frozen=True)
class Versus:
    """Differences of methods from one of them on the test split.

    Attributes:
        method: the method that the others are compared with.
        differences: by method, then by metric, each of `COMPARED`.
    """

    method: str
    differences: Mapping[str, Mapping[str, MetricDifference]]

    def to_json(self) -> dict[str, Any]:
        """Return the differences by method and metric, in JSON types."""
        methods = {
            name: {metric: each.to_json() for metric, each in metrics.items()}
            for name, metrics in self.differences.items()
        }
        return {"method": self.method, "methods": methods}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the differences that `to_json` wrote; raise KeyError if a key is missing."""
        differences = {
            name: {metric: MetricDifference.from_json(each) for metric, each in metrics.items()}
            for name, metrics in values["methods"].items()
        }
        return cls(values["method"], differences)


def check_versus(versus: str | None, methods: Sequence[str]) -> None:
    """Raise SettingsError if a method to compare with is not among the methods that are fitted."""
    if versus is not None and versus not in methods:
        remedy = f"; add --method {versus}" if versus in ALL_METHODS else ""
        raise SettingsError(
            f"--versus {versus}: expected one of the methods to compare, which are "
            f"{', '.join(methods)}{remedy}"
        )


def compare_with(
    task: Task, correct: Mapping[str, Bool[np.ndarray, "seeds test"]], method: str
) -> Versus:
    """Compare every other method with `method` on the test split.

    Args:
        task: the task, whose subjects are the independent units if it has them.
        correct: whether each method is right about each row, one head for each seed; all with the
            same seeds.
        method: the method to compare with.
    """
    rows = task.rows("test")
    others = [name for name in correct if name != method]
    by_metric = {}
    for metric, criterion in COMPARED.items():
        found = [
            compare_on(task, rows, correct[name], correct[method], criterion) for name in others
        ]
        p_values = [each.p_value() for each in found]
        by_metric[metric] = [
            MetricDifference(each.margin, each.interval(), p_value, adjusted)
            for each, p_value, adjusted in zip(found, p_values, adjust(p_values), strict=True)
        ]
    return Versus(
        method,
        {
            name: {metric: by_metric[metric][index] for metric in COMPARED}
            for index, name in enumerate(others)
        },
    )


def adjust(p_values: Sequence[float]) -> list[float]:
    """Return p-values after Holm's correction, in the same order.

    The k-th smallest of n is multiplied by n - k + 1, and is at least the one before it.

    References:
        Holm 1979, Scandinavian Journal of Statistics 6(2).
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    raised = np.maximum.accumulate(np.asarray(p_values)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(raised, 1)
    return adjusted.tolist()
