"""The result of a study: the answer for each cache, the JSON form, and tidy rows."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clip_cfr.calibrate.comparison.recommendation import Gain
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.frame import make_frame
from clip_cfr.calibrate.studies import STUDY_QUESTIONS
from clip_cfr.calibrate.studies.data import Measured, StudyData
from clip_cfr.calibrate.studies.study import Study


@dataclass(frozen=True)
class CacheAnswer:
    """The answer of a study on one cache.

    Attributes:
        dataset, model: name of the data set, and the model that the features are from.
        data: the results.
        reference: label of the point that the differences are from.
        sentences: the answer in two sentences; one if the results do not suffice for an answer.
        left_out: why points were not fitted, by label.
    """

    dataset: str
    model: str
    data: StudyData
    reference: str
    sentences: tuple[str, ...]
    left_out: Mapping[str, str]

    @cached_property
    def gains(self) -> dict[str, Gain]:
        """The gain of each fitted point over the reference on test; the intervals hold together.

        Empty if the reference could not be fitted.
        """
        fitted = self.data.fitted()
        others = [each for each in fitted if each != self.reference]
        return self.data.gains(others, self.reference) if self.reference in fitted else {}

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the cache in `StudyResult.to_json`."""
        data = self.data
        return {
            "cache": data.cache,
            "dataset": self.dataset,
            "model": self.model,
            "answer": list(self.sentences),
            "selection": data.selection,
            "judged_by": data.judged_by,
            "reference": self.reference,
            "train_minority_share": data.train_minority_share if data.has_groups else None,
            "left_out": dict(self.left_out),
            "points": [self.point_to_json(each) for each in data.points.values()],
        }

    def point_to_json(self, point: Measured) -> dict[str, Any]:
        """Return the accuracies of a point, its gain over the reference and its calibration set.

        Without accuracies if it could not be fitted; then it has a `reason`.
        """
        data, label = self.data, point.label
        head = {"label": label, "reason": point.reason, "seconds": point.seconds}
        if point.reason:
            return head
        gain = self.gains.get(label)
        return {
            **head,
            "val": data.val_accuracy(label),
            "test": data.accuracy(label),
            "test_of_seeds": data.seed_accuracies(label).tolist(),
            "test_by_selection": {each: data.accuracy(label, each) for each in point.correct},
            "gain": gain and {"margin": gain.margin, "interval": [gain.low, gain.high]},
            "calibration_size": None if point.set_groups is None else point.set_size,
            "minority_share": data.minority_share(label)
            if data.has_groups and point.set_groups is not None
            else None,
        }


@dataclass(frozen=True)
class StudyResult:
    """The result of a study.

    Attributes:
        study: its declaration.
        settings: the settings that its points do not change.
        seeds: the seeds of every point.
        answers: one for each cache.
        directory: the folder.
    """

    study: Study
    settings: Settings
    seeds: tuple[int, ...]
    answers: tuple[CacheAnswer, ...]
    directory: Path

    @property
    def question(self) -> str:
        """The question of the study."""
        return STUDY_QUESTIONS[self.study.name]

    def check_any_fitted(self) -> None:
        """Raise CalibrationError with the first reason if no point of any cache was fitted."""
        points = [each for answer in self.answers for each in answer.data.points.values()]
        if all(each.reason for each in points):
            raise CalibrationError(f"no point could be fitted: {points[0].reason}")

    def to_json(self) -> dict[str, Any]:
        """Return the object of `--json` and `study.json`; accuracies are in [0, 1]."""
        return {
            "study": self.study.name,
            "question": self.question,
            "settings": asdict(self.settings),
            "varied": list(self.study.varied),
            "seeds": list(self.seeds),
            "caches": [each.to_json() for each in self.answers],
        }

    def to_frame(self):
        """Return a pandas DataFrame of `tidy_rows`.

        Raises:
            ModuleNotFoundError: pandas is not installed (extra `frame`).
        """
        return make_frame(self.tidy_rows())

    def tidy_rows(self) -> Iterator[dict[str, Any]]:
        """Yield a dict for each accuracy of each seed of each point that was fitted.

        The keys are cache, point, seed, selection, split, metric and value, in [0, 1]. On test the
        metric is that of the comparisons, `worst-group` or `worst-class`.
        """
        for answer in self.answers:
            for label in answer.data.fitted():
                for row in seed_rows(answer.data, label, self.seeds):
                    yield {"cache": answer.data.cache, "point": label, **row}


def seed_rows(data: StudyData, label: str, seeds: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one point in `StudyResult.tidy_rows`, without cache and point."""
    point = data.points[label]
    for selection in point.correct:
        tests = data.seed_accuracies(label, selection)
        for seed, val, test in zip(seeds, point.val[selection], tests, strict=True):
            head = {"seed": seed, "selection": selection}
            for metric, value in val.items():
                name = metric.replace("_", "-")
                yield {**head, "split": "val", "metric": name, "value": value}
            yield {**head, "split": "test", "metric": data.judged_by, "value": float(test)}
