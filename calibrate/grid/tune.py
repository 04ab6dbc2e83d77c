"""Tune methods for a comparison: the same number of trials for each, kept in a folder."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from clip_cfr.cache.files.folder_lock import use_folder
from clip_cfr.cache.read.info import read_info
from clip_cfr.cache.runs.grid import STUDY, make_grid_folder
from clip_cfr.calibrate.comparison.tuning import (
    Tuning,
    TuningTrial,
    searched_settings,
    tunable_settings,
)
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.execution import fit_plan
from clip_cfr.calibrate.grid.grid_plan import GridPlan
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.grid.space import search_space
from clip_cfr.calibrate.grid.storage import url_of_file
from clip_cfr.calibrate.methods import methods_of
from clip_cfr.calibrate.named.embedded import EmbeddedAttributes, name_groups
from clip_cfr.calibrate.open_task import load_prepared
from clip_cfr.calibrate.runtime.resident_rows import choose_resident_rows

# Points do not depend on one another, so that results are the same with any number of workers.
SAMPLER = "random"
# First part of the names of the studies.
NAME = "tuning"


def tune_methods(
    cache: Path,
    settings: Settings,
    methods: Sequence[str],
    trials: int,
    *,
    seed: int,
    parent: Path | None,
    fixed: Collection[str] = (),
    device: str = "auto",
    hold_rows: int | None = None,
    val_fraction: float | None = None,
    prompts: str | None = None,
    named: EmbeddedAttributes | None = None,
    workers: int = 1,
) -> Tuning:
    """Fit the trials of every method that has settings to tune; methods without are left out.

    The first trial of a method has the given settings, the others are drawn from its search space.
    Finished trials are kept in the folder `NAME-tuning-DIGEST`. The same call resumes them, also
    with other methods or more trials.

    Args:
        cache: the cache file.
        settings: the settings of the first trial, and those that are not tuned. Their selection
            ranks the trials, on the validation split.
        methods: names of `ALL_METHODS`.
        trials: number of trials of each method.
        seed: seed of every trial.
        parent: the folder that the folder of the trials is in; None keeps no trials.
        fixed: settings that are not tuned for any method.
        device: `auto`, `cpu` or `gpu`.
        hold_rows: rows of features in memory at a time; by default as many as fit.
        val_fraction: fraction of the training rows to draw as val; None draws none.
        prompts: the set of class prompts; None for those of the cache.
        named: the attributes named in words; None if none is.
        workers: number of processes that fit trials.

    Raises:
        CacheError: the cache cannot be read, or the folder cannot be written.
        CalibrationError: the task cannot be used.
    """
    info = read_info(cache)
    shape, dtype = info["features"]["shape"], info["features"]["dtype"]
    base = Plan(
        cache_digest=info["sha256"],
        space={},
        fixed=settings,
        seeds=(seed,),
        sampler=SAMPLER,
        trials=trials,
        resident_rows=choose_resident_rows(hold_rows, shape, dtype),
        prompts=prompts,
        starts_with_fixed=True,
        val_fraction=val_fraction,
        named=named and named.to_json(),
    )
    plan = plan_methods(base, methods, fixed)
    load = partial(
        load_prepared,
        cache,
        device,
        base.resident_rows,
        prompts,
        val_fraction,
        change_task=partial(name_groups, embedded=named, methods=methods),
    )
    # With the digest of all methods, so that methods can be added.
    every = methods_of(named is not None)
    folder_name = f"{cache.stem}-tuning-{plan_methods(base, every, fixed).digest}"
    with make_folder(parent, folder_name) as directory, use_folder(directory):
        url = url_of_file(directory / STUDY)
        finished = fit_plan(plan, url, NAME, load=load, workers=workers)
    return Tuning(
        trials=trials,
        seed=seed,
        criterion=base.criterion,
        fixed=tuple(name for name in searched_settings(every) if name in fixed),
        hold_rows=base.resident_rows,
        prompts=prompts,
        methods={
            each.method: tuple(
                to_trial(point, each.metric)
                for point in finished.points
                if point.method == each.method
            )
            for each in plan.methods
        },
    )


@contextmanager
def make_folder(parent: Path | None, name: str) -> Iterator[Path]:
    """Yield a folder for trials, new or that of earlier ones; without a parent a temporary one."""
    if parent is None:
        with TemporaryDirectory() as directory:
            yield Path(directory)
        return
    make_grid_folder(parent / name, overwrite=False)
    yield parent / name


def plan_methods(base: Plan, methods: Sequence[str], fixed: Collection[str]) -> GridPlan:
    """Return the plans of the methods that have settings to tune, each with its search space."""
    return GridPlan(
        tuple(
            replace(base, method=name, space={key: search_space(name)[key] for key in tunable})
            for name in dict.fromkeys(methods)
            if (tunable := tunable_settings(name, fixed))
        )
    )


def to_trial(point: PointResult, metric: str) -> TuningTrial:
    """Return a point as a trial, with its validation accuracy by a metric."""
    val = point.runs[0].val[metric] if point.runs else None
    return TuningTrial(point.settings, val, point.reason)
