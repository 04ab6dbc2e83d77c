"""Samples of archives that a list names by their ids."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from clip_cfr.cache.wording import agree
from clip_cfr.extract.datasets.archives.samples import Samples
from clip_cfr.extract.datasets.common.find_list import read_given_list
from clip_cfr.extract.datasets.common.folders import IMAGE_ENDINGS, compose, ending
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.tables.roles import FILENAME
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError

MISSING = -1


@dataclass(frozen=True)
class ListedSamples:
    """The entries of a list in the order of their samples.

    Attributes:
        table: the list; image names are replaced by the ids of the samples. Entries without a
            sample are last and keep their names.
        rows: index of the sample of each entry, MISSING if there is none.
        warnings: which samples and entries have no counterpart.
    """

    table: Table
    rows: Int64[np.ndarray, " n"]
    warnings: tuple[str, ...]


def match_list(samples: Samples, options: DatasetOptions) -> ListedSamples:
    """Read the list `options.metadata` and match its entries with samples by id.

    Entries are reordered to the order of their samples. Samples without an entry are not in the
    result.

    Args:
        samples: the samples.
        options: `metadata`, `columns` and `skip_missing` are used.

    Raises:
        ExtractError: the list is not valid, an entry has no sample and `options.skip_missing` is
            not set, or none has one.
    """
    folder = samples.archives.folder
    table = read_given_list(folder, options.metadata, options.columns)
    names = table.column(FILENAME)
    index = index_ids(samples)
    rows = np.array([find_sample(index, name) for name in names], np.int64)
    rows, warnings = match_numbers(samples, table, rows)
    warnings += check_missing(samples, table, rows, options)
    warnings += warn_of_unlisted(samples, table, rows)
    # Archives are read in their order.
    order = np.argsort(np.where(rows == MISSING, len(samples.ids), rows), kind="stable")
    table, rows = reorder(table, order), rows[order]
    ids = tuple(
        name if row == MISSING else samples.ids[row]
        for name, row in zip(table.column(FILENAME), rows.tolist(), strict=True)
    )
    columns = {**table.columns, table.find_column(FILENAME): ids}
    return ListedSamples(replace(table, columns=columns), rows, warnings)


def index_ids(samples: Samples) -> dict[str, int]:
    """Return the index of each sample by its id and by its other names.

    Other names are the id without the ending of an image, and with the archive's name and a slash
    in front. If samples share a name, an id has precedence over an id without ending, and that over
    an id with the archive's name; among equals the last sample is taken.
    """
    names = samples.archives.names
    pairs = zip(samples.ids, samples.archive_of.tolist(), strict=True)
    index = {f"{names[archive]}/{name}": row for row, (name, archive) in enumerate(pairs)}
    index |= {strip_image_ending(name): row for row, name in enumerate(samples.ids)}
    return index | {name: row for row, name in enumerate(samples.ids)}


def strip_image_ending(name: str) -> str:
    """Return a name without the ending of an image, if it has one: `a/b` for `a/b.jpg`."""
    return posixpath.splitext(name)[0] if ending(name) in IMAGE_ENDINGS else name


def find_sample(index: Mapping[str, int], name: str) -> int:
    """Return the index of the sample that an entry names, or MISSING.

    The entry may have the ending of an image, a path that is not in its shortest form, and another
    Unicode form.

    Args:
        index: index of a sample by its names, see `index_ids`.
        name: the image name in the list.
    """
    path = posixpath.normpath(name)
    stem = strip_image_ending(path)
    forms = (name, path, stem, compose(path), compose(stem))
    return next((index[form] for form in forms if form in index), MISSING)


def match_numbers(
    samples: Samples, table: Table, rows: Int64[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    """Match entries that lack the leading zeros of ids, as spreadsheets drop them.

    Only if all ids, without endings of images, are numbers of one length.

    Args:
        samples: the samples.
        table: the list.
        rows: index of the sample of each entry, MISSING if there is none.

    Returns:
        `rows` with the samples found, and a warning if there are any. `rows` is not changed in
        place.
    """
    stems = [strip_image_ending(name) for name in samples.ids]
    if (rows != MISSING).all() or len({len(stem) for stem in stems}) != 1:
        return rows, ()
    width, index = len(stems[0]), {stem: row for row, stem in enumerate(stems) if stem.isdecimal()}
    names = [strip_image_ending(name) for name in table.column(FILENAME)]
    padded = [name.zfill(width) if name.isdecimal() else "" for name in names]
    found = np.array([index.get(name, MISSING) for name in padded], np.int64)
    added = np.flatnonzero((rows == MISSING) & (found != MISSING))
    if len(index) < len(stems) or not len(added):
        return rows, ()
    first = added[0]
    return np.where(rows == MISSING, found, rows), (
        f"{table.path}: {len(added):,} of {len(rows):,} entries "
        f"{agree(len(added), 'lacks', 'lack')} the leading zeros of the samples: row "
        f"{table.row_numbers[first]} is {names[first]!r}, the sample is "
        f"{samples.ids[found[first]]!r}",
    )


def check_missing(
    samples: Samples, table: Table, rows: Int64[np.ndarray, " n"], options: DatasetOptions
) -> tuple[str, ...]:
    """Return one warning if entries have no sample and are kept as not valid; else none.

    Args:
        samples: the samples.
        table: the list.
        rows: index of the sample of each entry, MISSING if there is none.
        options: `skip_missing` is used.

    Raises:
        ExtractError: entries have no sample and `skip_missing` is not set, or no entry has one.
    """
    missing = np.flatnonzero(rows == MISSING)
    if not len(missing):
        return ()
    num_archives = len(samples.archives.paths)
    place = (
        "not in the archive" if num_archives == 1 else f"in none of the {num_archives:,} archives"
    )
    text = (
        f"{table.location(missing[0])}: the sample {table.column(FILENAME)[missing[0]]!r} is "
        f"{place} ({len(missing):,} of {len(rows):,} samples {agree(len(missing), 'is', 'are')} "
        "missing)"
    )
    if len(missing) == len(rows):
        example = f", which hold {samples.ids[0]!r}" if samples.ids else ""
        raise ExtractError(f"{text}; correct --root, now {samples.root}{example}, or the list")
    if not options.skip_missing:
        raise ExtractError(
            f"{text}; complete the archives, correct --root, shorten the list, or keep their rows "
            "as not valid with --on-error skip"
        )
    return (f"{text}; kept as not valid (--on-error skip)",)


def warn_of_unlisted(
    samples: Samples, table: Table, rows: Int64[np.ndarray, " n"]
) -> tuple[str, ...]:
    """Return one warning with the number and the first of the samples that the list does not name.

    Empty if it names all of them.
    """
    unlisted = np.ones(len(samples.ids), bool)
    unlisted[rows[rows != MISSING]] = False
    if not unlisted.any():
        return ()
    return (
        f"{table.path}: left out {int(unlisted.sum()):,} of {len(unlisted):,} samples that the "
        f"list does not name, the first is {samples.ids[unlisted.argmax()]!r}",
    )


def reorder(table: Table, order: Int64[np.ndarray, " n"]) -> Table:
    """Return the table with all of its entries in another order.

    Args:
        table: the list.
        order: index of the entry that comes to each position; a permutation.
    """
    indices = order.tolist()
    return replace(
        table,
        columns={name: tuple(map(v.__getitem__, indices)) for name, v in table.columns.items()},
        row_numbers=tuple(map(table.row_numbers.__getitem__, indices)),
        sources=tuple(map(table.sources.__getitem__, indices)) if table.sources else (),
    )
