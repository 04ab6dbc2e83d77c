"""Virtual features of a merged cache: they stay in the shards (see FORMAT.md).

HDF5's own virtual dataset reads zeros if a shard is missing, so features are never read through it.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from clip_cfr.cache.errors import CacheError, FieldError, error_context
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.hdf5_file import (
    REMEDY,
    check_storage,
    detect_damage,
    find_dataset,
    open_hdf5,
    read_content_digest,
)

# Name of the entry in the provenance.
MERGED_KEY = "merged"
MERGE_AGAIN = "restore it, or merge the shards again with merge --virtual --overwrite"


@dataclass(frozen=True)
class Source:
    """A shard that contains some rows of a merged cache.

    Attributes:
        path: the shard's file.
        sha256: digest of its contents, as `content_digest` returns it.
        num_rows: number of its rows.
    """

    path: Path
    sha256: str
    num_rows: int


class MergedRows:
    """Context manager for the features (n, dim) of consecutive shards, read when they are sliced.

    Only one shard is open at a time, so there may be thousands; leaving the context closes it.

    Attributes:
        sources: the shards in the order of their rows.
        bounds: index of the first row of each shard, and n at the end, (shards + 1,).
        shape: (n, dim).
        dtype: type of the features.
    """

    def __init__(self, sources: Sequence[Source], dim: int, dtype: np.dtype):
        self.sources, self.dtype = tuple(sources), dtype
        self.bounds = np.cumsum([0, *(source.num_rows for source in sources)])
        self.shape = (int(self.bounds[-1]), dim)
        # The open shard.
        self._index, self._data, self._stack = None, None, ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the rows (b, dim) of a slice, whose step must be 1; they may span shards.

        Raises:
            CacheError: a shard is missing, damaged or another file.
        """
        start, stop, _ = rows.indices(self.shape[0])
        found = np.empty((max(0, stop - start), self.shape[1]), self.dtype)
        first_row = start
        index = int(np.searchsorted(self.bounds, start, side="right")) - 1
        while first_row < stop:
            offset, next_row = int(self.bounds[index]), min(stop, int(self.bounds[index + 1]))
            block = self.read_shard(index, slice(first_row - offset, next_row - offset))
            found[first_row - start : next_row - start] = block
            first_row, index = next_row, index + 1
        return found

    def read_shard(self, index: int, rows: slice) -> np.ndarray:
        """Return rows (b, dim) of one shard.

        Args:
            index: position of the shard in `sources`.
            rows: slice of rows, relative to the first row of the shard.

        Raises:
            CacheError: the shard is missing, damaged or another file.
        """
        data = self.open_shard(index)
        with (
            error_context(self.sources[index].path, REMEDY),
            detect_damage(f"features, rows {rows.start} to {rows.stop - 1}"),
        ):
            return data[rows]

    def open_shard(self, index: int) -> h5py.Dataset:
        """Open a shard, check it (`open_source`) and return its features.

        The shard that was open before is closed; if it is the same one, it stays open.

        Raises:
            CacheError: the shard is missing, damaged or another file.
        """
        if index != self._index:
            self._stack.close()
            self._index, self._stack = None, ExitStack()
            opened = open_source(self.sources[index], self.shape[1], self.dtype)
            self._data = self._stack.enter_context(opened)
            self._index = index
        return self._data

    def check_sources(self) -> None:
        """Open every shard; raise CacheError if one is missing, damaged or another file.

        The features themselves are not read.
        """
        self.chunk_starts  # noqa: B018

    @cached_property
    def chunk_starts(self) -> np.ndarray:
        """The index of the first row of each chunk, ascending; every shard is opened once.

        A chunk does not span shards.
        """
        starts = [
            np.arange(first_row, first_row + source.num_rows, self.open_shard(index).chunks[0])
            for index, (first_row, source) in enumerate(
                zip(self.bounds[:-1].tolist(), self.sources, strict=True)
            )
        ]
        return np.concatenate(starts)


@contextmanager
def open_source(source: Source, dim: int, dtype: np.dtype) -> Iterator[h5py.Dataset]:
    """Yield the features of a shard, after checking that it is the file that was merged.

    Args:
        source: the shard, whose digest must be that of the file.
        dim: the expected width of the features.
        dtype: the expected type of the features.

    Raises:
        CacheError: the shard is missing, damaged or another file.
    """
    if not source.path.exists():
        raise CacheError(
            f"{source.path}: no such file, and a merged cache reads its features from it; "
            f"{MERGE_AGAIN}"
        )
    with open_hdf5(source.path) as file:
        found = read_content_digest(file)
        if found != source.sha256:
            raise CacheError(
                f"{source.path}: expected the file that was merged, with SHA-256 {source.sha256}, "
                f"found SHA-256 {found}; {MERGE_AGAIN}"
            )
        data = find_dataset(file, "features")
        if data is None:
            raise FieldError("features", "an HDF5 dataset of this name", "none")
        with detect_damage("features"):
            shape, found_dtype = data.shape, data.dtype
        if (shape, found_dtype) != ((source.num_rows, dim), dtype):
            raise FieldError(
                "features",
                f"shape {(source.num_rows, dim)} of {dtype}",
                f"shape {shape} of {found_dtype}",
            )
        check_storage("features", data)
        yield data


@contextmanager
def resolve_features(path: Path, cache: FeatureCache) -> Iterator[FeatureCache]:
    """Yield a cache whose virtual features are replaced by `MergedRows`, after opening all shards.

    A cache with other features is yielded as it is. The argument is not changed.

    Args:
        path: the file of the cache.
        cache: its contents; `features` is the HDF5 dataset in the open file.

    Raises:
        CacheError: a shard is missing, damaged or another file.
        FieldError: the list of shards in the provenance is malformed, or does not agree with the
            virtual HDF5 dataset.
    """
    with detect_damage("features"):
        virtual = cache.features.is_virtual
    if not virtual:
        yield cache
        return
    path, sources = find_sources(path, cache.provenance)
    _check_mapping(path, cache.features, sources)
    with MergedRows(sources, cache.features.shape[1], cache.features.dtype) as rows:
        rows.check_sources()
        yield replace(cache, features=rows)


def sources_from_provenance(path: Path, provenance: dict[str, Any]) -> list[Source]:
    """Return the shards in the entry `merged` of a provenance, in the order of their rows.

    The relative paths in the entry are joined to the folder of `path`. No file is opened.

    Raises:
        FieldError: the provenance has no list of shards, or one with an absolute path.
    """
    entries = provenance.get(MERGED_KEY)
    try:
        files = [Path(entry["file"]) for entry in entries]
        sources = [
            Source(path.parent / file, entry["sha256"], int(entry["num_rows"]))
            for file, entry in zip(files, entries, strict=True)
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise FieldError("provenance, merged", "the list of merged shards", entries) from error
    for file in files:
        if file.is_absolute():
            raise FieldError("provenance, merged", "relative paths of the shards", file)
    return sources


def find_sources(path: Path, provenance: dict[str, Any]) -> tuple[Path, list[Source]]:
    """Return the file to which the shards of a provenance are relative, and the shards.

    This is `path`. If it is a symbolic link and a shard is missing beside it, it is the target of
    the link, whether or not the shards are there.

    Raises:
        FieldError: as in `sources_from_provenance`.
    """
    sources = sources_from_provenance(path, provenance)
    if path.is_symlink() and not all(source.path.exists() for source in sources):
        path = path.resolve()
        sources = sources_from_provenance(path, provenance)
    return path, sources


def make_virtual_layout(path: Path, rows: MergedRows) -> h5py.VirtualLayout:
    """Return the layout of a virtual HDF5 dataset (n, dim) that maps the rows of all shards.

    Args:
        path: the file that will contain the dataset; the layout has paths relative to its folder.
        rows: the features of the shards.
    """
    layout = h5py.VirtualLayout(rows.shape, rows.dtype)
    for first_row, source in zip(rows.bounds[:-1].tolist(), rows.sources, strict=True):
        shape = (source.num_rows, rows.shape[1])
        name = _hdf5_name(path, source.path)
        layout[first_row : first_row + source.num_rows] = h5py.VirtualSource(
            name, "features", shape, rows.dtype
        )
    return layout


def relative_path(path: Path, source: Path) -> str:
    """Return the path of a shard relative to the folder of `path`, with forward slashes.

    Symbolic links among the folders are resolved, but not one in place of the shard's file. Neither
    file need exist.
    """
    # Resolve folders, but not the file: a symbolic link beside the merged file moves with it.
    target = source.parent.resolve() / source.name
    return Path(os.path.relpath(target, path.parent.resolve())).as_posix()


def _check_mapping(path: Path, data: h5py.Dataset, sources: Sequence[Source]) -> None:
    """Raise FieldError unless the virtual dataset maps the rows of all shards in order."""
    bounds = np.cumsum([0, *(source.num_rows for source in sources)]).tolist()
    expected = [
        (first, stop - 1, _hdf5_name(path, source.path))
        for (first, stop), source in zip(pairwise(bounds), sources, strict=True)
    ]
    with detect_damage("features"):
        found = [
            (*(corner[0] for corner in each.vspace.get_select_bounds()), each.file_name)
            for each in data.virtual_sources()
            if each.dset_name == "features"
        ]
    if sorted(found) != expected or data.shape[0] != bounds[-1]:
        raise FieldError("features", "the rows of the shards in provenance, merged", "other rows")


def _hdf5_name(path: Path, source: Path) -> str:
    """Return the relative path of a shard for HDF5, with %, the start of a pattern, doubled."""
    return relative_path(path, source).replace("%", "%%")
