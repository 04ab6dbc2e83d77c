"""Matrices of floating-point numbers in files: found by name or by being the only one."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.beside import find_columns, make_table
from clip_cfr.extract.importing.arrays.contents import Contents
from clip_cfr.extract.importing.arrays.numpy_files import damage_errors
from clip_cfr.extract.importing.arrays.open_file import open_contents
from clip_cfr.extract.importing.arrays.reference import ArrayReference
from clip_cfr.extract.importing.arrays.sources import (
    ReshapedRows,
    float_type,
    is_bfloat16,
    is_float,
    to_float,
)

MAX_NAMED = 10


@dataclass(frozen=True)
class Matrix:
    """A matrix of floating-point numbers in an open file, of which slices of rows are read.

    Attributes:
        reference: the file and, if the array has one, its name.
        source: the array (n, d).
        read_table: reads the other columns of the file, such as ids; None if it has none.
        notes: notes for the user on the choice of columns.
    """

    reference: ArrayReference
    source: ArraySource
    read_table: Callable[[], Table] | None = None
    notes: Sequence[str] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype:
        """float16 if the file has float16, otherwise float32."""
        return float_type(self.source.dtype)

    def __getitem__(self, rows: slice) -> Float[np.ndarray, "rows d"]:
        """Read the rows of a slice. Numbers beyond the range of float32 become infinity.

        Raises:
            ExtractError: the file is truncated or damaged.
        """
        with damage_errors(self.reference.path):
            try:
                return to_float(self.source[rows])
            except CacheError as error:
                raise ExtractError(str(error)) from error


def open_matrix(reference: ArrayReference, stack: ExitStack) -> Matrix:
    """Open the matrix that a reference names.

    Axes of length 1 beside those of rows and columns are dropped, as in (n, 1, d). A file of
    nothing but vectors of one length, one by the name of each image, gives a matrix too; the names
    become its column `filename`.

    Args:
        reference: file and name. Without a name, the file must have only one matrix.
        stack: the file stays open until this closes.

    Raises:
        ExtractError: the file cannot be read, or has no such matrix.
    """
    contents = open_contents(reference.path, stack)
    if reference.key is None and has_vectors_by_name(contents.arrays):
        return stack_vectors(reference, contents.arrays)
    name, array = choose_array(reference, contents)
    found = ArrayReference(reference.path, name or None)
    matrix, read_table = as_matrix(found, array), contents.read_table
    if read_table is None and (columns := find_columns(contents.arrays, name)):
        read_table = partial(make_table, reference.path, columns)
    return Matrix(found, matrix, read_table, contents.notes)


def has_vectors_by_name(arrays: Mapping[str, ArraySource]) -> bool:
    """Return whether the arrays are two or more floating-point vectors, all of one length."""
    shapes = {array.shape for array in arrays.values()}
    is_numbers = all(is_float(array.dtype) for array in arrays.values())
    return len(arrays) > 1 and is_numbers and len(shapes) == 1 and len(*shapes) == 1


def stack_vectors(reference: ArrayReference, arrays: Mapping[str, ArraySource]) -> Matrix:
    """Return the vectors of a file as a matrix in memory, and their names as its column `filename`.

    The rows have the order of `arrays` and are counted from 1 in the table.
    """
    table = Table(reference.path, {"filename": tuple(arrays)}, tuple(range(1, len(arrays) + 1)))
    rows = np.stack([to_float(array[:]) for array in arrays.values()])
    return Matrix(reference, rows, lambda: table)


def choose_array(reference: ArrayReference, contents: Contents) -> tuple[str, ArraySource]:
    """Return the name and the array of a reference.

    Without a key, it is the only matrix, or the only array if there is no matrix. A key is found
    with a leading `/` too.

    Raises:
        ExtractError: there is no array of this key; or none or several to choose from without one.
    """
    arrays = contents.arrays
    if reference.key is None:
        matrices = [name for name, array in arrays.items() if is_matrix(array)]
        names = matrices or [*arrays]
        if len(names) == 1:
            return names[0], arrays[names[0]]
        raise ExtractError(describe_choice(reference, arrays, names))
    for name in (reference.key, f"/{reference.key}"):
        if name in arrays:
            return name, arrays[name]
    raise ExtractError(
        f"{reference.path} has no array {reference.key!r}; it has {list_arrays(arrays, [*arrays])}"
    )


def describe_choice(
    reference: ArrayReference, arrays: Mapping[str, ArraySource], names: list[str]
) -> str:
    """Return the message for a file that does not have exactly one matrix.

    Args:
        reference: the file.
        arrays: its arrays by name.
        names: names of its matrices; those of all arrays if it has no matrix.
    """
    if not names:
        return f"{reference.path} has no array, expected a matrix of numbers"
    listed = list_arrays(arrays, names)
    if is_matrix(arrays[names[0]]):
        return (
            f"{reference.path} has {len(names)} matrices, expected one: {listed}; choose one as "
            f"{reference.path}:{names[0]}"
        )
    is_sparse = "indptr" in names
    return f"{reference.path} has no matrix of numbers, found {listed}" + (
        "; it is a sparse matrix of SciPy: save its toarray()" if is_sparse else ""
    )


def list_arrays(arrays: Mapping[str, ArraySource], names: list[str]) -> str:
    """Return up to ten arrays as text, such as `a (float32 5 x 6), b (int64 5) and 2 more`.

    Without names it is `none`.
    """
    shown = [f"{name} ({describe_array(arrays[name])})" for name in names[:MAX_NAMED]]
    remaining = len(names) - len(shown)
    return ", ".join(shown) + (f" and {remaining} more" if remaining else "") or "none"


def describe_array(array: ArraySource) -> str:
    """Return type and shape of an array, such as `float32 5 x 6`; only the type without axes."""
    kind = "bfloat16" if is_bfloat16(array.dtype) else array.dtype.name
    return f"{kind} {' x '.join(map(str, array.shape))}".strip()


def is_matrix(array: ArraySource) -> bool:
    """Return whether an array is a non-empty matrix of floating-point numbers, bfloat16 included.

    Further axes of length 1 are allowed (see `find_matrix_shape`).
    """
    return (
        len(array.shape) >= 2
        and is_float(array.dtype)
        and 0 not in array.shape
        and find_matrix_shape(array.shape) is not None
    )


def find_matrix_shape(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the shape without axes of length 1 that are neither rows nor columns, or None.

    (n, 1, d), (n, d, 1, 1) and (1, n, d) give (n, d); (n, 1, 1) gives (n, 1), and (1, 1, d) gives
    (1, d). None stands for fewer than two axes, or more than two longer than 1.
    """
    if len(shape) == 2:
        return shape
    long = [length for length in shape if length != 1]
    if len(long) > 2 or len(shape) < 2:
        return None
    if len(long) == 2:
        return long[0], long[1]
    # One row, or rows of one number.
    return (shape[0], int(np.prod(shape[1:])))


def as_matrix(reference: ArrayReference, array: ArraySource) -> ArraySource:
    """Return an array as a matrix: itself if it has two axes, otherwise reshaped.

    Rows are read when they are sliced. Only an array whose first axis is not that of the rows, such
    as (1, n, d), is read into memory here.

    Args:
        reference: file and name of the array, for messages.
        array: the array.

    Raises:
        ExtractError: it is not a non-empty matrix of floating-point numbers.
    """
    shape = find_matrix_shape(array.shape)
    if not is_matrix(array) or shape is None:
        raise ExtractError(
            f"{reference} has dtype {describe_array(array).split()[0]} and shape "
            f"{tuple(array.shape)}, expected a non-empty matrix of float16, bfloat16, float32 or "
            f"float64{suggest_change(array)}"
        )
    if shape == tuple(array.shape):
        return array
    if array.shape[0] == shape[0]:
        return ReshapedRows(array, shape[1:])
    return array[:].reshape(shape)


def suggest_change(array: ArraySource) -> str:
    """Return a remedy for an array that is not a matrix, beginning with `; `.

    Whole numbers in two axes may be converted, and floating-point numbers in more axes pooled. It
    is empty for any other array.
    """
    if array.dtype.kind in "iu" and len(array.shape) == 2:
        return "; if these whole numbers are features, save features.astype('float32')"
    if len(array.shape) < 3 or not is_float(array.dtype) or 0 in array.shape:
        return ""
    return "; pool the middle axes, such as tokens, into one vector for each image"
