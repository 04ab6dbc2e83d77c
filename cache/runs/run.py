"""Run folders (see RUNS.md): settings, metrics, predictions and heads of one calibration."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError, FieldError, error_context
from clip_cfr.cache.files.atomic import make_write_error
from clip_cfr.cache.runs.encoding import (
    Columns,
    csv_bytes,
    gzip_bytes,
    json_bytes,
    npz_bytes,
    parse_csv,
    parse_gzip,
    parse_json,
    parse_npz,
)
from clip_cfr.cache.runs.folder import RUN, read_folder, reserve_run_folder, write_folder
from clip_cfr.cache.runs.no_run import explain_no_run

DAMAGED = "the run is damaged: calibrate again with --overwrite"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
HEADS, PREDICTIONS, CALIBRATION_ROWS = "heads.json", "predictions.csv.gz", "calibration_rows.csv"
NAMED_ATTRIBUTES = "named_attributes.csv.gz"


@dataclass(frozen=True)
class Run:
    """The contents of a run folder.

    Attributes:
        config: cache, methods, settings and seeds.
        provenance: of the cache, the device and the library versions.
        metrics: the result of the calibration, as `calibrate --json` prints it.
        history: the training log of each `METHOD-seedN`, as columns.
        heads: the arrays of the head of each `METHOD-seedN`.
        formulas: the formula that applies the arrays of each head, by the same names.
        recommended: the `METHOD-seedN` of the head to use; None without a recommendation.
        predictions: one row for each image of val and test, as columns.
        calibration_rows: one row for each row of each seed's calibration set, as columns.
        named_attributes: the value that words give to each image, as columns; none if no attribute
            is named in words.
    """

    config: dict[str, Any]
    provenance: dict[str, Any]
    metrics: dict[str, Any]
    history: Mapping[str, Columns] = field(default_factory=dict)
    heads: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    formulas: Mapping[str, str] = field(default_factory=dict)
    recommended: str | None = None
    predictions: Columns = field(default_factory=dict)
    calibration_rows: Columns = field(default_factory=dict)
    named_attributes: Columns = field(default_factory=dict)


def default_run_directory(name: str) -> Path:
    """Return a path such as `runs/NAME-20260131-142305-123`: local time with milliseconds.

    Nothing is created.
    """
    return Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S-%f}"[:-3]


def head_file(name: str) -> str:
    """Return the file of a head, relative to the run folder: `heads/NAME.npz`."""
    return f"heads/{name}.npz"


def write_run(directory: str | Path, run: Run, overwrite: bool = False) -> None:
    """Write a run folder as a whole; with `overwrite` it replaces an older run.

    Missing parent folders are created.

    Raises:
        CacheError: the folder exists and is not a run, or is one and `overwrite` is false; another
            process writes it; a value cannot be stored; or the disk is full.
    """
    with reserve_run_folder(Path(directory), overwrite) as target:
        write_reserved_run(target, run, overwrite)


def write_reserved_run(directory: Path, run: Run, overwrite: bool) -> None:
    """Write a run folder that the caller has reserved with `reserve_run_folder`.

    Raises:
        CacheError: a value cannot be stored, the disk is full, or another program has written to
            the folder in the meantime; the folder is kept.
    """
    with error_context(directory, "nothing was written"):
        files = encode_run(run)
    try:
        write_folder(directory, files, overwrite)
    except OSError as error:
        needed = f"{sum(map(len, files.values())):,} bytes are needed"
        raise make_write_error(directory, error, needed) from error


def read_run(directory: str | Path) -> Run:
    """Return the run in a folder, after checking the SHA-256 of each of its files.

    Raises:
        CacheError: the folder is missing, not a run or of another version, or one of its files is
            missing or damaged.
    """
    directory = Path(directory)
    if not (directory / RUN.index).is_file():
        raise CacheError(explain_no_run(directory))
    with error_context(directory, DAMAGED):
        return decode_run(read_folder(directory))


def encode_run(run: Run) -> dict[str, bytes]:
    """Return the bytes of each file of a run folder but `run.json`, by relative name.

    Raises:
        FieldError: a value cannot be stored, or the name of a head or history is not a file name.
    """
    heads = {
        "recommended": None if run.recommended is None else head_file(run.recommended),
        "heads": [{"file": head_file(k), "formula": run.formulas.get(k)} for k in run.heads],
    }
    predictions = csv_bytes(PREDICTIONS, run.predictions)
    return {
        "config.json": json_bytes("config.json", run.config),
        "provenance.json": json_bytes("provenance.json", run.provenance),
        "metrics.json": json_bytes("metrics.json", run.metrics),
        HEADS: json_bytes(HEADS, heads),
        PREDICTIONS: gzip_bytes(predictions),
        CALIBRATION_ROWS: csv_bytes(CALIBRATION_ROWS, run.calibration_rows),
        **encode_named(run.named_attributes),
        **encode_each(csv_bytes, "history/{}.csv", run.history),
        **encode_each(npz_bytes, head_file("{}"), run.heads),
    }


def decode_run(files: Mapping[str, bytes]) -> Run:
    """Return the run in the files of a run folder, given as bytes by relative name.

    Raises:
        FieldError: a file is missing or is not as `encode_run` writes it.
    """
    heads = part(files, HEADS, parse_json)
    predictions = parse_table(PREDICTIONS, part(files, PREDICTIONS, parse_gzip))
    try:
        formulas = {Path(each["file"]).stem: each["formula"] for each in heads["heads"]}
        recommended = heads["recommended"] and Path(heads["recommended"]).stem
    except (KeyError, TypeError) as error:
        raise FieldError(HEADS, "a list of heads with file and formula", repr(error)) from error
    return Run(
        *(part(files, f"{name}.json", parse_json) for name in ("config", "provenance", "metrics")),
        history=decode_each(parse_csv, "history", files),
        heads=decode_each(parse_npz, "heads", files),
        formulas=formulas,
        recommended=recommended,
        predictions=predictions,
        calibration_rows=part(files, CALIBRATION_ROWS, parse_table),
        named_attributes=decode_named(files),
    )


def encode_named(columns: Columns) -> dict[str, bytes]:
    """Return the file of the named attributes by its name; none without columns."""
    if not columns:
        return {}
    return {NAMED_ATTRIBUTES: gzip_bytes(csv_bytes(NAMED_ATTRIBUTES, columns))}


def decode_named(files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """Return the columns of the named attributes; none in a run without that file."""
    if NAMED_ATTRIBUTES not in files:
        return {}
    return parse_table(NAMED_ATTRIBUTES, part(files, NAMED_ATTRIBUTES, parse_gzip))


def parse_table(name: str, data: bytes) -> dict[str, np.ndarray]:
    """Return the columns of a CSV table, which may contain text; no columns if it is blank.

    Raises:
        FieldError: as in `parse_csv`.
    """
    return parse_csv(name, data, text=True) if data.strip() else {}


def encode_each(encode: Callable, pattern: str, tables: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the bytes of one file for each `METHOD-seedN`, by file name.

    Args:
        encode: called with the file name and the table, returns bytes.
        pattern: file name with `{}` for the name of the table.
        tables: the tables by name.

    Raises:
        FieldError: a name has characters other than letters, digits and `_.+-`, or starts with one
            of these signs.
    """
    for name in tables:
        if not NAME.fullmatch(name):
            raise FieldError(pattern.format("METHOD"), f"a name like {NAME.pattern}", name)
    return {pattern.format(k): encode(pattern.format(k), table) for k, table in tables.items()}


def decode_each(parse: Callable, folder: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the decoded files of a subfolder, by file name without folder and last suffix.

    Args:
        parse: called with the file name and the bytes; may raise FieldError.
        folder: name of the subfolder; the result is empty without files in it.
        files: bytes of all files by relative name.
    """
    chosen = [name for name in files if name.startswith(f"{folder}/")]
    return {Path(name).stem: parse(name, files[name]) for name in chosen}


def part(files: Mapping[str, bytes], name: str, parse: Callable) -> Any:
    """Return a decoded file that every run must have; raise FieldError if it is missing."""
    if name not in files:
        raise FieldError(name, "an entry in run.json", "none")
    return parse(name, files[name])
