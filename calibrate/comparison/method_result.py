"""Metrics of one method: for each seed, selection criterion and split, and their means."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from clip_cfr.calibrate.core.metrics import SplitMetrics
from clip_cfr.calibrate.core.settings import SELECTIONS

REPORTED = ("val", "test")
# The metric of a group named in words, in tidy rows.
NAMED_GROUP_ACCURACY = "named-group accuracy"


@dataclass(frozen=True)
class Evaluation:
    """Metrics of the head that one selection criterion chose.

    Attributes:
        step: training step of the head; None for a method without checkpoints to select from.
        val, test: metrics of the head on the two splits.
        chosen: hyperparameters that the criterion chose on val, by name; empty if there are none.
    """

    step: int | None
    val: SplitMetrics
    test: SplitMetrics
    chosen: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, in JSON types."""
        splits = {name: getattr(self, name).to_json() for name in REPORTED}
        return {"step": self.step, "chosen": dict(self.chosen), **splits}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the evaluation that `to_json` wrote; raise KeyError if a key is missing."""
        splits = {name: SplitMetrics.from_json(values[name]) for name in REPORTED}
        return cls(step=values["step"], chosen=values.get("chosen", {}), **splits)


@dataclass(frozen=True)
class SeedResult:
    """Metrics of one method with one seed.

    Attributes:
        seed: the seed.
        by_selection: the evaluation of the selected head by selection criterion.
    """

    seed: int
    by_selection: Mapping[str, Evaluation]

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, in JSON types."""
        evaluations = {name: each.to_json() for name, each in self.by_selection.items()}
        return {"seed": self.seed, "by_selection": evaluations}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the result that `to_json` wrote; raise KeyError if a key is missing."""
        evaluations = values["by_selection"].items()
        return cls(values["seed"], {k: Evaluation.from_json(each) for k, each in evaluations})


@dataclass(frozen=True)
class Cost:
    """What fitting a method took, for each seed.

    Attributes:
        steps: training steps of its stages, those that it shares with other methods included.
        seconds: mean time; a shared stage counts for the first method that needs it.
    """

    steps: int
    seconds: float = field(compare=False)


@dataclass(frozen=True)
class MethodResult:
    """Metrics of one method over all seeds.

    Attributes:
        name: the method.
        group_labels: `none`, or the split whose group labels the method uses.
        seeds: one entry for each seed.
        worst_group_interval: 95 % interval of test worst-group accuracy in [0, 1], of the first
            seed's head by the reported selection; see `intervals`.
        worst_class_interval: the same of worst-class accuracy; None if a run of an older version
            has none.
        tuned_settings: the settings that tuning chose, by name; None if it was not tuned.
        cost: None if a run of an older version has none.
    """

    name: str
    group_labels: str
    seeds: tuple[SeedResult, ...]
    worst_group_interval: tuple[float, float]
    worst_class_interval: tuple[float, float] | None = None
    tuned_settings: Mapping[str, Any] | None = None
    cost: Cost | None = None

    def evaluations(self, selection: str) -> list[Evaluation]:
        """Return the evaluation of each seed under a selection criterion, in the order of seeds."""
        return [seed.by_selection[selection] for seed in self.seeds]

    def mean(self, selection: str, split: str) -> dict[str, Any]:
        """Return the metrics of a split as means over seeds.

        Args:
            selection: the criterion that selects the head.
            split: `val` or `test`.

        Returns:
            Means by name as in `SplitMetrics.to_json`, `groups` included, with the sample standard
            deviation as `..._std` beside each if there are several seeds.
        """
        return mean([getattr(each, split).to_json() for each in self.evaluations(selection)])

    @property
    def is_selected(self) -> bool:
        """Whether a criterion selects this method's head by step, or by hyperparameters."""
        evaluations = self.evaluations(SELECTIONS[0])
        return all(each.step is not None or each.chosen for each in evaluations)

    def tidy_rows(self) -> Iterator[dict[str, Any]]:
        """Yield one dict for each metric and group of each seed, selection and split.

        The keys are the columns of `Result.to_frame`.
        """
        for seed in self.seeds:
            for selection, evaluation in seed.by_selection.items():
                for split in REPORTED:
                    key = {"method": self.name, "seed": seed.seed}
                    key |= {"selection": selection, "split": split}
                    yield from metric_rows(key, getattr(evaluation, split))

    def to_json(self, selection: str) -> dict[str, Any]:
        """Return the method's entry in the JSON of a result.

        `val` and `test` are means over seeds under `selection`, and `by_selection` those of each
        criterion; `selected_steps` has a step for each seed, or is None without steps.
        """
        by_selection = {
            each: {split: self.mean(each, split) for split in REPORTED}
            for each in SELECTIONS
            if each in self.seeds[0].by_selection
        }
        top, steps = by_selection[selection], [each.step for each in self.evaluations(selection)]
        by_class = self.worst_class_interval
        intervals = {
            "worst_group_interval": list(self.worst_group_interval),
            "worst_class_interval": None if by_class is None else list(by_class),
        }
        return {
            "val": top["val"],
            "test": {**top["test"], **intervals},
            "by_selection": by_selection,
            "selected_steps": None if None in steps else steps,
            "group_labels": self.group_labels,
            "tuned_settings": None if self.tuned_settings is None else dict(self.tuned_settings),
            "cost": None if self.cost is None else asdict(self.cost),
            "seeds": [each.to_json() for each in self.seeds],
        }

    @classmethod
    def from_json(cls, name: str, values: dict[str, Any]) -> Self:
        """Return the result of the method `name` that `to_json` wrote; means are ignored.

        Raises:
            KeyError: a key is missing.
        """
        by_class = values["test"].get("worst_class_interval")
        return cls(
            name=name,
            group_labels=values["group_labels"],
            seeds=tuple(map(SeedResult.from_json, values["seeds"])),
            worst_group_interval=tuple(values["test"]["worst_group_interval"]),
            worst_class_interval=None if by_class is None else tuple(by_class),
            tuned_settings=values.get("tuned_settings"),
            cost=None if values.get("cost") is None else Cost(**values["cost"]),
        )


def metric_rows(key: dict[str, Any], metrics: SplitMetrics):
    """Yield one dict for each metric, then one for each group and each named group, of a split.

    Each has the entries of `key`, then `metric`, `label`, `attribute`, `n` and `value`. For a
    metric `label`, `attribute` and `n` are None; for a group the metric is `accuracy`, and for a
    group named in words `named-group accuracy`, with `ATTRIBUTE: VALUE` as its attribute.
    """
    nowhere = {"label": None, "attribute": None, "n": None}
    for name, value in metrics.to_json().items():
        if name not in ("groups", "named_groups"):
            yield {**key, "metric": name, **nowhere, "value": value}
    for group in metrics.groups:
        where = {"label": group.label, "attribute": group.attribute, "n": group.n}
        yield {**key, "metric": "accuracy", **where, "value": group.accuracy}
    for named in metrics.named_groups:
        where = {"label": named.label, "attribute": f"{named.attribute}: {named.value}"}
        value = {"n": named.n, "value": named.accuracy}
        yield {**key, "metric": NAMED_GROUP_ACCURACY, **where, **value}


def metric_of(selection: str) -> str:
    """Return the field of `SplitMetrics` that a selection criterion maximizes on val.

    For example, `worst-group` gives `worst_group`; `last` is judged by `worst_class`.
    """
    return {"last": "worst_class"}.get(selection, selection.replace("-", "_"))


def mean(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the means of metrics over several dicts with equal keys.

    A float is averaged, and its sample standard deviation (ddof 1) is added as `..._std` if there
    are several dicts. In a list of dicts, entries at the same index are averaged. Other values,
    such as ints and None, are those of the first dict.
    """
    merged: dict[str, Any] = {}
    for key, first in metrics[0].items():
        values = [each[key] for each in metrics]
        if isinstance(first, list):
            merged[key] = [mean(items) for items in zip(*values, strict=True)]
        elif isinstance(first, float):
            merged[key] = float(np.mean(values))
            if len(values) > 1:
                merged[f"{key}_std"] = float(np.std(values, ddof=1))
        else:
            merged[key] = first
    return merged
