"""Reader of matrices that other programs have saved with NumPy."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Bool, Float

from clip_cfr.extract.errors import ExtractError

MAX_NAMED_ROWS = 10
# Expression that reads the array of a pickle, by the ending of the file.
PICKLES = {
    ".pt": "torch.load({path!r}, weights_only=True).numpy()",
    ".pth": "torch.load({path!r}, weights_only=True).numpy()",
    ".pkl": "pickle.load(open({path!r}, 'rb'))",
    ".pickle": "pickle.load(open({path!r}, 'rb'))",
}


def read_matrix(path: Path) -> Float[np.ndarray, "rows columns"]:
    """Read the matrix of a .npy file, or of an .npz file with one array.

    Returns:
        A float16 array if the file has float16, otherwise float32.

    Raises:
        ExtractError: if the file cannot be read without unpickling, or does not contain a matrix
            of finite floating-point numbers.
    """
    reject_pickle(path)
    matrix = load_array(path)
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or not matrix.size:
        raise ExtractError(
            f"{path} has dtype {matrix.dtype} and shape {matrix.shape}, "
            "expected a non-empty matrix of float16, float32 or float64"
        )
    # Numbers beyond the range of float32 become infinity, which is reported below.
    with np.errstate(over="ignore"):
        matrix = matrix.astype(np.float16 if matrix.dtype.itemsize == 2 else np.float32)
    reject_rows(path, "contain NaN or infinity", ~np.isfinite(matrix).all(axis=1))
    return matrix


def read_nonzero_rows(path: Path) -> Float[np.ndarray, "rows columns"]:
    """Read a matrix as `read_matrix` does, whose rows can be scaled to unit length.

    Raises:
        ExtractError: also if all entries of a row are zero.
    """
    matrix = read_matrix(path)
    reject_rows(path, "are all zero and have no direction", ~matrix.any(axis=1))
    return matrix


def reject_pickle(path: Path) -> None:
    """Raise ExtractError, with a command that converts the file, if its ending is a pickle's."""
    expression = PICKLES.get(path.suffix)
    if expression is None:
        return
    expression = expression.format(path=str(path))
    module = expression.partition(".")[0]
    raise ExtractError(
        f"{path} is a pickle, which may run any code, so it is not read; if you trust it, convert "
        f'it: python -c "import {module}, numpy; '
        f'numpy.save({str(path.with_suffix(".npy"))!r}, {expression})"'
    )


def load_array(path: Path) -> np.ndarray:
    """Return the only array of a .npy or .npz file.

    Raises:
        ExtractError: if the file cannot be read or contains several arrays.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if len(loaded.files) != 1:
                raise ExtractError(
                    f"{path} contains the arrays {', '.join(loaded.files) or 'none'}, expected "
                    "one; save the right one as a .npy file"
                )
            return loaded[loaded.files[0]]
    except (ValueError, EOFError, BadZipFile) as error:
        raise ExtractError(
            f"{path} is not a valid .npy or .npz file ({error}); save the array with numpy.save"
        ) from error
    except OSError as error:
        raise ExtractError(
            f"{path} cannot be read ({error.strerror or error}); check the path"
        ) from error


def reject_rows(path: Path, fault: str, faulty: Bool[np.ndarray, " rows"]) -> None:
    """Raise ExtractError, with the first row indices, if any row is faulty.

    Args:
        path: the file, for the message.
        fault: verb phrase that describes the fault.
        faulty: mask of the faulty rows.
    """
    rows = np.flatnonzero(faulty)
    if not len(rows):
        return
    named = ", ".join(map(str, rows[:MAX_NAMED_ROWS]))
    more = ", ..." if len(rows) > MAX_NAMED_ROWS else ""
    raise ExtractError(
        f"{path}: {len(rows)} of {len(faulty)} rows {fault} (indices from 0: {named}{more}); "
        "compute them again, or remove them from every file"
    )
