"""The files of a run folder as bytes and back: JSON, CSV tables, npz arrays."""

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from clip_cfr.cache.errors import FieldError
from clip_cfr.cache.format.nested import load_json

Columns = Mapping[str, np.ndarray | Sequence]


def json_bytes(name: str, value: Any) -> bytes:
    """Encode a value as indented JSON with a final line feed; numpy values become plain ones.

    Args:
        name: name of the file, for the error; also in the other functions of this module.
        value: JSON values, numpy numbers and arrays.

    Raises:
        FieldError: the value has no JSON form, such as NaN.
    """
    try:
        text = json.dumps(value, indent=2, allow_nan=False, default=to_plain)
    except (TypeError, ValueError) as error:
        raise FieldError(name, "a JSON value", error) from error
    return f"{text}\n".encode()


def to_plain(value: Any) -> Any:
    """Return a numpy number or array as Python numbers, in nested lists for an array.

    Raises:
        TypeError: the value is neither.
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")


def parse_json(name: str, data: bytes) -> dict[str, Any]:
    """Return the JSON object in a file as a dict.

    Raises:
        FieldError: the data are not a JSON object.
    """
    try:
        return dict(load_json(data))
    except (TypeError, ValueError) as error:
        raise FieldError(name, "a JSON object", error) from error


def csv_bytes(name: str, columns: Columns) -> bytes:
    """Encode columns (rows,) as a UTF-8 CSV table with a header; each number round-trips.

    Raises:
        FieldError: the columns differ in length, have more than one axis, or have a name that
            would break the header.
    """
    if not all(column.isprintable() for column in columns):
        raise FieldError(name, "column names that can be printed", list(columns))
    shapes = {column: np.shape(values) for column, values in columns.items()}
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
        raise FieldError(name, "columns of one length", f"shapes {shapes}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    plain = (each.tolist() if isinstance(each, np.ndarray) else each for each in columns.values())
    writer.writerows(zip(*plain, strict=True))
    return text.getvalue().encode()


def parse_csv(name: str, data: bytes, text: bool = False) -> dict[str, np.ndarray]:
    """Decode the columns of a CSV table.

    A column is int64 if every entry is an integer (also without rows), else float64 if every entry
    is a number; with `text` any other column is an object array of strings. So is one with integers
    beyond int64, which float64 would round.

    Raises:
        FieldError: the data are not a table with a header, or contain text, or integers beyond
            int64, without `text`.
    """
    try:
        header, *rows = csv.reader(io.StringIO(data.decode()))
        columns = zip(*rows, strict=True) if rows else [()] * len(header)
        return {key: to_array(column, text) for key, column in zip(header, columns, strict=True)}
    except (ValueError, csv.Error) as error:
        kind = "a table with a header" if text else "a table of numbers with a header"
        raise FieldError(name, kind, error) from error


def to_array(entries: Sequence[str], text: bool) -> np.ndarray:
    """Return the entries of a column as int64, else float64, else with `text` an array of strings.

    Args:
        entries: the entries as strings; (rows,) is the shape of the result.
        text: whether strings are allowed; their array has the type object.

    Raises:
        ValueError: an entry is not a number, or an integer beyond int64, and `text` is false.
    """
    for dtype in (np.int64, np.float64):
        try:
            return np.array([dtype(entry) for entry in entries], dtype)
        except ValueError:
            continue
        except OverflowError as error:
            if text:
                break
            raise ValueError("an integer beyond int64") from error
    if text:
        return np.array(entries, object)
    raise ValueError(f"{entries[0]!r}")


def class_indices(name: str, column: np.ndarray, names: Sequence[str]) -> Int[np.ndarray, " n"]:
    """Return the class index of each predicted name in a column of a CSV table.

    If all names in a column are numbers, it was read as numbers.

    Args:
        name: name of the file, for the error.
        column: the names of classes, as `parse_csv` returns them.
        names: name of each class.

    Raises:
        FieldError: a name is not that of a class.
    """
    as_read = str if column.dtype == object else float
    known = {}
    for index, each in enumerate(names):
        try:
            known[as_read(each)] = index
        except ValueError:  # A name that is no number is not in a column of numbers.
            continue
    try:
        return np.array([known[as_read(each)] for each in column], np.int64)
    except KeyError as error:
        raise FieldError(name, "names of classes of the cache", error) from error


def gzip_bytes(data: bytes) -> bytes:
    """Return data compressed by gzip without a time stamp, so that equal data give equal bytes."""
    return gzip.compress(data, compresslevel=1, mtime=0)


def parse_gzip(name: str, data: bytes) -> bytes:
    """Return data decompressed by gzip.

    Raises:
        FieldError: the data are not gzip.
    """
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise FieldError(name, "a gzip file", error) from error


def npz_bytes(name: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Encode arrays by name as an uncompressed npz file, never pickled.

    Raises:
        FieldError: an array contains objects.
    """
    for key, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise FieldError(name, "arrays of numbers", f"objects in {key!r}")
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def parse_npz(name: str, data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file by name.

    Raises:
        FieldError: the data are not an npz file of arrays without objects.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    # RuntimeError: encrypted, or of an unknown compression method.
    except (
        *(ValueError, OSError, EOFError, RuntimeError),
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise FieldError(name, "an npz file of arrays of numbers", error) from error
