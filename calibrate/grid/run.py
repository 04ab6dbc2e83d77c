"""Run a grid: fit its points, rank them and write its folder (`search_grid`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from clip_cfr.cache.files.folder_lock import use_folder
from clip_cfr.cache.runs.grid import write_grid
from clip_cfr.calibrate.comparison.result import class_embeddings_source
from clip_cfr.calibrate.core.settings import Settings, Value
from clip_cfr.calibrate.grid.axes import Axis
from clip_cfr.calibrate.grid.execution import FinishedPoints, fit_plan
from clip_cfr.calibrate.grid.job import GridJob, prepare_grid
from clip_cfr.calibrate.grid.leaderboard import leaderboard_columns, sort_points
from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.grid.result import GridResult
from clip_cfr.calibrate.grid.storage import display_url
from clip_cfr.calibrate.methods import load_method
from clip_cfr.calibrate.named.embedded import name_groups
from clip_cfr.calibrate.named.request import Attributes
from clip_cfr.calibrate.open_task import load_prepared
from clip_cfr.calibrate.tracking.from_grid import track_grid
from clip_cfr.calibrate.tracking.trackers import Tracker, log_run, open_trackers


def search_grid(
    cache: str | Path,
    space: Mapping[str, Axis | Iterable[Value]],
    settings: Settings | None = None,
    *,
    methods: Sequence[str] = ("cfr",),
    seeds: int | Sequence[int] = 1,
    sampler: str = "grid",
    trials: int | None = None,
    prune: bool = False,
    out: str | Path | None = None,
    storage: str | None = None,
    overwrite: bool = False,
    device: str = "auto",
    hold_rows: int | None = None,
    prompts: str | None = None,
    attributes: Attributes | None = None,
    attribute_margin: float = 0.0,
    words: str | Path | None = None,
    workers: int = 1,
    log_dir: str | Path | None = None,
    mlflow: str | None = None,
) -> GridResult:
    """Fit many settings on a cache and rank them by the validation split.

    Finished points are kept in the folder. The same call resumes an interrupted grid, and a call
    with more values, methods or trials adds points to it.

        result = search_grid("celeba.h5", {"lr": [1e-4, 1e-3]}, seeds=3)
        result.best.settings
        result.to_frame().groupby(["lr", "split", "metric"]).value.mean()

    Args:
        cache: path of the feature cache.
        space: by setting, a list of values or an `Interval` to sample from.
        settings: the settings that are not varied; by default as in `calibrate_cache`.
        methods: the methods to fit; each varies the settings that it depends on.
        seeds: the number of seeds from 0, or the seeds themselves; every point is fitted with each.
        sampler: `grid` for every combination, or `tpe` or `random` for proposed points.
        trials: number of points that `tpe` or `random` proposes for each method; None for `grid`.
        prune: whether to stop unpromising points of CFR during their first seed.
        out: the folder; by default `runs/NAME-grid-DIGEST`.
        storage: URL of an Optuna storage that several machines share; by default a file in `out`.
        overwrite: whether to remove an earlier grid in `out` first.
        device: `auto`, `cpu` or `gpu`.
        hold_rows: rows of features in memory at a time; by default as many as fit.
        prompts: the class prompts of zero-shot and of all heads: `name`, `simple` or `imagenet`; by
            default those of the cache.
        attributes, attribute_margin, words: attributes named in words, as in `calibrate_cache`.
        workers: number of processes that fit points.
        log_dir, mlflow: where to log the finished points to, as in `calibrate_cache`.

    Returns:
        The finished points, best first. `best` is None if every point failed.

    Raises:
        SettingsError: an argument is invalid.
        CacheError: the cache cannot be read, or the folder or `log_dir` cannot be written.
        CalibrationError: the points of the folder have other settings, the task cannot be used, or
            `mlflow` cannot be.
        ModuleNotFoundError: the extra of a tracker is not installed.
    """
    # Before the folder is made: an earlier grid stays if a tracker cannot be used.
    trackers = open_trackers(log_dir, mlflow)
    job = prepare_grid(
        cache,
        space,
        settings,
        methods=methods,
        seeds=seeds,
        sampler=sampler,
        trials=trials,
        prune=prune,
        out=out,
        storage=storage,
        overwrite=overwrite,
        hold_rows=hold_rows,
        prompts=prompts,
        attributes=attributes,
        attribute_margin=attribute_margin,
        words=words,
    )
    return run_grid(job, device=device, workers=workers, trackers=trackers)


def run_grid(
    job: GridJob,
    *,
    device: str = "auto",
    workers: int = 1,
    trackers: Sequence[Tracker] = (),
) -> GridResult:
    """Fit the points of a grid that are not finished, write its folder, and return the result.

    Args:
        job: the grid.
        device: `auto`, `cpu` or `gpu`.
        workers: number of processes that fit points.
        trackers: log the finished points.

    Raises:
        CacheError: the folder cannot be written.
        CalibrationError: the points of the folder have other settings, or the task cannot be used.
    """
    plan = job.plan.methods[0]
    methods = tuple(each.method for each in job.plan.methods)
    load = partial(
        load_prepared,
        job.cache,
        device,
        plan.resident_rows,
        plan.prompts,
        change_task=partial(name_groups, embedded=job.named, methods=methods),
    )
    with use_folder(job.directory):
        finished = fit_plan(job.plan, job.url, job.name, load=load, workers=workers)
        result = make_result(job, finished)
        write_grid(job.directory, result.to_json(), leaderboard_columns(result))
    if trackers:
        log_run(trackers, track_grid(result, job.directory.resolve().name))
    return result


def make_result(job: GridJob, finished: FinishedPoints) -> GridResult:
    """Return the result of a grid, with its points in the order of the leaderboard."""
    plan = job.plan.methods[0]
    methods = tuple(each.method for each in job.plan.methods)
    return GridResult(
        cache=str(job.cache),
        cache_sha256=job.info["sha256"],
        dataset=job.info["dataset"],
        model=job.info["provenance"]["model"],
        class_embeddings=class_embeddings_source(
            job.info["provenance"], job.info["texts"]["class_prompts"]
        ),
        digest=job.plan.digest,
        methods=methods,
        selection=job.fixed.selection,
        criterion=plan.criterion,
        sampler=job.sampler,
        prune=any(each.prune for each in job.plan.methods),
        space={name: axis.to_json() for name, axis in job.space.items()},
        settings={k: v for k, v in asdict(job.fixed).items() if k not in job.space},
        seeds=plan.seeds,
        hold_rows=plan.resident_rows,
        prompts=plan.prompts,
        named=job.named and job.named.to_json() | {"options": list(job.named.options)},
        points=sort_points(finished.points, methods, plan.metric),
        references=tuple(with_settings(each, job) for each in finished.references),
        storage=display_url(job.url),
        studies=finished.studies,
        has_attributes=len(job.info["texts"]["attribute_names"]) > 1,
    )


def with_settings(reference: PointResult, job: GridJob) -> PointResult:
    """Return a reference with the fixed values of the varied settings that it depends on."""
    used = load_method(reference.method).used_settings
    values = {name: getattr(job.fixed, name) for name in job.space if name in used}
    return replace(reference, settings=values)
