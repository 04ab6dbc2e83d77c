"""Features that stay in the shards they were merged from (see FORMAT.md)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from clip_cfr.cache.errors import CacheError, FieldError, located
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.hdf5_file import REMEDY, intact, opened, stored_digest

KEY = "merged"
AGAIN = "restore it, or join the shards again with merge --virtual --overwrite"


@dataclass(frozen=True)
class Source:
    """A cache that holds some rows of features: where it lies, its contents' digest, its rows."""

    path: Path
    sha256: str
    num_rows: int


class SourceRows:
    """A context in which slices of features (n, D) are read from sources, one after the other.

    One source is open at a time, so that there may be thousands.
    """

    def __init__(self, sources: Sequence[Source], dim: int, dtype: np.dtype):
        self.sources, self.dtype = tuple(sources), dtype
        self.bounds = np.cumsum([0, *(source.num_rows for source in sources)])
        self.shape = (int(self.bounds[-1]), dim)
        self._number, self._data, self._open = None, None, ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows start to stop - 1, (stop - start, dim).

        Raises:
            CacheError: names the source that is gone, another one, or damaged.
        """
        start, stop, _ = rows.indices(self.shape[0])
        found = np.empty((max(0, stop - start), self.shape[1]), self.dtype)
        number = int(np.searchsorted(self.bounds, start, side="right")) - 1
        for source in range(number, len(self.sources)):
            first, last = max(start, self.bounds[source]), min(stop, self.bounds[source + 1])
            if first >= last:
                break
            own = slice(int(first - self.bounds[source]), int(last - self.bounds[source]))
            found[first - start : last - start] = self.read(source, own)
        return found

    def read(self, number: int, rows: slice) -> np.ndarray:
        """Rows of one source, numbered within it."""
        data = self.data(number)
        with (
            located(self.sources[number].path, REMEDY),
            intact(f"features, rows {rows.start} to {rows.stop - 1}"),
        ):
            return data[rows]

    def check(self) -> None:
        """Raises CacheError where a source is gone or another file."""
        self.chunk_starts  # noqa: B018

    def data(self, number: int) -> h5py.Dataset:
        """The features in a source, which is opened and checked."""
        if number != self._number:
            self._open.close()
            self._number, self._open = None, ExitStack()
            source = self.sources[number]
            self._data = self._open.enter_context(opened_source(source, self.shape[1], self.dtype))
            self._number = number
        return self._data

    @cached_property
    def chunk_starts(self) -> np.ndarray:
        """The first row of every chunk of every source; each source is looked at."""
        starts = [
            np.arange(first, first + source.num_rows, self.data(number).chunks[0])
            for number, (first, source) in enumerate(
                zip(self.bounds[:-1].tolist(), self.sources, strict=True)
            )
        ]
        return np.concatenate(starts)


@contextmanager
def opened_source(source: Source, dim: int, dtype: np.dtype) -> Iterator[h5py.Dataset]:
    """A block with the features of a source, which is the very file that was merged."""
    if not source.path.exists():
        raise CacheError(f"{source.path}: no such file, and a merged cache needs it; {AGAIN}")
    with opened(source.path) as file:
        found = stored_digest(file)
        if found != source.sha256:
            raise CacheError(
                f"{source.path}: expected the file that was merged, of SHA-256 {source.sha256}, "
                f"found one of {found}; {AGAIN}"
            )
        with intact("features"):
            data = file["features"]
            kind, chunked = (data.shape, data.dtype), data.chunks and data.fletcher32
        if kind != ((source.num_rows, dim), dtype):
            raise FieldError("features", f"shape {(source.num_rows, dim)} of {dtype}", kind)
        if not chunked:
            raise FieldError("features", "chunks with checksums (fletcher32)", "none")
        yield data


@contextmanager
def resolved(path: Path, cache: FeatureCache) -> Iterator[FeatureCache]:
    """A block with a cache in an open file whose features are read from where they really are.

    HDF5 itself reads a source that is gone as zeros: so it is never asked to.

    Raises:
        CacheError: a source is gone or another file.
    """
    with intact("features"):
        virtual = cache.features.is_virtual
    if not virtual:
        yield cache
        return
    sources = sources_in(path, cache.provenance)
    check_mapping(path, cache.features, sources)
    with SourceRows(sources, cache.features.shape[1], cache.features.dtype) as rows:
        rows.check()
        yield replace(cache, features=rows)


def sources_in(path: Path, provenance: dict[str, Any]) -> list[Source]:
    """The sources that a provenance names, their paths relative to the file's folder."""
    entries = provenance.get(KEY)
    try:
        return [
            Source(path.parent / entry["file"], entry["sha256"], int(entry["num_rows"]))
            for entry in entries
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise FieldError("provenance, merged", "the sources of features", entries) from error


def check_mapping(path: Path, data: h5py.Dataset, sources: Sequence[Source]) -> None:
    """Raises FieldError where the virtual data set is not its sources one after the other."""
    expected, first = [], 0
    for source in sources:
        expected.append((first, first + source.num_rows - 1, source_name(path, source.path)))
        first += source.num_rows
    with intact("features"):
        found = [
            (*(corner[0] for corner in each.vspace.get_select_bounds()), each.file_name)
            for each in data.virtual_sources()
            if each.dset_name == "features"
        ]
    if sorted(found) != expected or data.shape[0] != first:
        raise FieldError("features", "the virtual rows of provenance, merged", "others")


def virtual_layout(path: Path, rows: SourceRows) -> h5py.VirtualLayout:
    """The virtual data set that a file at `path` holds instead of these rows."""
    layout = h5py.VirtualLayout(rows.shape, rows.dtype)
    for first, source in zip(rows.bounds[:-1].tolist(), rows.sources, strict=True):
        shape = (source.num_rows, rows.shape[1])
        name = source_name(path, source.path)
        layout[first : first + shape[0]] = h5py.VirtualSource(name, "features", shape, rows.dtype)
    return layout


def relative(path: Path, source: Path) -> str:
    """Where a source lies as seen from the folder of the file at `path`."""
    # Folders are resolved, the file itself is not: a link beside the merged file moves with it.
    place = source.parent.resolve() / source.name
    return Path(os.path.relpath(place, path.parent.resolve())).as_posix()


def source_name(path: Path, source: Path) -> str:
    """The relative path of a source as HDF5 wants it, for which % begins a pattern."""
    return relative(path, source).replace("%", "%%")
