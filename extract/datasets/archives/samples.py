"""The samples of archives: ids, text fields, and where the images are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64

from clip_cfr.extract.datasets.archives.find_archives import Archives
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import ImageSource


@dataclass(frozen=True)
class Samples:
    """Samples in the order of their archives.

    Attributes:
        root: the root that the user gave, for messages.
        archives: the archives.
        archive_of: index of the archive of each sample.
        ids: id of each sample, each once.
        fields: values, one for each sample, of the fields that may be labels, attributes, splits or
            subjects; empty text where a sample lacks the field.
        field_names: names of all fields, for messages.
        images: reads the image of a sample.
        positions: position of each image in its archive, as numbers such as offset and length.
        assigned: field of a role by the name of the role, where the archives determine it.
        value_names: names of the numbers 0, 1 ... of a field, by field, where the archives have
            them.
        warnings: notes for the user on how they were read.
    """

    root: Path
    archives: Archives
    archive_of: Int32[np.ndarray, " n"]
    ids: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]
    field_names: Sequence[str]
    images: ImageSource
    positions: Int64[np.ndarray, "n numbers"]
    assigned: Mapping[str, str] = field(default_factory=dict)
    value_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def make_unique_ids(
    keys: Sequence[str], archive_of: Int32[np.ndarray, " n"], archives: Archives
) -> tuple[str, ...]:
    """Return the keys if each occurs once, otherwise `ARCHIVE/KEY` for all of them.

    Args:
        keys: key of each sample.
        archive_of: index of the archive of each sample.
        archives: the archives.

    Raises:
        ExtractError: a key occurs twice in archives of one name.
    """
    if len(set(keys)) == len(keys):
        return tuple(keys)
    names = archives.names
    ids = tuple(
        f"{names[archive]}/{key}" for archive, key in zip(archive_of.tolist(), keys, strict=True)
    )
    if len(set(ids)) < len(ids):
        name, count = Counter(ids).most_common(1)[0]
        raise ExtractError(
            f"{archives.paths[archive_of[ids.index(name)]]}: the sample {name!r} occurs {count} "
            "times, expected each once; leave one of the archives out of --root, or rename it"
        )
    return ids
