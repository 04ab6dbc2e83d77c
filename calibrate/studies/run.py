"""Run a study: fit its points on each cache, answer its question and write its folder."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from clip_cfr.cache.files.folder_lock import use_folder
from clip_cfr.cache.runs.study_folder import POINTS, make_study_folder
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.plan import short_digest
from clip_cfr.calibrate.grid.storage import url_of_file
from clip_cfr.calibrate.runtime.precision import resolve_precision
from clip_cfr.calibrate.studies import STUDIES, load_study
from clip_cfr.calibrate.studies.check import StudyCache, check_cache
from clip_cfr.calibrate.studies.files import write_files
from clip_cfr.calibrate.studies.measure import measure_cache
from clip_cfr.calibrate.studies.plot import plot_study
from clip_cfr.calibrate.studies.result import CacheAnswer, StudyResult
from clip_cfr.calibrate.studies.study import Study

DEFAULT_SEEDS = 3


def run_study(
    name: str,
    caches: Sequence[str | Path],
    settings: Settings | None = None,
    *,
    seeds: int | Sequence[int] = DEFAULT_SEEDS,
    out: str | Path | None = None,
    workers: int = 1,
    device: str = "auto",
    hold_rows: int | None = None,
    prompts: str | None = None,
) -> StudyResult:
    """Answer an open question of the paper on one or several caches.

    Finished points are kept in the folder; the same call resumes an interrupted study. The folder
    gets `study.json`, `study.csv` and, where matplotlib is installed, the plot `study.png`.

        result = run_study("strategies", ["waterbirds.h5"])
        result.answers[0].sentences

    Args:
        name: one of `STUDIES`.
        caches: the caches, each once.
        settings: the settings that the study does not vary; by default with the study's budget.
        seeds: the number of seeds from 0, or the seeds themselves.
        out: the folder; by default `runs/study-NAME-DIGEST`.
        workers: number of processes that fit points.
        device: `auto`, `cpu` or `gpu`.
        hold_rows: rows of features in memory at a time; by default as many as fit.
        prompts: the set of class prompts; by default those of each cache.

    Raises:
        SettingsError: an argument is invalid; nothing was fitted.
        CacheError: a cache cannot be read, or the folder cannot be written.
        CalibrationError: a cache lacks what a point needs, or no point could be fitted.
    """
    study = find_study(name)
    settings = resolve_precision(settings or study.default_settings())
    seeds = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    check_arguments(caches, seeds)
    found = [check_cache(study, Path(each), settings, seeds, hold_rows, prompts) for each in caches]
    directory = Path(out) if out else default_directory(study, found, settings)
    make_study_folder(directory)
    url = url_of_file(directory / POINTS)
    with use_folder(directory):
        answers = [
            answer_cache(study, each, settings, url, device=device, workers=workers)
            for each in found
        ]
        result = StudyResult(study, settings, seeds, tuple(answers), directory)
        result.check_any_fitted()
        write_files(directory, result, plot_study)
    return result


def find_study(name: str) -> Study:
    """Return the declaration of a study; raise SettingsError if there is none of this name."""
    if name not in STUDIES:
        raise SettingsError(f"there is no study {name!r}, expected one of: {', '.join(STUDIES)}")
    return load_study(name)


def check_arguments(caches: Sequence[str | Path], seeds: tuple[int, ...]) -> None:
    """Raise SettingsError if caches or seeds are missing, or a cache is given twice."""
    if isinstance(caches, str | Path) or not caches:
        raise SettingsError(f"caches is {caches!r}, expected a list of cache files")
    if not seeds:
        raise SettingsError("seeds is empty, expected at least one")
    paths = [Path(each) for each in caches]
    for path in paths:
        if paths.count(path) > 1:
            raise SettingsError(f"--cache {path} is given twice; give it once")


def check_not_varied(name: str, given: set[str]) -> None:
    """Raise SettingsError if a setting that a study varies is given by an option.

    Args:
        name: the study.
        given: the settings that were given.
    """
    for setting in load_study(name).varied:
        if setting in given:
            option = setting.replace("_", "-")
            raise SettingsError(f"--{option}: the study {name} varies it; leave it out")


def default_directory(study: Study, caches: Sequence[StudyCache], settings: Settings) -> Path:
    """Return `runs/study-NAME-DIGEST`; the digest is of the caches, settings, seeds and prompts."""
    digest = short_digest({"caches": [asdict(each.source) for each in caches], **asdict(settings)})
    return Path("runs") / f"study-{study.name}-{digest}"


def answer_cache(
    study: Study, cache: StudyCache, settings: Settings, url: str, *, device: str, workers: int
) -> CacheAnswer:
    """Fit the points on a cache and answer the question; see `measure_cache` for the arguments."""
    data = measure_cache(study, cache, settings, url, device=device, workers=workers)
    try:
        sentences = study.answer(data)
    except CalibrationError as reason:
        sentences = (f"The data do not tell: {reason}.",)
    return CacheAnswer(cache.dataset, cache.model, data, study.reference, sentences, cache.left_out)
