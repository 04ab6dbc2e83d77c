"""Index a tar archive: where the image of each sample is, and the text fields beside it.

Files whose paths are equal up to the first dot of the name are one sample, as in WebDataset:
`a/000012.jpg`, `a/000012.json` and `a/000012.cls` have the key `a/000012`.
"""

import os
import sys
import tarfile
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from clip_cfr.extract.datasets.common.folders import IMAGE_ENDINGS
from clip_cfr.extract.datasets.tables.roles import simplify
from clip_cfr.extract.datasets.webdataset.member_names import (
    is_climbing,
    is_leftover,
    normalize_name,
    split_name,
)
from clip_cfr.extract.datasets.webdataset.tar_members import (
    DamagedTarError,
    check_end,
    iterate_members,
    open_tar,
)
from clip_cfr.extract.datasets.webdataset.text_fields import TextFields
from clip_cfr.extract.errors import ExtractError

# Members from which the names of the fields are learnt.
PEEKED_MEMBERS = 300


@dataclass(frozen=True)
class ImageMember:
    """The position of an image in an archive.

    Attributes:
        offset, size: position and length of its bytes; both 0 if it cannot be read.
        error: why it cannot be read; empty if it can.
    """

    offset: int
    size: int
    error: str = ""


@dataclass
class Sample:
    """The members of an archive with one key.

    Attributes:
        images: image by ending, such as `jpg` or `mask.png`.
        fields: value of each text field that was read, by name.
    """

    images: dict[str, ImageMember] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class OpenIndex:
    """The samples of an archive that is being read.

    Attributes:
        path: the archive.
        tar: its reader.
        fields: the fields that are read.
        samples: sample by key, in the order of the archive.
        climbing: first path that leads out of the archive, or empty.
    """

    path: Path
    tar: tarfile.TarFile
    fields: TextFields
    samples: dict[str, Sample] = field(default_factory=dict)
    climbing: str = ""


@dataclass(frozen=True)
class TarIndex:
    """The samples of an archive that have an image, in the order of the archive.

    Attributes:
        path: the archive.
        state: its size in bytes and modification time in ns.
        keys: key of each sample.
        offsets, sizes: position and length of each image in bytes; 0 if it cannot be read.
        errors: why an image cannot be read, by the index of its sample.
        columns: values of each field; empty where a sample lacks it.
        without_image: keys of the samples without an image, which have no entry above.
        warnings: notes for the user on the archive.
    """

    path: Path
    state: tuple[int, int]
    keys: tuple[str, ...]
    offsets: Int64[np.ndarray, " n"]
    sizes: Int64[np.ndarray, " n"]
    errors: dict[int, str]
    columns: dict[str, tuple[str, ...]]
    without_image: tuple[str, ...]
    warnings: tuple[str, ...]


def index_tar(
    path: Path, fields: TextFields, image_ending: str | None = None, skip_damage: bool = False
) -> TarIndex:
    """Index the samples of an archive. Only its headers and the wanted fields are read.

    Args:
        path: the archive.
        fields: the wanted fields.
        image_ending: ending of the image, if samples have several.
        skip_damage: index the samples before the damage without the last one, which may be
            incomplete, and warn about it, instead of an error.

    Raises:
        DamagedTarError: the archive is damaged or truncated, and `skip_damage` is not set.
        ExtractError: the file is not an uncompressed tar archive, a field cannot be read, or a
            sample has several images of which none is chosen.
    """
    index, state, warnings = read_samples(path, fields, skip_damage)
    return close_index(index, state, image_ending, warnings)


def read_samples(
    path: Path, fields: TextFields, skip_damage: bool
) -> tuple[OpenIndex, tuple[int, int], tuple[str, ...]]:
    """Read the headers and the wanted fields of an archive.

    Args:
        path: the archive.
        fields: the wanted fields.
        skip_damage: as for `index_tar`.

    Returns:
        The samples, whose archive is closed; its size in bytes and modification time in ns; and
        notes for the user.

    Raises:
        DamagedTarError: the archive is damaged or truncated, and `skip_damage` is not set.
        ExtractError: the file is not an uncompressed tar archive, or a field cannot be read.
    """
    with open_tar(path) as tar:
        status = os.fstat(tar.fileobj.fileno())
        index = OpenIndex(path, tar, fields)
        try:
            for member in iterate_members(path, tar):
                add_member(index, member)
            warnings = check_end(path, tar)
        except DamagedTarError as error:
            if not skip_damage:
                raise
            warnings = (f"{str(error).partition(';')[0]}; left out the rest",)
            if index.samples:  # The last one is incomplete.
                index.samples.popitem()
    return index, (status.st_size, status.st_mtime_ns), (*warnings, *warn_of_climbing(index))


def peek_fields(path: Path, fields: TextFields) -> dict[str, str]:
    """Return the wanted fields of the first PEEKED_MEMBERS members, with the first value of each.

    Damage is ignored.

    Raises:
        ExtractError: the file is not an uncompressed tar archive, or a field cannot be read.
    """
    with open_tar(path) as tar:
        index = OpenIndex(path, tar, fields)
        # Damage is reported when the archive is indexed, if it is not skipped there.
        with suppress(DamagedTarError):
            for member in islice(iterate_members(path, tar), PEEKED_MEMBERS):
                add_member(index, member)
    found: dict[str, str] = {}
    for sample in index.samples.values():
        found = sample.fields | found
    return found


def add_member(index: OpenIndex, member: tarfile.TarInfo) -> None:
    """Add a member of the archive to the sample of its key in `index.samples`, in place.

    A later member replaces one of the same name. Folders, hidden files and names without a dot are
    left out, and so are fields that are not wanted.

    Raises:
        ExtractError: a wanted field is not valid.
    """
    name = normalize_name(member.name)
    key, ending = split_name(name)
    if member.isdir() or is_leftover(name) or not ending:
        return
    sample = index.samples.setdefault(key, Sample())
    if ending.rpartition(".")[2].lower() in IMAGE_ENDINGS:
        sample.images[ending] = locate_image(index, member)
        if not index.climbing and is_climbing(member.name):
            index.climbing = member.name
    else:
        sample.fields.update(index.fields.read(index.path, index.tar, member, ending))


def locate_image(index: OpenIndex, member: tarfile.TarInfo) -> ImageMember:
    """Return the position of the image of a member in its archive.

    A hard link to an earlier image has the position of that image. Other links, sparse files and
    devices have an `error`.
    """
    if member.islnk():
        key, ending = split_name(normalize_name(member.linkname))
        if key in index.samples and ending in index.samples[key].images:
            return index.samples[key].images[ending]
    if member.islnk() or member.issym():
        return ImageMember(0, 0, f"{member.name} in {index.path} is a link to {member.linkname}")
    if not member.isreg() or member.issparse():
        return ImageMember(0, 0, f"{member.name} in {index.path} is not a regular file")
    return ImageMember(member.offset_data, member.size)


def warn_of_climbing(index: OpenIndex) -> tuple[str, ...]:
    """Return one warning with the first image path that leads out of the archive.

    Empty if there is none.
    """
    if not index.climbing:
        return ()
    return (
        f"{index.path}: the path {index.climbing!r} leads out of the archive; ids are without its "
        "start",
    )


def close_index(
    index: OpenIndex, state: tuple[int, int], image_ending: str | None, warnings: tuple[str, ...]
) -> TarIndex:
    """Return the index of the samples that have been read.

    Args:
        index: the samples.
        state: size in bytes and modification time in ns of the archive.
        image_ending: ending of the image, if samples have several.
        warnings: notes for the user on the archive.

    Raises:
        ExtractError: a sample has several images of which none is chosen.
    """
    keys = tuple(key for key, sample in index.samples.items() if sample.images)
    samples = [index.samples[key] for key in keys]
    images = [
        choose_image(index.path, key, sample.images, image_ending)
        for key, sample in zip(keys, samples, strict=True)
    ]
    names = dict.fromkeys(name for sample in samples for name in sample.fields)
    return TarIndex(
        path=index.path,
        state=state,
        keys=keys,
        offsets=np.array([image.offset for image in images], np.int64),
        sizes=np.array([image.size for image in images], np.int64),
        errors={row: image.error for row, image in enumerate(images) if image.error},
        columns={
            name: tuple(sys.intern(sample.fields.get(name, "")) for sample in samples)
            for name in names
        },
        without_image=tuple(key for key, sample in index.samples.items() if not sample.images),
        warnings=warnings,
    )


def choose_image(
    path: Path, key: str, images: dict[str, ImageMember], ending: str | None
) -> ImageMember:
    """Return the image of a sample.

    It is the one with the chosen ending, else the only one, else the only one whose ending has no
    dot (`jpg` beside `mask.png`).

    Args:
        path: the archive, for messages.
        key: key of the sample, for messages.
        images: image by ending, at least one.
        ending: the chosen ending; its case and punctuation do not matter.

    Raises:
        ExtractError: none of these rules finds a single image.
    """
    chosen = [each for each in images if ending and simplify(each) == simplify(ending)]
    plain = [each for each in images if "." not in each]
    for endings in (chosen, list(images), plain):
        if len(endings) == 1:
            return images[endings[0]]
    raise ExtractError(
        f"{path}, sample {key}: there are {len(images)} images, with the endings "
        f"{', '.join(images)} after the first dot of the name; choose one with --columns "
        f"filename={plain[0] if plain else next(iter(images))}"
    )
