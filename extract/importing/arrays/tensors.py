"""Readers of tensors: safetensors files without a library, files of torch.save with torch."""

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.cache.format.nested import load_json
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.numpy_files import HEADER_DAMAGE, check_length, damage_errors
from clip_cfr.extract.importing.arrays.pickles import SAFE
from clip_cfr.extract.importing.arrays.sources import StreamRows

if TYPE_CHECKING:
    from torch import Tensor

# Types of safetensors that NumPy has; BF16 is read as two bytes, as in .npy files.
SAFETENSORS_TYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "V2", "BOOL": "?"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"},
    **{"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"},
}


def open_safetensors(path: Path, stack: ExitStack) -> dict[str, ArraySource]:
    """Open the tensors of a safetensors file by name; it stays open until `stack` closes.

    Tensors of types that NumPy lacks are left out; bfloat16 is kept as two bytes (see
    `is_bfloat16`).

    Raises:
        ExtractError: the file is truncated or damaged.

    References:
        The format: https://huggingface.co/docs/safetensors
    """
    file = stack.enter_context(path.open("rb"))
    with damage_errors(path, HEADER_DAMAGE):
        start = 8 + int.from_bytes(file.read(8), "little")
        header = load_json(file.read(start - 8))
        if not isinstance(header, dict):
            raise ValueError("its header is not a JSON object")
        header.pop("__metadata__", None)
        check_length(
            path, max((start + each["data_offsets"][1] for each in header.values()), default=0)
        )
        return {
            name: StreamRows(
                file,
                start + entry["data_offsets"][0],
                tuple(entry["shape"]),
                np.dtype(SAFETENSORS_TYPES[entry["dtype"]]),
            )
            for name, entry in header.items()
            if entry["dtype"] in SAFETENSORS_TYPES
        }


class TensorRows:
    """The rows of a tensor as arrays; bfloat16 becomes float32, which NumPy has.

    Attributes:
        shape: shape of the tensor.
        dtype: type of the arrays.
    """

    def __init__(self, tensor: "Tensor"):
        self._tensor = tensor.detach()
        self.shape = tuple(tensor.shape)
        self.dtype = as_array(self._tensor.flatten()[:0]).dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the rows of a slice."""
        return as_array(self._tensor[rows])


def as_array(tensor: "Tensor") -> np.ndarray:
    """Return a tensor on the CPU as an array that shares its memory; bfloat16 becomes float32."""
    import torch

    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def load_torch(path: Path) -> Any:
    """Return the contents of a file of torch.save, without running code.

    Tensors of other devices are read into memory of the CPU.

    Raises:
        ModuleNotFoundError: torch is missing.
        MemoryError: torch reports that memory ran out.
        ExtractError: the file is damaged, or holds anything but tensors, arrays, numbers and text.
    """
    import torch

    try:
        with torch.serialization.safe_globals(numpy_classes()):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip(path))
    except MemoryError:
        raise
    except Exception as error:
        if "memory" in str(error):  # As torch reports that memory ran out.
            raise MemoryError(str(error).partition("\n")[0]) from error
        # torch raises UnpicklingError, RuntimeError, EOFError, KeyError, AttributeError and more.
        raise ExtractError(
            f"{path} is a file of torch.save that is damaged or holds more than tensors"
            f"{name_class(error)}; it is not read, because it may run code: save the matrix alone, "
            "with torch.save(features, ...), or with numpy.save as a .npy file"
        ) from error


def name_class(error: Exception) -> str:
    """Return the class that torch refuses to build, such as ` (a.B)`; empty if none is named."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f" ({found[1]})" if found else ""


def is_zip(path: Path) -> bool:
    """Return whether a file has the form that torch.save writes since version 1.6."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def numpy_classes() -> list[Any]:
    """Return the callables that a pickle of NumPy arrays needs, as `safe_globals` takes them."""
    builders = [(function, f"{module}.{name}") for (module, name), function in SAFE.items()]
    types = [np.float16, np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_, np.str_]
    return [*builders, *(type(np.dtype(each)) for each in types)]


def tensor_or_array(value: Any) -> ArraySource | None:
    """Return a tensor or an array as an array; None for sparse and quantized tensors and others."""
    import torch

    if isinstance(value, torch.Tensor):
        is_plain = value.layout == torch.strided and not value.is_quantized
        return TensorRows(value) if is_plain else None
    return value if isinstance(value, np.ndarray) else None
