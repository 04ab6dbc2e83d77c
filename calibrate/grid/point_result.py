"""The result of a point of a grid, with its seeds, and their JSON forms."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from clip_cfr.calibrate.comparison.method_result import mean
from clip_cfr.calibrate.core.settings import Value
from clip_cfr.calibrate.grid.details import SeedDetails

METRICS = (
    *("worst_group", "average", "train_weighted_average", "group_mean", "worst_class"),
    *("inferred_groups", "worst_named_group"),
)
# Metrics that grids of older versions lack.
NEWER_METRICS = ("inferred_groups", "worst_named_group")
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
        details: predictions by every criterion and the calibration set; None if not asked for.
    """

    seed: int
    selected_step: int | None
    val: Accuracies
    test: Accuracies
    details: SeedDetails | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, in JSON types; without `details` if there are none."""
        values = asdict(self)
        if self.details is None:
            del values["details"]
        return values

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SeedResult":
        """Return the result that `to_json` wrote.

        Raises:
            TypeError: a field is missing or unknown, or an accuracy is not a number.
            KeyError: a metric is missing.
        """
        newer = dict.fromkeys(NEWER_METRICS)
        splits = {split: {**newer, **data[split]} for split in SPLITS}
        details = data.get("details")
        result = cls(**{**data, **splits, "details": details and SeedDetails(**details)})
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
        state: `complete`, `pruned` or `failed`.
        settings: the varied settings that the method depends on, with their values.
        runs: one entry for each seed; empty unless complete.
        seconds: wall-clock time in seconds.
        reason: why the point is pruned or failed; None if it is complete.
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
        """Means over seeds by metric on the validation split, in [0, 1]; None without `runs`.

        With several seeds, `METRIC_std` is the sample standard deviation.
        """
        return mean([run.val for run in self.runs]) if self.runs else None

    @cached_property
    def test(self) -> Accuracies | None:
        """The same as `val` on the test split."""
        return mean([run.test for run in self.runs]) if self.runs else None

    def to_json(self) -> dict[str, Any]:
        """Return the point as an entry of `points` or `references` in `GridResult.to_json`.

        Beside the fields, it has `n`, the number of seeds, and the means `val` and `test`.
        """
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
        """Return the point of an entry that `to_json` wrote; means are computed again.

        Args:
            data: the entry.
            method: the method of an entry without one, as written by earlier versions.

        Raises:
            KeyError: a key is missing.
            TypeError: a seed's result is malformed.
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
    """Yield a dict with `seed`, `split`, `metric` and `value` for each accuracy of a point.

    There is none for a point without a result.
    """
    for run in point.runs:
        for split, accuracies in (("val", run.val), ("test", run.test)):
            for metric, value in accuracies.items():
                yield {"seed": run.seed, "split": split, "metric": metric, "value": value}
