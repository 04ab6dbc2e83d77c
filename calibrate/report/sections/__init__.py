"""The sections of the report: one module with a function `make` for each, listed in their order.

`make(source)` returns a `Section`, or None if the section does not apply. To add one, write its
module and add its name here.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from clip_cfr.calibrate.report.section import Section
from clip_cfr.calibrate.report.source import GridSource, RunSource

RUN_SECTIONS = (
    "recommendation",
    "results",
    "groups",
    "named_groups",
    "embedding_map",
    "centroids",
    "training",
    "calibration_set",
    "wrong_images",
    "errors_in_words",
    "run_provenance",
)
GRID_SECTIONS = (
    "best_point",
    "leaderboard",
    "heat_maps",
    "parallel_coordinates",
    "importances",
    "val_against_test",
    "grid_provenance",
)


def make_sections(source: RunSource | GridSource) -> Iterator[Section]:
    """Yield the sections of a run or grid that apply to it."""
    names = RUN_SECTIONS if isinstance(source, RunSource) else GRID_SECTIONS
    for name in names:
        section = load_section(name)(source)
        if section is not None:
            yield section


def load_section(name: str) -> Callable[[Any], Section | None]:
    """Return the function that makes a section; import its module."""
    return import_module(f"{__name__}.{name}").make
