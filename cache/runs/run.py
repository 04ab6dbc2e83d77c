"""Run folders: what a calibration was told, what it measured, and the heads that it trained."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import FieldError, located
from clip_cfr.cache.files.atomic import unwritable
from clip_cfr.cache.runs.encoding import (
    csv_bytes,
    json_bytes,
    npz_bytes,
    parse_csv,
    parse_json,
    parse_npz,
)
from clip_cfr.cache.runs.folder import read_folder, refuse_finished_run, write_folder

PARTS = ("config", "provenance", "metrics")
DAMAGED = "the run is damaged: calibrate again with --overwrite"
METHOD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
Tables = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Run:
    """What a run folder holds: columns (points,) and arrays are by method, then by name."""

    config: dict[str, Any]
    provenance: dict[str, Any]
    metrics: dict[str, Any]
    history: dict[str, dict[str, np.ndarray]]
    heads: dict[str, dict[str, np.ndarray]]


def default_run_directory(name: str) -> Path:
    """`runs/NAME-TIME`, local time to the millisecond, so that two at once do not meet."""
    return Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S-%f}"[:-3]


def write_run(
    directory: str | Path,
    *,
    config: dict[str, Any],
    provenance: dict[str, Any],
    metrics: dict[str, Any],
    history: Tables,
    heads: Tables,
    overwrite: bool = False,
) -> None:
    """Writes a run folder, whole or not at all; with `overwrite` it takes an older run's place.

    The files are `config.json`, `provenance.json`, `metrics.json`, `history/METHOD.csv`,
    `heads/METHOD.npz`, and `run.json`, which holds the SHA-256 of the others.

    Raises:
        CacheError: the folder exists and is no run, or is one and `overwrite` is false; a value
            cannot be stored; or the disk is full.
    """
    directory = Path(directory)
    refuse_finished_run(directory, overwrite)
    parts = dict(zip(PARTS, (config, provenance, metrics), strict=True))
    with located(directory, "nothing was written"):
        files = {f"{name}.json": json_bytes(f"{name}.json", parts[name]) for name in PARTS}
        files |= _encoded(csv_bytes, "history/{}.csv", history)
        files |= _encoded(npz_bytes, "heads/{}.npz", heads)
    try:
        write_folder(directory, files)
    except OSError as error:
        needed = f"{sum(map(len, files.values())):,} bytes are needed"
        raise unwritable(directory, error, needed) from error


def read_run(directory: str | Path) -> Run:
    """The run in a folder, each of its files checked.

    Raises:
        CacheError: the folder is missing or no run, or one of its files is missing or damaged.
    """
    directory = Path(directory)
    with located(directory, DAMAGED):
        files = read_folder(directory)
        return Run(
            *(_part(files, f"{name}.json") for name in PARTS),
            history=_decoded(parse_csv, "history", files),
            heads=_decoded(parse_npz, "heads", files),
        )


def _encoded(encode: Callable, pattern: str, tables: Tables) -> dict[str, bytes]:
    """The file of each method."""
    for method in tables:
        if not METHOD.fullmatch(method):
            raise FieldError(pattern.format("METHOD"), f"a name like {METHOD.pattern}", method)
    names = {method: pattern.format(method) for method in tables}
    return {name: encode(name, tables[method]) for method, name in names.items()}


def _decoded(parse: Callable, folder: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The contents of a folder's files by method."""
    chosen = [name for name in files if name.startswith(f"{folder}/")]
    return {Path(name).stem: parse(name, files[name]) for name in chosen}


def _part(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    if name not in files:
        raise FieldError(name, "a place in run.json", "none")
    return parse_json(name, files[name])
