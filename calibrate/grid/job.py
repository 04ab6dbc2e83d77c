"""Prepare a grid: check its arguments, plan its points and make its folder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip_cfr.cache.format.shard import check_not_shard
from clip_cfr.cache.read.info import read_info
from clip_cfr.cache.runs.grid import (
    STUDY,
    check_same_grid,
    default_grid_directory,
    make_grid_folder,
)
from clip_cfr.calibrate.class_prompts import check_prompt_set
from clip_cfr.calibrate.comparison.shared_val import describe_drawn_val
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings, Value, default_settings
from clip_cfr.calibrate.core.windows import check_resident_rows
from clip_cfr.calibrate.grid.axes import Axis
from clip_cfr.calibrate.grid.grid_plan import GridPlan, make_grid_plan
from clip_cfr.calibrate.grid.space import Space, check_space
from clip_cfr.calibrate.grid.storage import parse_url, url_of_file
from clip_cfr.calibrate.grid.study import DEFAULT_NAME
from clip_cfr.calibrate.methods.checks import check_selection
from clip_cfr.calibrate.named.embedded import EmbeddedAttributes, prepare_attributes
from clip_cfr.calibrate.named.request import Attributes
from clip_cfr.calibrate.progress import LineReporter
from clip_cfr.calibrate.runtime.precision import resolve_precision
from clip_cfr.calibrate.runtime.resident_rows import choose_resident_rows


@dataclass(frozen=True)
class GridJob:
    """A grid that is ready to run: its arguments are valid and its folder exists.

    Attributes:
        cache: path of the cache.
        info: the summary of the cache, as `read_info` returns it.
        space: the axes by setting.
        fixed: the settings of the references; for the points, the axes replace some of them.
        sampler: `grid`, `tpe` or `random`.
        plan: the plans of the methods and references.
        directory: the folder of the grid.
        url: URL of the storage.
        name: the name of the grid in the storage.
        named: the attributes named in words; None if none is.
    """

    cache: Path
    info: dict[str, Any]
    space: Space
    fixed: Settings
    sampler: str
    plan: GridPlan
    directory: Path
    url: str
    name: str
    named: EmbeddedAttributes | None = None


def prepare_grid(
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
    hold_rows: int | None = None,
    prompts: str | None = None,
    attributes: Attributes | None = None,
    attribute_margin: float = 0.0,
    words: str | Path | None = None,
) -> GridJob:
    """Check the arguments of a grid and make its folder, without fitting anything.

    For arguments and errors see `search_grid`. With `overwrite`, the study of an earlier grid in
    the folder is set aside. The storage is not opened.
    """
    cache, fixed = Path(cache), resolve_precision(settings or default_settings(bool(attributes)))
    space = check_space(space, fixed, methods)
    url = storage and parse_storage(storage, overwrite)
    check_selection(fixed, bool(attributes))
    info = read_info(cache)
    check_prompt_set(cache, prompts, info["texts"]["prompt_sets"])
    shape, dtype = info["features"]["shape"], info["features"]["dtype"]
    check_not_shard(cache, info["provenance"], shape[0])
    resident_rows = choose_resident_rows(hold_rows, shape, dtype)
    if "batch_size" not in space:
        val = info["splits"]["val"]
        check_resident_rows(val["n"] - val["invalid"], resident_rows, fixed.batch_size)
    words, reporter = None if words is None else Path(words), LineReporter()
    named = prepare_attributes(cache, attributes, attribute_margin, words, reporter)
    shared_val = describe_drawn_val(info, None, methods, fixed.selection, bool(attributes))
    if shared_val is not None:
        reporter.message(f"warning: {shared_val}")
    plan = make_grid_plan(
        space,
        fixed,
        cache_digest=info["sha256"],
        seeds=range(seeds) if isinstance(seeds, int) else seeds,
        methods=methods,
        sampler=sampler,
        trials=trials,
        prune=prune,
        resident_rows=resident_rows,
        prompts=prompts,
        named=named and named.to_json(),
    )
    digests = (plan.digest, plan.legacy_digest)
    directory = Path(out) if out else default_grid_directory(cache.stem, digests)
    url = url or url_of_file(directory / STUDY)
    make_grid_folder(directory, overwrite)
    if storage:
        check_same_grid(directory, digests)
    return GridJob(
        cache=cache,
        info=info,
        space=space,
        fixed=fixed,
        sampler=sampler,
        plan=plan,
        directory=directory,
        url=url,
        name=directory.resolve().name if storage else DEFAULT_NAME,
        named=named,
    )


def parse_storage(storage: str, overwrite: bool) -> str:
    """Return the URL of a storage with `~` expanded, see `parse_url`.

    Raises:
        SettingsError: it is not the URL of a shared storage, or would have to be overwritten.
    """
    url = parse_url(storage)
    if overwrite:
        raise SettingsError(
            "--overwrite removes the study.db of the folder only; leave out --storage"
        )
    return url
