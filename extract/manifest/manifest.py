"""A data set as the rest of the package sees it: rows, names, and a way to read each image."""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from clip_cfr.cache.format.schema import Rows


class ImageSource(Protocol):
    """Reads the image of a row; picklable, so that worker processes can hold one."""

    def read(self, row: int) -> bytes | np.ndarray:
        """The encoded file of the row, or its pixels as uint8 (height, width, 3)."""


@dataclass(frozen=True)
class FileSource:
    """Images that are files below a root."""

    root: Path
    paths: tuple[str, ...]

    def read(self, row: int) -> bytes:
        path = self.root / self.paths[row]
        with open(path, "rb", opener=opened_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is a pipe or a device, not a file of images", path)
            return file.read()


def opened_at_once(path: str, flags: int) -> int:
    """The descriptor of a file, also where that is a pipe that nobody writes to."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@dataclass(frozen=True)
class Manifest:
    """What a data set holds.

    Attributes:
        dataset: the data set's name.
        rows: ids, labels, attributes and splits of every image.
        images: reads the image of a row.
        class_names, attribute_names: in the order of their numbers; without attribute names all
            rows have attribute 0.
        class_prompts, attribute_prompts: for each class (attribute) the entries that describe it;
            an entry that ends with a full stop is a sentence and used as it stands, any other is a
            name that goes into templates. Attributes may have none.
        warnings: what the loader noticed, such as counts that differ from the published ones.
    """

    dataset: str
    rows: Rows
    images: ImageSource
    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    class_prompts: tuple[tuple[str, ...], ...]
    attribute_prompts: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...] = ()

    def sha256(self) -> str:
        """Hex digest of the rows and names: it changes when any row moves or any label does."""
        digest = hashlib.sha256()
        header = [self.dataset, self.class_names, self.attribute_names, self.rows.ids]
        digest.update(json.dumps(header, ensure_ascii=True).encode())
        columns = (self.rows.labels, self.rows.attributes, self.rows.splits, self.rows.subjects)
        for column in columns:
            if column is not None:
                digest.update(np.asarray(column, "<i4").tobytes())
        return digest.hexdigest()


def make_rows(
    ids: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    attributes: Sequence[int] | np.ndarray,
    splits: Sequence[int] | np.ndarray,
    subjects: Sequence[int] | np.ndarray | None = None,
) -> Rows:
    """The rows of columns of any integer type."""
    return Rows(
        ids=tuple(ids),
        labels=np.asarray(labels, np.int32),
        attributes=np.asarray(attributes, np.int32),
        splits=np.asarray(splits, np.int8),
        subjects=None if subjects is None else np.asarray(subjects, np.int32),
    )
