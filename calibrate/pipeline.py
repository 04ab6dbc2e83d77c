"""Calibrate a cache file: the Python API of the command `calibrate`."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.info import read_info
from clip_cfr.cache.runs.folder import reserve_run_folder
from clip_cfr.cache.runs.run import default_run_directory
from clip_cfr.calibrate.comparison.compare import Comparison, compare
from clip_cfr.calibrate.comparison.result import (
    CacheSummary,
    Result,
    class_embeddings_source,
)
from clip_cfr.calibrate.comparison.shared_val import describe_drawn_val
from clip_cfr.calibrate.comparison.summary import summarize
from clip_cfr.calibrate.comparison.tuning import Tuning, check_tuning
from clip_cfr.calibrate.comparison.versus import check_versus
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.prepared import Prepared, prepare
from clip_cfr.calibrate.core.settings import Settings, default_settings
from clip_cfr.calibrate.methods import DEFAULT_METHODS
from clip_cfr.calibrate.methods.checks import check_selection
from clip_cfr.calibrate.named.embedded import name_groups, prepare_attributes
from clip_cfr.calibrate.named.request import Attributes
from clip_cfr.calibrate.open_task import open_task, start_jax
from clip_cfr.calibrate.progress import LineReporter, ProgressReporter, count_steps
from clip_cfr.calibrate.run_folder import write_result
from clip_cfr.calibrate.runtime import jax_setup
from clip_cfr.calibrate.runtime.memory import peak_memory_mb
from clip_cfr.calibrate.runtime.precision import resolve_precision
from clip_cfr.calibrate.tracking.from_result import track_result
from clip_cfr.calibrate.tracking.trackers import log_run, open_trackers


def calibrate_cache(
    cache: str | Path,
    settings: Settings | None = None,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    seeds: int | Sequence[int] = 1,
    device: str = "auto",
    hold_rows: int | None = None,
    val_fraction: float | None = None,
    prompts: str | None = None,
    versus: str | None = None,
    tune: int | None = None,
    fixed: Collection[str] = (),
    workers: int = 1,
    attributes: Attributes | None = None,
    attribute_margin: float = 0.0,
    words: str | Path | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    log_dir: str | Path | None = None,
    mlflow: str | None = None,
    reporter: ProgressReporter | None = None,
    started: float | None = None,
) -> Result:
    """Train and evaluate heads on a cache, compare them and recommend one.

    A method that cannot be fitted is named in the `failures` of the result; the others are kept.

    Args:
        cache: the cache file.
        settings: hyperparameters; by default `Settings()`, with the selection `worst-named-group`
            where `attributes` are named. Settings that are given keep their selection.
        methods: names of `clip_cfr.calibrate.methods.ALL_METHODS`; a repeated one is fitted once.
        seeds: the number of seeds from 0, or the seeds themselves; at least one.
        device: `auto`, `cpu` or `gpu`.
        hold_rows: rows of features in memory at a time; by default all that fit.
        val_fraction: fraction of the training rows to draw as val, if the cache has none.
        prompts: the class prompts of zero-shot and of all heads: `name` (the class name alone),
            `simple` ("a photo of a {}.") or `imagenet` (CLIP's 80 templates); by default those of
            the cache.
        versus: one of `methods`, to compare the others with on the test split.
        tune: number of trials to tune each method with, on the validation split and the first seed;
            None tunes none. Finished trials are kept beside `out`, so that the same call resumes.
        fixed: settings that tuning leaves as they are, for all methods.
        workers: number of processes that fit the trials.
        attributes: attributes named in words: the values of one, such as `("on water", "on land")`;
            or a JSON file of several; or by name the values with their phrases. Images get the
            value whose text embedding is most similar, and class x value is a group.
        attribute_margin: images whose two most similar values differ by less in cosine similarity
            get no value.
        words: a words file with embeddings of phrases that the cache has none of; those that are in
            neither are embedded by the command `words`, if the extra `extract` is installed.
        out: the run folder to write; None writes none.
        overwrite: replace a finished run in `out`.
        log_dir: folder of TensorBoard to log the finished run to (extra `track`); None for none.
        mlflow: tracking URI of MLflow to log it to (extra `mlflow`), such as
            `sqlite:///mlflow.db`; None for none. A failure to log after training is a warning.
        reporter: receives progress; by default lines on standard error.
        started: `time.perf_counter()` before the imports of the caller, whose time `seconds`
            includes.

    Raises:
        OutputError: `out` is the cache.
        CacheError: the cache cannot be read, `out` cannot be written or holds something else, or
            `log_dir` cannot be written. If writing fails after training, it is `RunNotWritten`,
            which has the result.
        SettingsError: a setting does not suit the task, there is no seed, `versus` is not one of
            `methods`, or none of `methods` has settings to tune.
        CalibrationError: the task cannot be trained on, no method could be fitted, or the
            attributes cannot be read or embedded, or `mlflow` cannot be used.
        ModuleNotFoundError: the extra of a tracker is not installed.
        MemoryError: training does not fit in device memory; `hold_rows` bounds the features in it.
    """
    started = perf_counter() if started is None else started
    path, reporter = Path(cache), reporter or LineReporter()
    settings = resolve_precision(settings or default_settings(bool(attributes)))
    methods = tuple(dict.fromkeys(methods))
    seeds = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not seeds:
        raise SettingsError("seeds is empty, expected at least one")
    check_versus(versus, methods)
    if tune is not None:
        check_tuning(tune, methods, fixed)
    check_selection(settings, bool(attributes))
    trackers = open_trackers(log_dir, mlflow)
    with ExitStack() as stack:
        if out is not None:
            inputs = [path, words and Path(words)]
            target = stack.enter_context(reserve_run_folder(Path(out), overwrite, inputs))
        words = None if words is None else Path(words)
        embedded = prepare_attributes(path, attributes, attribute_margin, words, reporter)
        shared_val = describe_drawn_val(
            read_info(path), val_fraction, methods, settings.selection, bool(attributes)
        )
        if shared_val is not None:
            reporter.message(f"warning: {shared_val}")
        begun, tuning = perf_counter(), None
        if tune is not None:
            from clip_cfr.calibrate.grid.tune import tune_methods  # Loads Optuna.

            tuning = tune_methods(
                path,
                settings,
                methods,
                tune,
                seed=seeds[0],
                parent=None if out is None else target.parent,
                fixed=fixed,
                device=device,
                hold_rows=hold_rows,
                val_fraction=val_fraction,
                prompts=prompts,
                named=embedded,
                workers=workers,
            )
        tuned = perf_counter()
        platform = start_jax(device, reporter)
        reporter.message(f"precision: {settings.precision} in the large products of training")
        stack.enter_context(jax_setup.fixed_numerics())
        imported = perf_counter()
        opened = stack.enter_context(open_task(path, hold_rows, reporter, val_fraction, prompts))
        opened = replace(opened, task=name_groups(opened.task, embedded, methods))
        prepared = prepare(opened.task, opened.resident_rows)
        loaded = perf_counter()
        with jax_setup.time_compilation() as compiling:
            comparison = compare_tuned(prepared, settings, methods, seeds, reporter, tuning)
        reporter.finish()
        if not comparison.outcomes:
            raise CalibrationError(describe_failures(comparison.failures))
        trained = perf_counter()
        summary = summarize_cache(path, opened.cache, opened.prompt_set)
        result = summarize(
            opened.task,
            settings,
            comparison,
            seeds,
            summary,
            drawn_val=opened.drawn_val,
            versus=versus,
            tuning=tuning,
            embedded=embedded,
            shared_val=shared_val,
        ).with_usage(
            {
                "import": imported - tuned + begun - started,
                **({} if tuning is None else {"tune": tuned - begun}),
                "load": loaded - imported,
                "compile": compiling.seconds,
                "train": trained - loaded - compiling.seconds,
                "total": perf_counter() - started,
            },
            peak_memory_mb(),
        )
        if out is not None:
            write_result(target, result, opened, platform, overwrite)
    if trackers:
        name = default_run_directory(path.stem).name if out is None else target.name
        log_run(trackers, track_result(result, name))
    return result


def compare_tuned(
    prepared: Prepared,
    settings: Settings,
    methods: Sequence[str],
    seeds: Sequence[int],
    reporter: ProgressReporter,
    tuning: Tuning | None,
) -> Comparison:
    """Compare methods, each with the settings that tuning chose for it.

    A method all of whose trials failed is not fitted: it is in the failures.
    """
    failures = {} if tuning is None else tuning.failures
    tuned = {} if tuning is None else tuning.apply(settings)
    left = [name for name in methods if name not in failures]
    reporter.start_training(count_steps(settings, left, len(seeds), tuned))
    comparison = compare(prepared, settings, left, seeds, reporter, tuned)
    return Comparison(comparison.outcomes, {**failures, **comparison.failures})


def describe_failures(failures: Mapping[str, str]) -> str:
    """Return the reasons why methods could not be fitted: `erm: REASON; cfr: REASON`."""
    return "; ".join(f"{name}: {why}" for name, why in failures.items())


def summarize_cache(path: Path, cache: FeatureCache, prompt_set: str | None) -> CacheSummary:
    """Return the summary of a cache for a result; without attributes, their only name is `any`.

    Args:
        path: the cache file.
        cache: the cache, with the prompts used.
        prompt_set: name of the set of these prompts, if it is known.
    """
    texts = cache.texts
    attributes = texts.attribute_names or ("any",)
    return CacheSummary(
        path=str(path),
        dataset=cache.dataset,
        model=cache.provenance["model"],
        groups=tuple((label, each) for label in texts.class_names for each in attributes),
        prompts=texts.class_prompts,
        class_embeddings=class_embeddings_source(cache.provenance, texts.class_prompts),
        prompt_set=prompt_set,
    )
