"""Write the report of runs and grids."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from clip_cfr.cache.console import program_name
from clip_cfr.cache.errors import CacheError, OutputError
from clip_cfr.cache.files.atomic import (
    add_suffix,
    make_write_error,
    replace_file,
    temporary_path,
    write_and_sync,
)
from clip_cfr.cache.files.output import (
    check_folder,
    check_is_no_input,
    resolve_output,
    stat_regular_file,
)
from clip_cfr.cache.runs.folder import is_run
from clip_cfr.cache.runs.grid import has_grid_files
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.named.embedded import list_options
from clip_cfr.calibrate.named.request import Attributes
from clip_cfr.calibrate.report.options import ReportOptions
from clip_cfr.calibrate.report.overview import make_overview
from clip_cfr.calibrate.report.page import Part, render_page
from clip_cfr.calibrate.report.pictures import Pictures
from clip_cfr.calibrate.report.plots.plot import Plot
from clip_cfr.calibrate.report.png import name_files, render_png
from clip_cfr.calibrate.report.sections import make_sections
from clip_cfr.calibrate.report.shown_pictures import take_pictures
from clip_cfr.calibrate.report.source import GridSource, RunSource, read_source

# Pictures on a page if the folder of the images is given, but no number.
THUMBNAILS = 100


@dataclass(frozen=True)
class Report:
    """The files of a report.

    Attributes:
        path: the page.
        bytes: its size.
        plots: the PNG files.
        pictures: number of pictures in the page.
        note: sentence on the pictures; empty without any.
        missing: for each run whose cache is not at hand, its folder and a sentence that says so.
    """

    path: Path
    bytes: int
    plots: tuple[Path, ...]
    pictures: int
    note: str
    missing: tuple[str, ...]


def write_report(
    directories: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    png: str | Path | None = None,
    thumbnails: int | None = None,
    root: str | Path | None = None,
    cache: Sequence[str | Path] = (),
    map: str = "tsne",
    rows: int = 1000,
    overwrite: bool = False,
    attributes: Attributes | None = None,
    attribute_margin: float = 0.0,
    words: str | Path | None = None,
) -> Report:
    """Write one HTML page about runs and grids, which opens without a network.

    Args:
        directories: run folders and grid folders, at least one.
        out: the page; by default the first folder with the suffix `-report.html`.
        png: folder for the plots as PNG files; None for no files.
        thumbnails: largest number of small pictures; needs `root`. By default `THUMBNAILS` with
            `root`, else none.
        root: folder of the images, to which the ids of the cache are relative.
        cache: cache files of the runs; others are found by the runs' own configuration. Without
            its cache, a run has no map of embeddings, and the page says so.
        map: `tsne` or `umap`.
        rows: largest number of images in a map of embeddings.
        overwrite: whether files of an earlier report are replaced.
        attributes: attributes named in words, as for `calibrate_cache`, for runs without any: the
            page has the accuracy of every method in their groups.
        attribute_margin: images whose two most similar values differ by less, in cosine
            similarity, get no value.
        words: a words file with embeddings of phrases that the caches have none of.

    Raises:
        SettingsError: an option is out of its range or lacks another option, or the attributes
            cannot be used.
        CacheError: a folder is missing, damaged, or neither a run nor a grid; or an output exists
            or cannot be written.
        OutputError: the output is an input, or lies in a run folder.
        CalibrationError: the metrics of a run or grid are malformed, or the attributes cannot be
            read or embedded.
        ModuleNotFoundError: a package of the extra `report` or `umap` is not installed.
    """
    folders = [Path(each) for each in directories]
    if not folders:
        raise SettingsError("expected at least one run folder or grid folder")
    if thumbnails is None:
        thumbnails = THUMBNAILS if root else 0
    options = ReportOptions(
        rows,
        map,
        tuple(Path(each) for each in cache),
        root and Path(root),
        thumbnails,
        attributes,
        attribute_margin,
        words and Path(words),
    )
    options.check()
    path = check_page(default_page(folders[0]) if out is None else Path(out), folders, overwrite)
    pictures = Pictures(options.root, options.thumbnails)
    sources = [read_source(each, options, pictures) for each in folders]
    check_caches(sources, options.caches)
    check_attributes(sources, options)
    # Threads of BLAS and OpenMP wait for each other in problems as small as these: for a run of the
    # size of CelebA on a busy machine, three to four times the processor time.
    with threadpool_limits(1):
        take_pictures(sources)
        parts = make_parts(sources)
    command = describe_command(folders, path, png, options)
    page = render_page(page_title(sources), parts, pictures.describe(), command).encode()
    images = {} if png is None else render_plots(parts, sources)
    targets = {} if png is None else check_images(Path(png), images, overwrite)
    for target, data in ({path: page} | targets).items():
        write_file(target, data)
    missing = tuple(f"{each.directory}: {each.missing}" for each in sources if lacks_cache(each))
    note = pictures.describe()
    return Report(path, len(page), tuple(targets), len(pictures.urls), note, missing)


def default_page(directory: Path) -> Path:
    """Return the page of a folder: beside it, as a run folder holds its own files only."""
    return add_suffix(
        Path(directory.resolve() if directory.name in ("", "..") else directory), "-report.html"
    )


def check_page(path: Path, folders: Sequence[Path], overwrite: bool) -> Path:
    """Return the file to write a page to, after the checks of an output.

    Raises:
        OutputError: it is one of the folders, or lies in a run folder or grid folder.
        CacheError: it exists and `overwrite` is false, is no file, or cannot be written.
    """
    check_is_no_input(path, folders)
    path = resolve_output(path)
    check_outside_runs(path.parent)
    if stat_regular_file(path) is not None and not overwrite:
        raise CacheError(f"{path}: exists; replace it with --overwrite, or name another with --out")
    check_folder(path)
    return path


def check_outside_runs(folder: Path) -> None:
    """Raise OutputError if a folder for outputs is a run folder or a grid folder."""
    if is_run(folder) or has_grid_files(folder):
        raise OutputError(
            f"{folder} is the folder of a run or grid, which holds its own files only; name "
            "another place for the report"
        )


def lacks_cache(source: RunSource | GridSource) -> bool:
    """Return whether a source is a run whose cache is not at hand."""
    return isinstance(source, RunSource) and source.cache_path is None


def check_caches(sources: Sequence[RunSource | GridSource], caches: Sequence[Path]) -> None:
    """Raise CacheError for a named cache that no run was computed on."""
    used = {source.cache_path for source in sources if isinstance(source, RunSource)}
    for path in caches:
        if path not in used:
            raise CacheError(
                f"{path}: expected the cache of one of the runs, found other contents; name the "
                "file that the run was calibrated on"
            )


def check_attributes(sources: Sequence[RunSource | GridSource], options: ReportOptions) -> None:
    """Raise SettingsError if attributes are named in words, and there is no run but grids only."""
    if options.attributes and not any(isinstance(each, RunSource) for each in sources):
        raise SettingsError(
            "a grid has no accuracies in groups named in words; name the attributes in grid, or "
            "give a run to the report"
        )


def make_parts(sources: Sequence[RunSource | GridSource]) -> list[Part]:
    """Return the sections of each run and grid; several have an overview before them."""
    several = len(sources) > 1
    parts = [Part("", (make_overview(sources),))] if several else []
    return parts + [
        Part(str(source.directory) if several else "", tuple(make_sections(source)))
        for source in sources
    ]


def page_title(sources: Sequence[RunSource | GridSource]) -> str:
    """Return the title of the page, with the names of the data sets."""
    names = dict.fromkeys(
        each.result.cache.dataset if isinstance(each, RunSource) else each.result.dataset
        for each in sources
    )
    return f"Report: {', '.join(names)}"


def describe_command(
    folders: Sequence[Path], path: Path, png: str | Path | None, options: ReportOptions
) -> str:
    """Return the command that writes the report again, quoted for a shell."""
    words = [*program_name().split(), "report", *map(str, folders), "--out", str(path)]
    for cache in options.caches:
        words += ["--cache", str(cache)]
    if options.root is not None:
        words += ["--root", str(options.root), "--thumbnails", str(options.thumbnails)]
    defaults = ReportOptions()
    if options.map_method != defaults.map_method:
        words += ["--map", options.map_method]
    if options.rows != defaults.rows:
        words += ["--rows", str(options.rows)]
    if png is not None:
        words += ["--png", str(png)]
    if options.attributes:
        words += list_options(options.attributes, options.attribute_margin, options.words)
    return shlex.join([*words, "--overwrite"])


def render_plots(
    parts: Sequence[Part], sources: Sequence[RunSource | GridSource]
) -> dict[str, bytes]:
    """Return all plots as PNG files by name; those of several runs begin with a number."""
    several = len(sources) > 1
    plots: list[tuple[str, Plot]] = [
        (str(index) if several and index else "", plot)
        for index, part in enumerate(parts)
        for section in part.sections
        for plot in section.parts
        if isinstance(plot, Plot)
    ]
    return {name: render_png(plot) for name, plot in name_files(plots).items()}


def check_images(folder: Path, images: Mapping[str, bytes], overwrite: bool) -> dict[Path, bytes]:
    """Return the contents of PNG files by path, after creating the folder and its parents.

    Raises:
        OutputError: the folder is that of a run or grid.
        CacheError: a file exists and `overwrite` is false, or the folder cannot be written.
    """
    check_outside_runs(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise make_write_error(folder, error) from error
    for name in images:
        if stat_regular_file(folder / name) is not None and not overwrite:
            raise CacheError(f"{folder / name}: exists; replace it with --overwrite")
    return {folder / name: data for name, data in images.items()}


def write_file(path: Path, data: bytes) -> None:
    """Write a file as a whole; raise CacheError if it cannot be written."""
    temporary = temporary_path(path)
    try:
        write_and_sync(temporary, data)
        replace_file(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise make_write_error(path, error) from error
