"""Read the run or grid that a report is about."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from clip_cfr.cache.errors import error_context
from clip_cfr.cache.runs.cache_of_run import Located, locate_cache
from clip_cfr.cache.runs.grid import has_grid_files
from clip_cfr.cache.runs.heads import NAME_ONE, SavedHead
from clip_cfr.cache.runs.run import Run, read_run
from clip_cfr.calibrate.comparison.result import Result
from clip_cfr.calibrate.comparison.titles import method_title
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.grid.result import GridResult, read_grid_result
from clip_cfr.calibrate.named.embedded import prepare_attributes
from clip_cfr.calibrate.progress import LineReporter
from clip_cfr.calibrate.report.cached_rows import CachedRows, read_rows
from clip_cfr.calibrate.report.embeddings import find_calibrated_head
from clip_cfr.calibrate.report.explained import ExplainedErrors, explain_errors
from clip_cfr.calibrate.report.named_result import name_result
from clip_cfr.calibrate.report.options import ReportOptions
from clip_cfr.calibrate.report.pictures import Pictures


@dataclass(frozen=True)
class RunSource:
    """A run and the rows of its cache.

    Attributes:
        directory: the run folder.
        run: its files.
        result: its metrics.
        cache_path: the cache file; None if it is not at hand.
        rows: rows of the cache; None if it is not at hand.
        missing: why it is not, as a sentence; empty if it is.
        options: the options of the report.
        pictures: small pictures of its images.
    """

    directory: Path
    run: Run
    result: Result
    cache_path: Path | None
    rows: CachedRows | None
    missing: str
    options: ReportOptions
    pictures: Pictures

    @property
    def group_names(self) -> list[str]:
        """Names of the groups by index: `cat, night`; `cat` without attributes."""
        cache = self.result.cache
        return [
            f"{label}, {attribute}" if cache.has_attributes else label
            for label, attribute in cache.groups
        ]

    @property
    def shown_head(self) -> tuple[str, int]:
        """Method and seed whose errors are shown: the recommended head, or the last one."""
        methods = list(self.result.methods)
        return self.result.recommended_head or (methods[-1], self.result.seeds[0])

    @property
    def compared_method(self) -> str | None:
        """The recommended method, or that which val cannot decide against; None without one."""
        if self.result.trade is not None:
            return self.result.trade.method
        return self.result.recommended_head and self.result.recommended_head[0]

    @cached_property
    def calibrated_head(self) -> SavedHead | None:
        """The head whose embeddings are those after calibration; see `find_calibrated_head`."""
        with error_context(self.directory, NAME_ONE):
            return find_calibrated_head(self.run, self.compared_method)

    @cached_property
    def explained(self) -> ExplainedErrors:
        """The errors of ERM and of `compared_method`, or why they are not explained."""
        if self.cache_path is None:
            return ExplainedErrors(reason=self.missing)
        return explain_errors(self.directory, self.run, self.compared_method, self.cache_path)

    def title(self, method: str) -> str:
        """Return the title of a method."""
        return method_title(method, self.result.cache.class_embeddings)


@dataclass(frozen=True)
class GridSource:
    """A grid.

    Attributes:
        directory: the grid folder.
        result: its result.
    """

    directory: Path
    result: GridResult


def read_source(
    directory: Path, options: ReportOptions, pictures: Pictures
) -> RunSource | GridSource:
    """Read a run folder or a grid folder.

    Raises:
        CacheError: the folder is missing, damaged or neither; or a file of `options.caches` is no
            cache.
        CalibrationError: its metrics are not those of a calibration or grid, or attributes named
            in words cannot be read or embedded.
        SettingsError: attributes named in words cannot be used with it.
    """
    if has_grid_files(directory):
        return GridSource(directory, read_grid_result(directory))
    run = read_run(directory)
    try:
        result = Result.from_json(run.metrics)
    except CalibrationError as error:
        raise CalibrationError(f"{directory}: metrics.json: {error}") from error
    located = locate_cache(directory, run, options.caches)
    result = with_attributes(directory, run, result, located, options)
    rows = None if located.path is None else read_rows(located.path, run, options.rows)
    missing = located.reason and f"The {located.reason}."
    return RunSource(directory, run, result, located.path, rows, missing, options, pictures)


def with_attributes(
    directory: Path, run: Run, result: Result, located: Located, options: ReportOptions
) -> Result:
    """Return a result with the accuracies in the groups that `options` name in words, if any.

    Raises:
        SettingsError: the run has such groups already, or its cache is not at hand; or the
            attributes cannot be used.
        CacheError, CalibrationError: see `prepare_attributes` and `name_result`.
    """
    if not options.attributes:
        return result
    if result.named is not None:
        raise SettingsError(
            f"{directory} was calibrated with attributes named in words, which the report shows; "
            "leave out --attribute here, or look at others with explain"
        )
    if located.path is None:
        raise SettingsError(f"{directory}: --attribute needs its cache. The {located.reason}.")
    embedded = prepare_attributes(
        located.path, options.attributes, options.attribute_margin, options.words, LineReporter()
    )
    return name_result(directory, run, result, located.path, embedded)
