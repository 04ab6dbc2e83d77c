"""The HDF5 datasets of a cache, with their types and shapes (see FORMAT.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import h5py
import numpy as np

from clip_cfr.cache.errors import FieldError

# Axes whose length must be at least 1.
NEVER_EMPTY = {"rows", "dim", "classes", "embedding", "others", "words", "templates"}
# Arrays that are all present or all absent.
OTHER_PROMPTS = (
    "text/other_prompts",
    "text/other_prompt_sets",
    "text/other_prompt_owners",
    "text/other_prompt_embeddings",
)
# Prefix of the arrays of the vocabulary, which the content digest leaves out.
VOCABULARY_PREFIX = "text/words/"


@dataclass(frozen=True)
class Field:
    """An HDF5 dataset of the format.

    Attributes:
        name: path in the file, such as `head/bias`.
        dtypes: the allowed types, as `type_name` returns them.
        axes: the name of each axis; axes with the same name have the same length.
        optional: whether the dataset may be absent.
    """

    name: str
    dtypes: tuple[str, ...]
    axes: tuple[str, ...]
    optional: bool = False

    def without_prefix(self, prefix: str) -> "Field":
        """Return the field under its name without a prefix, as a field that must be there."""
        return replace(self, name=self.name.removeprefix(prefix), optional=False)


# `features` is first because `check_layout` takes the lengths of the axes from the first field.
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
    Field("text/other_prompts", ("fixed-length utf-8",), ("others",), optional=True),
    Field("text/other_prompt_sets", ("fixed-length utf-8",), ("others",), optional=True),
    Field("text/other_prompt_owners", ("int32",), ("others",), optional=True),
    Field("text/other_prompt_embeddings", ("float32",), ("others", "embedding"), optional=True),
    Field("text/words/words", ("fixed-length utf-8",), ("words",), optional=True),
    Field("text/words/templates", ("fixed-length utf-8",), ("templates",), optional=True),
    Field("text/words/embeddings", ("float32",), ("words", "embedding"), optional=True),
)


class ArraySource(Protocol):
    """An array in memory or in a file whose rows are read by slicing.

    Attributes:
        shape: (rows, ...).
        dtype: type of the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, rows: slice) -> np.ndarray: ...


def type_name(dtype: np.dtype) -> str:
    """Return the name of a type, as used in `Field.dtypes`.

    Examples: `float32`, `fixed-length utf-8`, and `>f4` for a byte order other than this machine's.
    """
    text = h5py.check_string_dtype(dtype)
    if text is not None:
        return f"{'fixed' if text.length else 'variable'}-length {text.encoding}"
    return dtype.name if dtype.isnative else dtype.str


def check_layout(found: Mapping[str, ArraySource], sizes: Mapping[str, int]) -> None:
    """Raise FieldError for the first missing field, wrong type or wrong shape.

    Fields that the format does not know are ignored.

    Args:
        found: the arrays by field name; only their types and shapes are used.
        sizes: lengths of the axes that the root attributes determine; each other axis takes its
            length from the first field that has it.
    """
    check_fields(FIELDS, found, sizes)


def check_fields(
    fields: Sequence[Field], found: Mapping[str, ArraySource], sizes: Mapping[str, int]
) -> None:
    """Raise FieldError as `check_layout` does, for the fields of any kind of file."""
    known = dict(sizes)
    for field in fields:
        if field.name in found:
            _check_type(field, found[field.name].dtype)
            _check_shape(field, found[field.name].shape, known)
        elif not field.optional or (
            field.name in OTHER_PROMPTS and not found.keys().isdisjoint(OTHER_PROMPTS)
        ):
            raise FieldError(field.name, "an HDF5 dataset of this name", "none")


def _check_type(field: Field, dtype: np.dtype) -> None:
    if type_name(dtype) not in field.dtypes:
        raise FieldError(field.name, f"type {' or '.join(field.dtypes)}", type_name(dtype))


def _check_shape(field: Field, shape: tuple[int, ...], known: dict[str, int]) -> None:
    if len(shape) != len(field.axes):
        raise FieldError(field.name, f"the axes ({', '.join(field.axes)})", f"shape {shape}")
    for axis, length in zip(field.axes, shape, strict=True):
        if axis in NEVER_EMPTY and length == 0:
            raise FieldError(field.name, f"at least 1 along axis {axis}", f"shape {shape}")
        known.setdefault(axis, length)
    expected = tuple(known[axis] for axis in field.axes)
    if shape != expected:
        raise FieldError(field.name, f"shape {expected}", f"shape {shape}")
