"""Images in tar archives, as WebDataset and img2dataset write them.

The root is a folder of archives, one archive, or a pattern such as `shards/{000000..000999}.tar`.
Files of one sample share their path up to the first dot of the name, which is its `__key__`:

    000012.jpg                     the image, in any format that is read from files too
    000012.json                    {"label": "cat", "place": "outdoors", "split": "train", ...}
    000012.cls, 000012.split.txt   a value in a file of its own
    000012.txt                     a caption, or the label if there is no other and values repeat

The label may also come from a list by key (--metadata), and the split from the names of the
archives (`train-000000.tar`, `val/000000.tar`). `classnames.txt` beside the archives has the names
of numbers. Images are read in place, at offsets that a first pass over the headers finds.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.archives.archive_manifest import make_archive_manifest
from clip_cfr.extract.datasets.archives.find_archives import Archives, find_archives
from clip_cfr.extract.datasets.archives.sample_table import SYNONYMS
from clip_cfr.extract.datasets.archives.samples import Samples, make_unique_ids
from clip_cfr.extract.datasets.common.metadata_manifest import LIST_OPTIONS
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.tables.roles import FILENAME, LABEL, simplify
from clip_cfr.extract.datasets.tables.text import read_text
from clip_cfr.extract.datasets.webdataset.tar_index import TarIndex, index_tar, peek_fields
from clip_cfr.extract.datasets.webdataset.tar_source import TarImages
from clip_cfr.extract.datasets.webdataset.text_fields import TextFields
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.manifest import Manifest

OPTIONS = ("metadata", *LIST_OPTIONS)
# Compressed archives are found too, so that an error can name the remedy.
ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
EXAMPLE = "shards/{000000..000999}.tar"
CLASS_FIELD, TEXT_FIELD = "cls", "txt"
CLASS_NAMES = "classnames.txt"


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read the samples of tar archives; a row is a sample with an image.

    Only headers and small text members are read. With `skip_missing`, damaged archives are read up
    to the damage.

    Raises:
        ExtractError: there is no archive, one is compressed or damaged, or there are no labels.
        OptionError: an option does not fit.
    """
    archives = find_archives(root, ENDINGS, EXAMPLE)
    names, fields = choose_fields(archives, options)
    ending = None if options.metadata else (options.columns or {}).get(FILENAME.name)
    indices = [index_tar(path, fields, ending, options.skip_missing) for path in archives.paths]
    return make_archive_manifest(
        "webdataset", concatenate_indices(root, archives, indices, names), options
    )


def choose_fields(archives: Archives, options: DatasetOptions) -> tuple[Sequence[str], TextFields]:
    """Return the names of all fields of the first samples, and the fields to read.

    These are the fields with the name of a role and those that the user names. Captions (`.txt`)
    are read only if there is no other label, because they take much memory. Nothing is read if the
    labels come from a list (`options.metadata`).
    """
    if options.metadata is not None:
        return (), TextFields()
    columns = options.columns or {}
    wanted = {simplify(name) for role, name in columns.items() if role != FILENAME.name}
    wanted |= SYNONYMS | {CLASS_FIELD}
    found = peek_fields(
        archives.paths[0], TextFields(frozenset(wanted | {TEXT_FIELD}), all_json=True)
    )
    labels = frozenset().union(*LABEL.tiers()) | {CLASS_FIELD}
    if LABEL.name not in columns and not labels & set(map(simplify, found)):
        wanted.add(TEXT_FIELD)
    return tuple(found), TextFields(frozenset(wanted - {""}))


def concatenate_indices(
    root: Path, archives: Archives, indices: Sequence[TarIndex], names: Sequence[str]
) -> Samples:
    """Return the samples of all archives, archive after archive.

    Args:
        root: the root that the user gave.
        archives: the archives.
        indices: index of each archive.
        names: names of all fields, for messages.

    Raises:
        ExtractError: there is no sample with an image, one occurs twice, or the labels are
            captions.
    """
    sizes = [len(index.keys) for index in indices]
    if not sum(sizes):
        raise ExtractError(
            f"{root}: no archive holds an image (the first of {len(indices):,} is "
            f"{indices[0].path}); set --root to archives of images"
        )
    archive_of = np.repeat(np.arange(len(indices), dtype=np.int32), sizes)
    starts = np.cumsum([0, *sizes])
    offsets = np.concatenate([index.offsets for index in indices])
    lengths = np.concatenate([index.sizes for index in indices])
    images = TarImages(
        paths=archives.paths,
        states=tuple(index.state for index in indices),
        archives=archive_of,
        offsets=offsets,
        sizes=lengths,
        errors={
            int(start) + row: error
            for start, index in zip(starts, indices, strict=False)
            for row, error in index.errors.items()
        },
    )
    keys = [key for index in indices for key in index.keys]
    columns = concatenate_columns(indices)
    return Samples(
        root=root,
        archives=archives,
        archive_of=archive_of,
        ids=make_unique_ids(keys, archive_of, archives),
        fields=columns,
        field_names=names,
        images=images,
        positions=np.stack([offsets, lengths], axis=1),
        assigned=assign_label(root, columns, names),
        value_names=read_class_names(archives, columns),
        warnings=(
            *archives.warnings,
            *(warning for index in indices for warning in index.warnings),
            *warn_of_missing_images(indices),
        ),
    )


def concatenate_columns(indices: Sequence[TarIndex]) -> dict[str, tuple[str, ...]]:
    """Return the values of each field in all archives, one for each sample.

    They are the empty text where an archive lacks the field.
    """
    names = dict.fromkeys(name for index in indices for name in index.columns)
    return {
        name: tuple(
            value for index in indices for value in index.columns.get(name, ("",) * len(index.keys))
        )
        for name in names
    }


def assign_label(
    root: Path, columns: dict[str, tuple[str, ...]], names: Sequence[str]
) -> dict[str, str]:
    """Return `{"label": "cls"}` or `{"label": "txt"}` if the labels are in such files, else `{}`.

    They are if no field has the name of a label; `.cls` takes precedence.

    Args:
        root: the root, for messages.
        columns: values of each field.
        names: names of all fields, for messages.

    Raises:
        ExtractError: `.txt` would be the label, but most of its texts differ, as captions do.
    """
    if any(simplify(name) in tier for name in columns for tier in LABEL.tiers()):
        return {}
    if CLASS_FIELD in columns:
        return {LABEL.name: CLASS_FIELD}
    if TEXT_FIELD not in columns:
        return {}
    texts = columns[TEXT_FIELD]
    if len(set(texts)) > len(texts) / 2:
        raise ExtractError(
            f"{root}: no field of the samples is called label, and .txt holds "
            f"{len(set(texts)):,} different texts for {len(texts):,} samples, as captions do; the "
            f"fields are {', '.join(names)}: name the one to take with --columns label=FIELD, or "
            "give a list of keys and labels with --metadata"
        )
    return {LABEL.name: TEXT_FIELD}


def read_class_names(
    archives: Archives, columns: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Return the lines of `classnames.txt` for each field that may be the label.

    The file is beside the archives or in the folder above; its first line is the name of class 0.

    Returns:
        Names by field, such as `{"cls": ("cat", "dog")}`; empty if there is no such file.

    Raises:
        ExtractError: the file cannot be read as text.
    """
    folders = (archives.folder, archives.folder.parent)
    path = next((each / CLASS_NAMES for each in folders if (each / CLASS_NAMES).is_file()), None)
    if path is None:
        return {}
    names = tuple(line.strip() for line in read_text(path).splitlines() if line.strip())
    labels = frozenset().union(*LABEL.tiers()) | {CLASS_FIELD}
    return {name: names for name in columns if simplify(name) in labels}


def warn_of_missing_images(indices: Sequence[TarIndex]) -> tuple[str, ...]:
    """Return one warning with the number and the first of the samples without an image.

    Empty if all have one.
    """
    missing = [(index.path, key) for index in indices for key in index.without_image]
    if not missing:
        return ()
    path, key = missing[0]
    total = len(missing) + sum(len(index.keys) for index in indices)
    return (
        f"{path}: the sample {key!r} has no image; left out "
        f"{count_noun(len(missing), 'such sample')} of "
        f"{total:,}",
    )
