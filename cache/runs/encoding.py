"""The files of a run folder: JSON, a table of numbers, arrays, each as bytes and back."""

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from clip_cfr.cache.errors import FieldError


def json_bytes(name: str, value: Any) -> bytes:
    """A value as indented JSON; numpy numbers and arrays as plain ones.

    Raises:
        FieldError: the value holds what JSON cannot, such as a NaN.
    """
    try:
        text = json.dumps(value, indent=2, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise FieldError(name, "what JSON can hold", error) from error
    return f"{text}\n".encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")


def parse_json(name: str, data: bytes) -> dict[str, Any]:
    """The JSON object; raises a FieldError where the file holds anything else."""
    try:
        return dict(json.loads(data))
    except (TypeError, ValueError) as error:
        raise FieldError(name, "a JSON object", error) from error


def csv_bytes(name: str, columns: Mapping[str, np.ndarray]) -> bytes:
    """Columns of numbers (rows,) as a table with a header; each number round-trips.

    Raises:
        FieldError: the columns differ in length, have more than one axis, or a name that would
            break the header.
    """
    if not all(column.isprintable() for column in columns):
        raise FieldError(name, "column names that can be printed", list(columns))
    shapes = {column: np.shape(values) for column, values in columns.items()}
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
        raise FieldError(name, "columns of one length", f"shapes {shapes}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(
        zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True)
    )
    return text.getvalue().encode()


def parse_csv(name: str, data: bytes) -> dict[str, np.ndarray]:
    """The columns: int64 where every entry is a whole number, otherwise float64."""
    try:
        header, *rows = csv.reader(io.StringIO(data.decode()))
        columns = zip(*rows, strict=True) if rows else [()] * len(header)
        return {key: _numbers(column) for key, column in zip(header, columns, strict=True)}
    except ValueError as error:
        raise FieldError(name, "a table of numbers with a header", error) from error


def _numbers(entries: tuple[str, ...]) -> np.ndarray:
    try:
        return np.array([int(entry) for entry in entries], np.int64)
    except ValueError:
        return np.array([float(entry) for entry in entries], np.float64)


def npz_bytes(name: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name, never pickled.

    Raises:
        FieldError: an array holds objects.
    """
    for key, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise FieldError(name, "arrays of numbers", f"objects in {key!r}")
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def parse_npz(name: str, data: bytes) -> dict[str, np.ndarray]:
    """The arrays; raises a FieldError where the file holds anything but plain arrays."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FieldError(name, "an npz file of arrays of numbers", error) from error
