"""The result of a grid, with its JSON form and its data frame."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip_cfr.cache.runs.grid import RESULT, read_grid
from clip_cfr.calibrate.comparison.method_result import metric_of
from clip_cfr.calibrate.comparison.result import PROMPTS
from clip_cfr.calibrate.comparison.stored_settings import convert_settings
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.settings import Value
from clip_cfr.calibrate.frame import make_frame
from clip_cfr.calibrate.grid.calibrate_command import calibrate_command
from clip_cfr.calibrate.grid.point_result import STATES, PointResult, accuracy_rows
from clip_cfr.calibrate.methods import load_method


@dataclass(frozen=True)
class GridResult:
    """The result of a grid, from which the table, the JSON object and the files are made.

    Attributes:
        cache: path of the cache.
        cache_sha256: SHA-256 of its contents.
        dataset: name of the data set.
        model: the model that the features are from.
        class_embeddings: source of the class embeddings: `prompts`, `class means` or `imported`.
        digest: short digest of everything that the points depend on.
        methods: the methods whose points are ranked.
        selection: the criterion that selects the head of each fit.
        criterion: the validation criterion that ranks the points.
        sampler: `grid`, `tpe` or `random`.
        prune: whether unpromising points were stopped early.
        space: the axes by setting, as lists of values or bounds.
        settings: the settings that are not varied.
        seeds: the seeds of every point.
        hold_rows: rows of features in memory at a time; None for all.
        prompts: the set of class prompts that --prompts names; None for those of the cache.
        named: the attributes named in words with their phrases, the smallest `margin`, the
            `templates` and the command line `options`; None if none is named.
        points: the finished points, best first.
        references: zero-shot and ERM at the fixed settings; not ranked.
        storage: the database that keeps the points, without its password.
        studies: the name of the Optuna study by method.
        has_attributes: whether images differ in an attribute; otherwise the groups are the classes.
            True for a grid of an earlier version.
    """

    cache: str
    cache_sha256: str
    dataset: str
    model: str
    class_embeddings: str
    digest: str
    methods: tuple[str, ...]
    selection: str
    criterion: str
    sampler: str
    prune: bool
    space: dict[str, Any]
    settings: dict[str, Value]
    seeds: tuple[int, ...]
    hold_rows: int | None
    points: tuple[PointResult, ...]
    references: tuple[PointResult, ...]
    storage: str
    studies: dict[str, str]
    prompts: str | None = None
    named: dict[str, Any] | None = None
    has_attributes: bool = True

    @property
    def worst(self) -> str:
        """Name of the metric `worst_group`: `worst class` if groups are classes."""
        return "worst group" if self.has_attributes else "worst class"

    @property
    def metric(self) -> str:
        """Name of the criterion among the metrics, such as `inferred_groups`."""
        return metric_of(self.criterion)

    @property
    def counts(self) -> dict[str, int]:
        """Number of points in each state (`complete`, `pruned`, `failed`), without references."""
        counts = Counter(point.state for point in self.points)
        return {state: counts[state] for state in STATES}

    @property
    def ranked_methods(self) -> tuple[str, ...]:
        """Methods whose validation accuracies can be compared with each other.

        Those that train on the validation split are left out, unless there is no other.
        """
        return rankable_methods(self.methods)

    @property
    def best(self) -> PointResult | None:
        """The first complete point, which has the best validation accuracy of the ranked methods.

        None if no point is complete.
        """
        return next((point for point in self.points if point.state == "complete"), None)

    @property
    def best_command(self) -> str | None:
        """Command line that calibrates with the settings of the best point, quoted for a shell.

        None if no point is complete.
        """
        if self.best is None:
            return None
        varied = self.best.settings
        settings = convert_settings({**self.settings, **varied})
        return calibrate_command(
            cache=self.cache,
            methods=(self.best.method,),
            varied={name: settings[name] for name in varied},
            fixed={name: settings[name] for name in settings if name not in varied},
            seeds=self.seeds,
            hold_rows=self.hold_rows,
            prompts=self.prompts,
            attribute_options=self.named["options"] if self.named else (),
        )

    @property
    def note(self) -> str:
        """Text on the choice of the best point and the optimism of its validation accuracy."""
        oracle = ", which uses group labels (an oracle)" if self.criterion == "worst-group" else ""
        ranked = [
            point
            for point in self.points
            if point.state == "complete" and point.method in self.ranked_methods
        ]
        return (
            f"The best of {len(ranked)} points is chosen by val {self.criterion}{oracle}: the "
            "maximum of many noisy values is optimistic. Test accuracies took no part in the "
            "choice."
        )

    def check_any_complete(self) -> None:
        """Raise CalibrationError with the reason of the first point if no point is complete."""
        if self.best is None:
            raise CalibrationError(f"no point could be fitted: {self.points[0].reason}")

    def to_json(self) -> dict[str, Any]:
        """Return the object of `--json` and `grid.json`: all fields and properties in JSON types.

        `study` has the storage and the names of the studies. `method` and `study.name` are None
        with several methods, `best` is None if no point is complete.
        """
        best = self.best
        alone = len(self.methods) == 1
        return {
            "cache": self.cache,
            "cache_sha256": self.cache_sha256,
            "dataset": self.dataset,
            "model": self.model,
            "class_embeddings": self.class_embeddings,
            "digest": self.digest,
            "method": self.methods[0] if alone else None,
            "methods": list(self.methods),
            "selection": self.selection,
            "criterion": self.criterion,
            "metric": self.metric,
            "sampler": self.sampler,
            "prune": self.prune,
            "space": self.space,
            "settings": self.settings,
            "seeds": list(self.seeds),
            "hold_rows": self.hold_rows,
            "prompts": self.prompts,
            "named": self.named,
            "has_attributes": self.has_attributes,
            "counts": self.counts,
            "best": best and self.best_to_json(best),
            "note": self.note,
            "points": [point.to_json() for point in self.points],
            "references": [point.to_json() for point in self.references],
            "study": {
                "storage": self.storage,
                "name": self.studies[self.methods[0]] if alone else None,
                "names": self.studies,
            },
        }

    def best_to_json(self, best: PointResult) -> dict[str, Any]:
        """Return `method`, `point`, `settings` and `command` of the best point."""
        return {
            "method": best.method,
            "point": best.point,
            "settings": best.settings,
            "command": self.best_command,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "GridResult":
        """Return the result from the object that `to_json` returned, in this or an earlier version.

        Raises:
            CalibrationError: a key is missing or has another type.
        """
        try:
            return cls._parse(data)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CalibrationError(
                f"expected the result of a grid, found JSON without it ({error!r})"
            ) from error

    @classmethod
    def _parse(cls, data: Mapping[str, Any]) -> "GridResult":
        """Return the result in the contents of `grid.json`, of this or an earlier version."""
        method, study = data["method"], data["study"]
        return cls(
            cache=data["cache"],
            cache_sha256=data["cache_sha256"],
            dataset=data["dataset"],
            model=data["model"],
            class_embeddings=data.get("class_embeddings", PROMPTS),
            digest=data["digest"],
            methods=tuple(data.get("methods", [method])),
            selection=data["selection"],
            criterion=data["criterion"],
            sampler=data["sampler"],
            prune=data["prune"],
            space=data["space"],
            settings=data["settings"],
            seeds=tuple(data["seeds"]),
            hold_rows=data.get("hold_rows"),
            prompts=data.get("prompts"),
            named=data.get("named"),
            has_attributes=data.get("has_attributes", True),
            points=tuple(PointResult.from_json(each, method) for each in data["points"]),
            references=tuple(
                PointResult.from_json(each, method) for each in data.get("references", ())
            ),
            storage=study["storage"],
            studies=study.get("names", {method: study["name"]}),
        )

    def to_frame(self):
        """Return a pandas DataFrame with one row for each metric, split and seed of each point.

        Columns: reference, method, point, the varied settings, seed, split, metric, value.
        References come last. Points without a result have no row. Accuracies are in [0, 1].

        Raises:
            ModuleNotFoundError: pandas is not installed (extra `frame`).
        """
        return make_frame(self.tidy_rows())

    def tidy_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of `to_frame` as dicts; None for a setting that a point does not have."""
        for is_reference, points in ((False, self.points), (True, self.references)):
            for point in points:
                settings = {name: point.settings.get(name) for name in self.space}
                head = {"reference": is_reference, "method": point.method, "point": point.point}
                yield from ({**head, **settings, **row} for row in accuracy_rows(point))


def read_grid_result(directory: str | Path) -> GridResult:
    """Return the result in a grid folder.

    Raises:
        CacheError: the folder has no `grid.json`, or it is damaged.
        CalibrationError: `grid.json` is not the result of a grid.
    """
    data = read_grid(directory)
    try:
        return GridResult.from_json(data)
    except CalibrationError as error:
        raise CalibrationError(f"{Path(directory) / RESULT}: {error}") from error


def rankable_methods(methods: Sequence[str]) -> tuple[str, ...]:
    """Return the methods whose validation accuracies can be compared with each other.

    Those that train on the validation split are left out; if all do, all are returned.
    """
    return tuple(each for each in methods if not load_method(each).trains_on_val) or tuple(methods)
