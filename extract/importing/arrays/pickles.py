"""Reader of pickles of NumPy arrays, which builds arrays and runs no other code."""

import pickle
from codecs import encode
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.errors import REMEDY

# How NumPy pickles an array (in protocol 5 otherwise) and a number.
_reconstruct: Callable = np.zeros(0).__reduce__()[0]
_frombuffer: Callable = np.zeros(0).__reduce_ex__(5)[0]
_scalar: Callable = np.float32(0).__reduce__()[0]


def encode_latin1(text: str, encoding: str) -> bytes:
    """Encode text as the pickles of Python 2 need it.

    Raises:
        pickle.UnpicklingError: the encoding is not `latin1`.
    """
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the encoding {encoding}")
    return encode(text, encoding)


# Callables that a pickle may use, by module (NumPy 1 and 2) and name.
SAFE = {
    **{("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype},
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): encode_latin1,
    **{
        (f"numpy.{core}.{module}", function.__name__): function
        for core in ("core", "_core")
        for module, function in (
            ("multiarray", _reconstruct),
            ("multiarray", _scalar),
            ("numeric", _frombuffer),
        )
    },
}


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler of arrays, dicts, lists, numbers and text."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the callable of SAFE that a pickle names.

        Raises:
            pickle.UnpicklingError: SAFE does not have it.
        """
        try:
            return SAFE[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it needs {module}.{name}") from None


def load_pickle(path: Path) -> Any:
    """Return the contents of a pickle of arrays, dicts, lists, numbers and text.

    Raises:
        ExtractError: the pickle is damaged, or needs any other class or function.
    """
    try:
        with path.open("rb") as file:
            return ArrayUnpickler(file).load()
    except MemoryError:
        raise
    except Exception as error:
        # A damaged pickle raises nearly every exception.
        raise ExtractError(
            f"{path} is a Python pickle that is damaged or holds more than arrays ({error}); it "
            f"is not read, because it may run code: where it was made, {REMEDY}"
        ) from error
