"""The manifest of a data set: one row for each image, names and prompts, and an image source."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.manifest.image_source import ImageSource


class Sentence(str):
    """A prompt entry that is embedded unchanged, without the prompt templates.

    A prompt entry of type `str` is a name, which is inserted into the templates.
    """

    __slots__ = ()


def parse_entry(entry: str) -> str:
    """Return the entry as a `Sentence` if it ends with a full stop, otherwise unchanged."""
    return Sentence(entry) if entry.endswith(".") else entry


@dataclass(frozen=True)
class Manifest:
    """A data set, independent of its layout on disk.

    Attributes:
        dataset: name of the data set.
        rows: id, label, attribute, split and, where known, subject of each image.
        images: reads the image of a row.
        class_names: name of each class, in the order of the labels.
        attribute_names: name of each attribute value; empty if no attribute is known, in which case
            every row has attribute 0.
        class_prompts: prompt entries of each class, at least one: names, which go into the prompt
            templates, or a `Sentence`.
        attribute_prompts: prompt entries of each attribute value; empty if the names do not
            describe anything visible.
        images_sha256: digest of the positions of the images in archives, if their ids are not
            paths; otherwise empty.
        warnings: observations of the loader, such as row counts that differ from the published
            ones.
        drawn_splits: names of the splits whose rows were drawn at random from the same images as
            those of train; empty if the data set has its own splits.
    """

    dataset: str
    rows: Rows
    images: ImageSource
    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    class_prompts: tuple[tuple[str, ...], ...]
    attribute_prompts: tuple[tuple[str, ...], ...]
    images_sha256: str = ""
    warnings: tuple[str, ...] = ()
    drawn_splits: tuple[str, ...] = ()

    def sha256(self) -> str:
        """Return the SHA-256 of the rows, the names and `images_sha256`, as hexadecimal digits.

        The names are those of the data set, the classes and the attribute values. The order of
        rows counts. The contents of images, prompts and warnings are not part of it.
        """
        digest = hashlib.sha256()
        header = [self.dataset, self.class_names, self.attribute_names, self.rows.ids]
        digest.update(json.dumps(header, ensure_ascii=True).encode())
        digest.update(self.images_sha256.encode())
        columns = (self.rows.labels, self.rows.attributes, self.rows.splits, self.rows.subjects)
        for column in columns:
            if column is not None:
                digest.update(np.asarray(column, "<i4").tobytes())
        return digest.hexdigest()


def describe_splits(manifest: Manifest) -> dict[str, list[str]]:
    """Return the entry of the provenance with the drawn splits; empty if none was drawn."""
    drawn = list(manifest.drawn_splits)
    return {"drawn_splits": drawn} if drawn else {}


def make_rows(
    ids: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    attributes: Sequence[int] | np.ndarray,
    splits: Sequence[int] | np.ndarray,
    subjects: Sequence[int] | np.ndarray | None = None,
) -> Rows:
    """Return a `Rows` made of columns of any integer type, all of length n.

    Labels, attributes and subjects become int32, splits int8. Nothing is checked.

    Args:
        ids: id of each image.
        labels: class index of each row.
        attributes: index of the attribute value of each row.
        splits: 0 train, 1 val, 2 test.
        subjects: number of the subject of each row; None if there are no subjects.
    """
    return Rows(
        ids=tuple(ids),
        labels=np.asarray(labels, np.int32),
        attributes=np.asarray(attributes, np.int32),
        splits=np.asarray(splits, np.int8),
        subjects=None if subjects is None else np.asarray(subjects, np.int32),
    )
