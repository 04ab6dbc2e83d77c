"""The result of a point of a grid, with its seeds, and their JSON forms."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from clip_cfr.calibrate.comparison.method_result import mean
from clip_cfr.calibrate.grid.axes import Value

METRICS = ("worst_group", "average", "train_weighted_average", "group_mean", "worst_class")
SPLITS = ("val", "test")
# In the order of the leaderboard.
STATES = ("complete", "pruned", "failed")

Accuracies = dict[str, float | None]


@dataclass(frozen=True)
class SeedResult:
    """Accuracies of one point with one seed, in [0, 1].

    Attributes:
        seed: the seed.
        selected_step: the training step of the selected head; None if the method selects nothing.
        val: accuracy by metric, on the validation split; None where no group has rows.
        test: the same on the test split.
    """

    seed: int
    selected_step: int | None
    val: Accuracies
    test: Accuracies

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SeedResult":
        """Return the result of a dictionary.

        Raises:
            TypeError: a field is missing or unknown, or an accuracy is not a number.
            KeyError: a metric is missing.
        """
        result = cls(**data)
        for metric in METRICS:
            for value in (result.val[metric], result.test[metric]):
                if not isinstance(value, float | int | None):
                    raise TypeError(f"{metric}: expected a number, found {value!r}")
        return result


@dataclass(frozen=True)
class PointResult:
    """The result of one point of a grid, or of a reference.

    Attributes:
        method: the method that was fitted.
        point: index of the point among those of its method.
        state: one of `STATES`.
        settings: the varied settings that the method depends on, with their values.
        runs: one entry for each seed; empty unless complete.
        seconds: wall-clock time.
        reason: why the point is pruned or failed.
    """

    method: str
    point: int
    state: str
    settings: dict[str, Value]
    runs: tuple[SeedResult, ...] = ()
    seconds: float = 0.0
    reason: str | None = None

    @cached_property
    def val(self) -> Accuracies | None:
        """Means over seeds on the validation split, and `..._std` if there are several seeds."""
        return mean([run.val for run in self.runs]) if self.runs else None

    @cached_property
    def test(self) -> Accuracies | None:
        """Means over seeds on the test split, and `..._std` if there are several seeds."""
        return mean([run.test for run in self.runs]) if self.runs else None

    def to_json(self) -> dict[str, Any]:
        """Return the point as an entry of `points` or `references`."""
        return {
            "method": self.method,
            "point": self.point,
            "state": self.state,
            "settings": self.settings,
            "n": len(self.runs),
            "val": self.val,
            "test": self.test,
            "runs": [run.to_json() for run in self.runs],
            "seconds": self.seconds,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], method: str | None) -> "PointResult":
        """Return the point of an entry.

        Args:
            data: the entry.
            method: the method of an entry without one, as written by earlier versions.
        """
        return cls(
            method=data.get("method", method),
            point=data["point"],
            state=data["state"],
            settings=data["settings"],
            runs=tuple(SeedResult.from_json(run) for run in data["runs"]),
            seconds=data["seconds"],
            reason=data["reason"],
        )


def accuracy_rows(point: PointResult) -> Iterator[dict[str, Any]]:
    """Yield the accuracies of a point, one for each seed, split and metric."""
    for run in point.runs:
        for split, accuracies in (("val", run.val), ("test", run.test)):
            for metric, value in accuracies.items():
                yield {"seed": run.seed, "split": split, "metric": metric, "value": value}
