"""The result of a calibration, from which tables, JSON and the run folder are made."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from jaxtyping import Int

from clip_cfr.calibrate.comparison.method_result import MethodResult, metric_of
from clip_cfr.calibrate.comparison.recommendation import REFERENCE, Recommendation
from clip_cfr.calibrate.comparison.stored_settings import read_settings
from clip_cfr.calibrate.comparison.titles import TRAINING_ROWS, method_title
from clip_cfr.calibrate.comparison.trade import Trade
from clip_cfr.calibrate.comparison.tuning import Tuning
from clip_cfr.calibrate.comparison.versus import Versus
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.metrics import Predictions
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.drawn_val import DrawnVal
from clip_cfr.calibrate.frame import make_frame
from clip_cfr.calibrate.named.summary import NamedSummary

# Sources of the class embeddings of a cache.
PROMPTS, CLASS_MEANS, IMPORTED = "prompts", "class means", "imported"


def class_embeddings_source(provenance: Mapping[str, Any], class_prompts: Sequence) -> str:
    """Return the source of a cache's class embeddings: `class means`, `prompts` or `imported`.

    It is `class means` if the provenance says so, else `prompts` if there are prompts.

    Args:
        provenance: the provenance of the cache.
        class_prompts: the prompts of each class; empty if there are none.
    """
    if str(provenance.get("class_embeddings")).startswith(CLASS_MEANS):
        return CLASS_MEANS
    return PROMPTS if class_prompts else IMPORTED


@dataclass(frozen=True)
class CacheSummary:
    """Summary of the cache that a result was computed on.

    Attributes:
        path: the cache file, as it was given.
        dataset: name of the data set.
        model: name of the model in its provenance.
        groups: names of class and attribute of each group, in the order of the group index.
        prompts: prompts of each class, in the order of the labels; empty without prompts.
        class_embeddings: `prompts`, `class means` of the training split, or `imported`.
        prompt_set: name of the set that `prompts` are of; None if it is not known.
    """

    path: str
    dataset: str
    model: str
    groups: tuple[tuple[str, str], ...]
    prompts: tuple[tuple[str, ...], ...]
    class_embeddings: str
    prompt_set: str | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""
        return tuple(dict.fromkeys(label for label, _ in self.groups))

    @property
    def has_attributes(self) -> bool:
        """Whether images differ in an attribute; otherwise the groups are the classes."""
        return len({attribute for _, attribute in self.groups}) > 1


@dataclass(frozen=True)
class CalibrationSetSummary:
    """Size and composition of the calibration set, as means over seeds.

    Attributes:
        size: number of rows.
        per_class: number of rows of each class.
        per_group: number of rows of each group, in the order of the group index.
    """

    size: float
    per_class: tuple[float, ...]
    per_group: tuple[float, ...]


@dataclass(frozen=True)
class Artifacts:
    """Arrays of a calibration, which are separate files in a run folder.

    Attributes:
        heads: arrays by name of the selected classifier, by method and seed.
        formulas: formula that applies the arrays of a method's heads, by method.
        histories: the training log as columns, by method and seed; only of methods with a log.
        predictions: those of the selected classifier, by method and seed, then by split.
        calibration_rows: row indices of CFR's calibration set, by seed; empty without CFR.
        calibration_predictions: class that the head which selected them predicts for each of these
            rows, by seed.
    """

    heads: Mapping[tuple[str, int], Mapping[str, np.ndarray]]
    formulas: Mapping[str, str]
    histories: Mapping[tuple[str, int], Mapping[str, np.ndarray]]
    predictions: Mapping[tuple[str, int], Mapping[str, Predictions]]
    calibration_rows: Mapping[int, Int[np.ndarray, " rows"]]
    calibration_predictions: Mapping[int, Int[np.ndarray, " rows"]]


@dataclass(frozen=True)
class Result:
    """Metrics of all methods, the recommendation and the warnings of one calibration.

    Attributes:
        cache: the cache that it was computed on.
        settings: all hyperparameters that were given; tuning may have replaced some for a method.
        seeds: the seeds of every method.
        methods: the fitted methods by name, in the requested order.
        calibration_set: None if CFR was not fitted.
        recommendation: None if fewer than two methods could be compared.
        warnings: signs of failure and remarks on the data, as sentences.
        failures: the reason why a method could not be fitted, by name.
        seconds: duration of each phase in seconds, by name.
        peak_memory_mb: highest resident memory of the process in MB (10^6 bytes); None if the
            system does not report it.
        drawn_val: how val was drawn, if the cache has none.
        versus: differences of all methods from one of them on the test split; None if not asked
            for.
        tuning: how methods were tuned; None if they were not.
        trade: the errors of ERM that another method mends on val, and the right answers that it
            loses, if val shares the correlations of train; None otherwise.
        val_is_shared: whether val shares the correlations of train, or may do so, as it was drawn
            from the same images; then it cannot see all of a repair.
        named: the attributes named in words, with the rows that they name; None if none is.
        artifacts: heads, predictions and logs; None for a result read from JSON.
    """

    cache: CacheSummary
    settings: Settings
    seeds: tuple[int, ...]
    methods: Mapping[str, MethodResult]
    calibration_set: CalibrationSetSummary | None
    recommendation: Recommendation | None
    warnings: tuple[str, ...]
    failures: Mapping[str, str]
    seconds: Mapping[str, float]
    drawn_val: DrawnVal | None = None
    versus: Versus | None = None
    tuning: Tuning | None = None
    trade: Trade | None = None
    val_is_shared: bool = False
    named: NamedSummary | None = None
    peak_memory_mb: int | None = None
    artifacts: Artifacts | None = field(default=None, repr=False, compare=False)

    @property
    def selection(self) -> str:
        """The criterion that selected the reported heads."""
        return self.settings.selection

    @property
    def is_blind_verdict(self) -> bool:
        """Whether ERM is recommended on a val that may not see what another head repairs."""
        advice = self.recommendation
        return self.val_is_shared and advice is not None and advice.method == REFERENCE

    @property
    def titles(self) -> list[str]:
        """Column title of each method, in the order of the methods."""
        return [method_title(name, self.cache.class_embeddings) for name in self.methods]

    @cached_property
    def recommended_head(self) -> tuple[str, int] | None:
        """Method and seed of the head to use: the best seed on val of the recommended method.

        The best seed is the one whose head, selected by `selection`, has the highest value of the
        metric of that criterion on val; of equal seeds it is the first. Without a recommendation,
        the method is the only one that uses no group labels. None if no method or several methods
        use none.
        """
        if self.recommendation is not None:
            name = self.recommendation.method
        else:
            usable = [each.name for each in self.methods.values() if each.group_labels == "none"]
            if len(usable) != 1:
                return None
            name = usable[0]
        metric = metric_of(self.selection)
        best = max(
            self.methods[name].seeds,
            key=lambda each: getattr(each.by_selection[self.selection].val, metric),
        )
        return name, best.seed

    def with_usage(self, seconds: Mapping[str, float], peak_memory_mb: int | None) -> Self:
        """Return a copy of the result with other values of `seconds` and `peak_memory_mb`."""
        return replace(self, seconds=seconds, peak_memory_mb=peak_memory_mb)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the artifacts, in JSON types."""
        prompts = zip(self.cache.class_names, self.cache.prompts, strict=False)
        head = self.recommended_head
        return {
            "cache": self.cache.path,
            "dataset": self.cache.dataset,
            "model": self.cache.model,
            "prompts": [{"class": name, "prompts": list(each)} for name, each in prompts],
            "prompt_set": self.cache.prompt_set,
            "class_embeddings": self.cache.class_embeddings,
            "groups": [{"label": label, "attribute": a} for label, a in self.cache.groups],
            "seed": self.seeds[0],
            "seeds": list(self.seeds),
            "training_rows": TRAINING_ROWS[self.settings.resample],
            "selection": self.selection,
            "settings": asdict(self.settings),
            "calibration_set": None
            if self.calibration_set is None
            else {name: jsonable(value) for name, value in asdict(self.calibration_set).items()},
            "methods": {name: each.to_json(self.selection) for name, each in self.methods.items()},
            "recommendation": None
            if self.recommendation is None
            else {name: to_list(value) for name, value in asdict(self.recommendation).items()},
            "recommended_head": None if head is None else {"method": head[0], "seed": head[1]},
            "warnings": list(self.warnings),
            "failures": dict(self.failures),
            "seconds": dict(self.seconds),
            "peak_memory_mb": self.peak_memory_mb,
            "drawn_val": None if self.drawn_val is None else self.drawn_val.to_json(),
            "versus": None if self.versus is None else self.versus.to_json(),
            "tuning": None if self.tuning is None else self.tuning.to_json(),
            "trade": None if self.trade is None else self.trade.to_json(),
            "val_is_shared": self.val_is_shared,
            "named": None if self.named is None else self.named.to_json(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the result from the object that `to_json` returned, without artifacts.

        Raises:
            CalibrationError: a key is missing or has another type.
        """
        try:
            return cls._parse(values)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CalibrationError(
                f"expected the result of a calibration, found JSON without it ({error!r})"
            ) from error

    @classmethod
    def _parse(cls, values: dict[str, Any]) -> Self:
        chosen, advice = values["calibration_set"], values["recommendation"]
        return cls(
            cache=CacheSummary(
                path=values["cache"],
                dataset=values["dataset"],
                model=values["model"],
                groups=tuple((each["label"], each["attribute"]) for each in values["groups"]),
                prompts=tuple(tuple(each["prompts"]) for each in values["prompts"]),
                class_embeddings=values["class_embeddings"],
                prompt_set=values.get("prompt_set"),
            ),
            settings=read_settings(values["settings"]),
            seeds=tuple(values["seeds"]),
            methods={k: MethodResult.from_json(k, each) for k, each in values["methods"].items()},
            calibration_set=None
            if chosen is None
            else CalibrationSetSummary(
                chosen["size"], tuple(chosen["per_class"]), tuple(chosen["per_group"])
            ),
            recommendation=None
            if advice is None
            else Recommendation(**{name: to_tuple(value) for name, value in advice.items()}),
            warnings=tuple(values["warnings"]),
            failures=values["failures"],
            seconds=values["seconds"],
            peak_memory_mb=values.get("peak_memory_mb"),
            drawn_val=None if values.get("drawn_val") is None else DrawnVal(**values["drawn_val"]),
            versus=None if values.get("versus") is None else Versus.from_json(values["versus"]),
            tuning=None if values.get("tuning") is None else Tuning.from_json(values["tuning"]),
            trade=None if values.get("trade") is None else Trade.from_json(values["trade"]),
            val_is_shared=values.get("val_is_shared", False),
            named=None if values.get("named") is None else NamedSummary.from_json(values["named"]),
        )

    def to_frame(self):
        """Return a pandas DataFrame with one row for each metric of each method and seed.

        Columns: method, seed, selection, split, metric, label, attribute, n, value. Group
        accuracies have the metric `accuracy` and name their group; the others leave label,
        attribute and n empty. Accuracies are in [0, 1]. If the images have no attribute, the
        metric and the selection `worst_group`, which repeat those of the worst class, have no row.

        Raises:
            ModuleNotFoundError: pandas is not installed (extra `frame`).
        """
        return make_frame(self.tidy_rows())

    def tidy_rows(self):
        """Yield the rows of `to_frame` as dicts from column to value; None for an empty cell."""
        for method in self.methods.values():
            for row in method.tidy_rows():
                if self.cache.has_attributes:
                    yield row
                elif row["metric"] != "worst_group" and row["selection"] != "worst-group":
                    yield row if row["metric"] != "accuracy" else {**row, "attribute": None}


def jsonable(value: Any) -> Any:
    """Return a number as int if it is an integer, else as float, and a tuple as a list of these."""
    if isinstance(value, tuple):
        return [jsonable(each) for each in value]
    return int(value) if float(value).is_integer() else float(value)


def to_list(value: Any) -> Any:
    """Return a tuple as a list, as JSON has it, and another value as it is."""
    return list(value) if isinstance(value, tuple) else value


def to_tuple(value: Any) -> Any:
    """Return a list as a tuple, and another value as it is."""
    return tuple(value) if isinstance(value, list) else value
