"""Which data sets a cache of format 1 holds, with their types and shapes (see FORMAT.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import h5py
import numpy as np

from clip_cfr.cache.errors import FieldError

FORMAT = "clip-cfr-cache"
VERSION = 1
NEVER_EMPTY = {"rows", "dim", "classes", "embedding"}


@dataclass(frozen=True)
class Field:
    """A data set: its name, the types it may have, and the names of its axes."""

    name: str
    dtypes: tuple[str, ...]
    axes: tuple[str, ...]
    optional: bool = False


# `features` comes first: it says how many rows everything else must have.
FIELDS = (
    Field("features", ("float16", "float32"), ("rows", "dim")),
    Field("valid", ("bool",), ("rows",)),
    Field("ids", ("fixed-length utf-8",), ("rows",)),
    Field("labels", ("int32",), ("rows",)),
    Field("attributes", ("int32",), ("rows",)),
    Field("splits", ("int8",), ("rows",)),
    Field("subjects", ("int32",), ("rows",), optional=True),
    Field("head/projection", ("float32",), ("dim", "embedding")),
    Field("head/bias", ("float32",), ("embedding",), optional=True),
    Field("head/logit_scale", ("float32",), ()),
    Field("text/class_embeddings", ("float32",), ("classes", "embedding")),
    Field("text/class_prompt_embeddings", ("float32",), ("prompts", "embedding")),
    Field("text/class_prompt_owners", ("int32",), ("prompts",)),
    Field("text/attribute_embeddings", ("float32",), ("attributes", "embedding"), optional=True),
)


class Stored(Protocol):
    """What an array in memory, an HDF5 data set and the rows of a flat file have in common."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, rows: slice) -> np.ndarray: ...


def type_name(dtype: np.dtype) -> str:
    """The name that `FIELDS` uses for a type."""
    text = h5py.check_string_dtype(dtype)
    if text is not None:
        return f"{'fixed' if text.length else 'variable'}-length {text.encoding}"
    return dtype.name if dtype.isnative else dtype.str


def check_layout(found: Mapping[str, Stored], sizes: Mapping[str, int]) -> None:
    """Checks that every field is there with the type and the shape that it must have.

    `sizes` holds the lengths of the axes that the names and prompts decide; each other axis gets
    its length from the first field that has it.

    Raises:
        FieldError: for the first field that differs.
    """
    known = dict(sizes)
    for field in FIELDS:
        if field.name in found:
            _check_type(field, found[field.name].dtype)
            _check_shape(field, found[field.name].shape, known)
        elif not field.optional:
            raise FieldError(field.name, "a data set of this name", "none")


def _check_type(field: Field, dtype: np.dtype) -> None:
    if type_name(dtype) not in field.dtypes:
        raise FieldError(field.name, f"type {' or '.join(field.dtypes)}", type_name(dtype))


def _check_shape(field: Field, shape: tuple[int, ...], known: dict[str, int]) -> None:
    if len(shape) != len(field.axes):
        raise FieldError(field.name, f"the axes ({', '.join(field.axes)})", f"shape {shape}")
    for axis, length in zip(field.axes, shape, strict=True):
        if axis in NEVER_EMPTY and length == 0:
            raise FieldError(field.name, f"at least one of {axis}", f"shape {shape}")
        known.setdefault(axis, length)
    expected = tuple(known[axis] for axis in field.axes)
    if shape != expected:
        raise FieldError(field.name, f"shape {expected}", f"shape {shape}")
