"""Fit the points of a study on one cache, and collect their results."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.details import unpack_correct
from clip_cfr.calibrate.grid.execution import fit_plan
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.open_task import load_prepared
from clip_cfr.calibrate.studies.check import StudyCache
from clip_cfr.calibrate.studies.data import Measured, StudyData, minority_groups
from clip_cfr.calibrate.studies.plans import make_plan, point_values
from clip_cfr.calibrate.studies.study import Point, Study
from clip_cfr.calibrate.studies.val_rows import with_val


def measure_cache(
    study: Study, cache: StudyCache, settings: Settings, url: str, *, device: str, workers: int
) -> StudyData:
    """Fit the points of a cache that are not finished, and return the results of all.

    Args:
        study: the study.
        cache: the cache, checked.
        settings: the settings that the points do not change.
        url: the storage of the points.
        device: `auto`, `cpu` or `gpu`.
        workers: number of processes that fit points.

    Raises:
        CalibrationError: the storage holds other results, or the task cannot be used.
    """
    task, measured = cache.task, {}
    for val in dict.fromkeys(each.val for each in cache.points):
        points = [each for each in cache.points if each.val == val]
        plan = make_plan(cache.source, points, settings)
        load = partial(
            load_prepared,
            cache.path,
            device,
            cache.source.resident_rows,
            cache.source.prompts,
            change_task=partial(with_val, val=val),
        )
        name = f"{cache.source.cache_digest[:8]}-{val}"
        found = fit_plan(plan, url, name, load=load, workers=workers).points
        for point in points:
            method_plan = next(each for each in plan.methods if each.method == point.method)
            result = find_result(found, method_plan, point_values(points, settings, point))
            measured[point.label] = collect(point, result, len(task.rows("test")))
    in_order = {each.label: measured[each.label] for each in cache.points}
    rows, known = task.rows("test"), cache.has_attributes
    groups = task.split_group_counts("train")
    return StudyData(
        cache=str(cache.path),
        points=study.expand(in_order, settings.selection),
        selection=settings.selection,
        judged_by="worst-group" if known else "worst-class",
        cells=(task.groups if known else task.labels)[rows],
        subjects=None if task.subjects is None else task.subjects[rows],
        minority=minority_groups(groups, len(task.attribute_names)),
        train_groups=groups,
    )


def find_result(found: Sequence[PointResult], plan: Plan, values: dict) -> PointResult:
    """Return the result of the point of a plan that has these values."""
    index = plan.index_of(values)
    return next(each for each in found if (each.method, each.point) == (plan.method, index))


def collect(point: Point, result: PointResult, rows: int) -> Measured:
    """Return the result of a point with its predictions unpacked.

    Args:
        point: the point.
        result: its result, with details.
        rows: number of test rows.
    """
    details = [run.details for run in result.runs]
    if not details:
        return Measured(point.label, {}, {}, seconds=result.seconds, reason=result.reason)
    sets = [each.calibration_groups for each in details]
    return Measured(
        label=point.label,
        correct={
            name: np.stack([unpack_correct(each.test_correct[name], rows) for each in details])
            for name in details[0].test_correct
        },
        val={name: tuple(each.val[name] for each in details) for name in details[0].val},
        set_groups=None if None in sets else np.array(sets),
        seconds=result.seconds,
    )
