"""From images to a feature cache: read, encode, append, until every row is there."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from cache.growing import GrowingCache
from extract.clip.encoder import ClipEncoder
from extract.errors import ExtractError
from extract.images import read_image
from extract.limit import limited
from extract.manifest import Manifest
from extract.prefetch import batches
from extract.progress import Progress
from extract.prompts import embed_texts
from extract.shards import part
from extract.summary import Summary, summarise
from extract.templates import TEMPLATES

Pixels = Float32[np.ndarray, "3 side side"]


@dataclass(frozen=True)
class ExtractOptions:
    """How to extract.

    Attributes:
        batch_size: rows that are encoded together, and saved together.
        workers: threads that read and decode images.
        skip_unreadable: keep the row of an image that cannot be read as not valid; otherwise stop
            there.
        features_dtype: how features are stored, `float16` or `float32`.
        templates: a name in `TEMPLATES`.
        limit: take only so many rows, spread over splits and groups.
        shard: index, from 1, and count: take only this one of so many equal parts of the rows.
        overwrite: replace a file that exists.
    """

    batch_size: int = 64
    workers: int = 4
    skip_unreadable: bool = False
    features_dtype: str = "float16"
    templates: str = "imagenet"
    limit: int | None = None
    shard: tuple[int, int] | None = None
    overwrite: bool = False


def extract(
    manifest: Manifest,
    encoder: ClipEncoder,
    out: Path,
    options: ExtractOptions,
    progress: Progress,
) -> Summary:
    """What was done; the cache of the manifest then lies at `out`.

    Killed at any moment, the same call goes on behind the last batch that was saved and ends with
    the same bits.

    Raises:
        ExtractError: an image cannot be read and is not to be skipped; a prompt is too long;
            there are more shards than rows.
        CacheError: `out` is finished or in use, or was begun with other settings.
    """
    manifest = manifest if options.limit is None else limited(manifest, options.limit)
    texts = embed_texts(manifest, TEMPLATES[options.templates], encoder.embed_texts)
    # The manifest's digest is that of the whole in every shard, so that shards can be joined.
    provenance = described(manifest, encoder, options)
    manifest, shard = part(manifest, options.shard)
    provenance |= shard
    tell_start(manifest, provenance, progress)
    began = time.monotonic()
    with GrowingCache(
        out,
        # Prompts are embedded anew each time; all else decides the bits of the features.
        job={key: value for key, value in provenance.items() if key != "templates"},
        num_rows=len(manifest.rows),
        dim=encoder.dim,
        dtype=options.features_dtype,
        overwrite=options.overwrite,
    ) as growing:
        first_row = growing.next_row
        grow(growing, manifest, encoder, options, progress)
        seconds = time.monotonic() - began
        created = {"created": datetime.now(UTC).isoformat(timespec="seconds")}
        growing.finish(manifest.dataset, manifest.rows, encoder.head(), texts, provenance | created)
    summary = summarise(out, manifest, growing.valid, provenance, first_row, seconds)
    for warning in summary.warnings[len(manifest.warnings) :]:
        progress.say(f"warning: {warning}")
    return summary


def described(manifest: Manifest, encoder: ClipEncoder, options: ExtractOptions) -> dict[str, Any]:
    """What the cache was made of and how, in JSON types."""
    return encoder.provenance() | {
        "manifest_sha256": manifest.sha256(),
        "limit": options.limit,
        "batch_size": options.batch_size,
        "templates": options.templates,
    }


def tell_start(manifest: Manifest, provenance: dict[str, Any], progress: Progress) -> None:
    """Says what will run where, and what the loader noticed."""
    for warning in manifest.warnings:
        progress.say(f"warning: {warning}")
    progress.say(
        f"{len(manifest.rows):,} images of {manifest.dataset}: {provenance['model']} in "
        f"{provenance['compute_dtype']} on {provenance['device']}"
    )


def grow(
    growing: GrowingCache,
    manifest: Manifest,
    encoder: ClipEncoder,
    options: ExtractOptions,
    progress: Progress,
) -> None:
    """Encodes and appends the rows that are still to do."""

    def read(row: int) -> Pixels | ExtractError:
        try:
            return encoder.preprocess(read_image(manifest.images, row, manifest.rows.ids[row]))
        except ExtractError as error:
            return error

    todo = range(growing.next_row, len(manifest.rows))
    if todo.start:
        progress.say(f"resuming at row {todo.start}")
    progress.start(todo.start, todo.stop)
    with contextlib.closing(batches(read, todo, options.batch_size, options.workers)) as loaded:
        for batch in loaded:
            for error in filter(is_error, batch):
                if not options.skip_unreadable:
                    raise ExtractError(f"{error} (the {growing.next_row} rows before are kept)")
                progress.say(f"skipped: {error}")
            growing.append(*encode(encoder, batch))
            progress.advance(len(batch))


def is_error(item: Pixels | ExtractError) -> bool:
    """Whether an image could not be read."""
    return isinstance(item, ExtractError)


def encode(
    encoder: ClipEncoder, batch: Sequence[Pixels | ExtractError]
) -> tuple[Float32[np.ndarray, "n dim"], Bool[np.ndarray, " n"]]:
    """The features of a batch, and which of its rows are valid.

    A blank image stands in for one that could not be read: the batch keeps its shape, and with it
    the rounding of the other rows.
    """
    blank = encoder.preprocess(encoder.blank())
    valid = np.array([not is_error(item) for item in batch])
    pixels = np.stack([blank if is_error(item) else item for item in batch])
    return encoder.encode(pixels), valid
