"""Check that a study can run on a cache, before anything is fitted."""

from dataclasses import dataclass, replace
from pathlib import Path

from clip_cfr.cache.format.shard import check_not_shard
from clip_cfr.cache.read.info import read_info
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.calibrate.class_prompts import check_prompt_set
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.checks import check_task
from clip_cfr.calibrate.runtime.resident_rows import choose_resident_rows
from clip_cfr.calibrate.studies.plans import Source
from clip_cfr.calibrate.studies.study import Point, Study
from clip_cfr.calibrate.studies.val_rows import OWN_VAL, with_val

NO_ATTRIBUTES = (
    "the cache has no attributes, so val cannot be drawn with their training correlation"
)


@dataclass(frozen=True)
class StudyCache:
    """A cache that a study can run on.

    Attributes:
        path: the cache.
        dataset, model: name of the data set, and the model that the features are from.
        task: the task; its features must not be read.
        source: what the plans are made for.
        points: the points to fit.
        left_out: why other points are not fitted, by label.
    """

    path: Path
    dataset: str
    model: str
    task: Task
    source: Source
    points: tuple[Point, ...]
    left_out: dict[str, str]

    @property
    def has_attributes(self) -> bool:
        """Whether attributes are known."""
        return len(self.task.attribute_names) > 1


def check_cache(
    study: Study,
    path: Path,
    settings: Settings,
    seeds: tuple[int, ...],
    hold_rows: int | None,
    prompts: str | None,
) -> StudyCache:
    """Check that a study can run on a cache; nothing is fitted and no features are read.

    Points that need attributes are left out if the cache has none.

    Args:
        study: the study.
        path: the cache.
        settings: the settings that the points do not change.
        seeds: the seeds.
        hold_rows: rows of features in memory at a time; None for as many as fit.
        prompts: the set of class prompts; None for those of the cache.

    Raises:
        CacheError: the cache cannot be read, or is a shard.
        CalibrationError: the task lacks what a method needs.
        SettingsError: a setting does not suit the task.
    """
    info = read_info(path)
    check_prompt_set(path, prompts, info["texts"]["prompt_sets"])
    shape, dtype = info["features"]["shape"], info["features"]["dtype"]
    check_not_shard(path, info["provenance"], shape[0])
    resident_rows = choose_resident_rows(hold_rows, shape, dtype)
    with open_cache(path) as cache:
        task = Task.from_cache(cache)
    known = len(task.attribute_names) > 1
    points = tuple(each for each in study.points if known or each.val == OWN_VAL)
    for point in points:
        changed = replace(settings, **point.changes)
        check_task(with_val(task, point.val), changed, [point.method], resident_rows)
    return StudyCache(
        path=path,
        dataset=info["dataset"],
        model=info["provenance"]["model"],
        task=task,
        source=Source(info["sha256"], seeds, resident_rows, prompts),
        points=points,
        left_out={each.label: NO_ATTRIBUTES for each in study.points if each not in points},
    )
