"""Matrices that other programs have saved."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float

from clip_cfr.extract.errors import ExtractError

NAMED_ROWS = 10
# Files that only unpickling can read, which may run any code, and how to get the array out.
PICKLES = {
    ".pt": "torch.load({path!r}, weights_only=True).numpy()",
    ".pth": "torch.load({path!r}, weights_only=True).numpy()",
    ".pkl": "pickle.load(open({path!r}, 'rb'))",
    ".pickle": "pickle.load(open({path!r}, 'rb'))",
}


def read_matrix(path: Path) -> Float[np.ndarray, "rows columns"]:
    """The matrix of a .npy file, or of an .npz file with one array, as float16 or float32.

    float64 becomes float32.

    Raises:
        ExtractError: the file cannot be read without unpickling, or holds no matrix of finite
            floating-point numbers.
    """
    refuse_pickle(path)
    matrix = load_array(path)
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or not matrix.size:
        raise ExtractError(
            f"{path} holds {matrix.dtype} of shape {matrix.shape}, "
            "expected a matrix of float16, float32 or float64"
        )
    with np.errstate(over="ignore"):
        matrix = matrix.astype(np.float16 if matrix.dtype.itemsize == 2 else np.float32)
    refuse_rows(path, "hold NaN or infinity", ~np.isfinite(matrix).all(axis=1))
    return matrix


def read_vectors(path: Path) -> Float[np.ndarray, "rows columns"]:
    """The matrix of a file as `read_matrix` reads it, whose rows all have a direction.

    Raises:
        ExtractError: also where a row is all zero.
    """
    matrix = read_matrix(path)
    refuse_rows(path, "are all zero and have no direction", ~matrix.any(axis=1))
    return matrix


def refuse_pickle(path: Path) -> None:
    """Raises ExtractError, with a command that converts the file, where its name says pickle."""
    expression = PICKLES.get(path.suffix)
    if expression is not None:
        expression = expression.format(path=str(path))
        module = expression.partition(".")[0]
        raise ExtractError(
            f"{path} is not read, as such a file may run code; if you trust it, convert it: "
            f'python -c "import {module}, numpy; '
            f'numpy.save({str(path.with_suffix(".npy"))!r}, {expression})"'
        )


def load_array(path: Path) -> np.ndarray:
    """The one array of a file."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if len(loaded.files) != 1:
                raise ExtractError(
                    f"{path} holds the arrays {', '.join(loaded.files) or 'none'}, expected one; "
                    "save the one that is meant as .npy"
                )
            return loaded[loaded.files[0]]
    except (ValueError, EOFError, BadZipFile) as error:
        raise ExtractError(f"{path} is no .npy file that can be read ({error})") from error
    except OSError as error:
        raise ExtractError(f"{path}: cannot be read ({error.strerror or error})") from error


def refuse_rows(path: Path, fault: str, faulty: np.ndarray) -> None:
    """Raises ExtractError where a row is faulty; names the first of them."""
    rows = np.flatnonzero(faulty)
    if len(rows):
        named = ", ".join(map(str, rows[:NAMED_ROWS])) + (", ..." if len(rows) > NAMED_ROWS else "")
        raise ExtractError(
            f"{path}: {len(rows)} of {len(faulty)} rows {fault} (counted from 0: {named}); "
            "make them again, or leave them out of every file"
        )
