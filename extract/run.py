"""From images to a feature cache: read, encode, append, until every row is there."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.files.journal import read_unfinished_job
from clip_cfr.cache.write.resumable import ResumableWriter
from clip_cfr.extract.encoders.base import Model
from clip_cfr.extract.engines.base import Encoded, Engine, Work
from clip_cfr.extract.engines.local import LocalEngine
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY
from clip_cfr.extract.manifest.limit import limit_rows
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.manifest.shards import select_shard
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.progress import Progress
from clip_cfr.extract.prompts.embed import embed_prompts
from clip_cfr.extract.prompts.templates import TEMPLATES
from clip_cfr.extract.summary import Summary, summarise


def extract(
    manifest: Manifest,
    encoder: Model,
    out: Path,
    options: ExtractOptions,
    progress: Progress,
    engine: Engine | None = None,
) -> Summary:
    """What was done; the cache of the manifest then lies at `out`.

    `encoder` is one that the engine can run: an `Encoder` for that of this machine, which None
    stands for.

    Killed at any moment, the same call goes on behind the last batch that was saved and ends with
    the same bits.

    Raises:
        ExtractError: an image cannot be read and is not to be skipped; a prompt is too long;
            there are more shards than rows.
        CacheError: `out` is finished or in use, or was begun with other settings.
    """
    engine = engine or LocalEngine()
    manifest = manifest if options.limit is None else limit_rows(manifest, options.limit)
    texts = embed_prompts(manifest, TEMPLATES[options.templates], encoder.embed_texts)
    begun = read_unfinished_job(out)
    batch_size = options.batch_size or begun.get("batch_size")
    batch_size = batch_size or engine.fitting_batch_size(encoder)
    # The manifest's digest is that of the whole in every shard, so that shards can be joined.
    provenance = described(manifest, encoder, options, batch_size)
    if begun and not options.overwrite:
        refuse_changed(out, begun, provenance)
    manifest, shard = select_shard(manifest, options.shard)
    provenance |= shard
    tell_start(manifest, provenance, progress)
    began = time.monotonic()
    with ResumableWriter(
        out,
        # Prompts are embedded anew each time; all else decides the bits of the features.
        job={key: value for key, value in provenance.items() if key != "templates"},
        num_rows=len(manifest.rows),
        dim=encoder.dim,
        dtype=options.features_dtype,
        overwrite=options.overwrite,
    ) as growing:
        first_row = growing.next_row
        todo = range(growing.next_row, len(manifest.rows))
        size = growing.halved_batch_size or batch_size
        work = Work(manifest, todo, batch_size, size, options.workers)
        with contextlib.closing(engine.encoded(encoder, work, progress.say)) as encoded:
            grow(growing, encoded, work, options.skip_unreadable, progress)
        seconds = time.monotonic() - began
        provenance |= {"created": datetime.now(UTC).isoformat(timespec="seconds")}
        if growing.batch_size_halvings:
            provenance |= {"batch_size_halved": growing.batch_size_halvings}
        growing.finish(manifest.dataset, manifest.rows, encoder.head(), texts, provenance)
    summary = summarise(out, manifest, growing.valid, provenance, first_row, seconds)
    for warning in summary.warnings[len(manifest.warnings) :]:
        progress.say(f"warning: {warning}")
    return summary


def described(
    manifest: Manifest, encoder: Model, options: ExtractOptions, batch_size: int
) -> dict[str, Any]:
    """What the cache was made of and how, in JSON types."""
    return encoder.provenance() | {
        "manifest_sha256": manifest.sha256(),
        "limit": options.limit,
        "batch_size": batch_size,
        "templates": options.templates,
    }


def refuse_changed(out: Path, begun: dict[str, Any], provenance: dict[str, Any]) -> None:
    """Raises ExtractError where the job that is gone on with is one of another list of rows."""
    asked = ("limit", "manifest_sha256")
    same_limit, same_rows = (begun.get(name) == provenance[name] for name in asked)
    if same_limit and not same_rows:
        raise ExtractError(
            f"{out}: the data set is not the one that this was begun with: an image, a label, an "
            "attribute, a split, a name or the order has changed; put it back and run the same "
            "command again, for what is done is kept, or start anew with --overwrite"
        )


def tell_start(manifest: Manifest, provenance: dict[str, Any], progress: Progress) -> None:
    """Says what will run where, and what the loader noticed."""
    for warning in manifest.warnings:
        progress.say(f"warning: {warning}")
    progress.say(
        f"{len(manifest.rows):,} images of {manifest.dataset}: {provenance['model']} in "
        f"{provenance['compute_dtype']} on {provenance['device']}, in batches of "
        f"{provenance['batch_size']}"
    )


def grow(
    growing: ResumableWriter,
    encoded: Iterator[Encoded],
    work: Work,
    skip_unreadable: bool,
    progress: Progress,
) -> None:
    """Appends the rows that are still to do, batch by batch."""
    todo = work.rows
    if todo.start:
        progress.say(f"resuming at row {todo.start}")
    progress.start(todo.start, todo.stop)
    for batch in encoded:
        if batch.errors and skip_unreadable:
            refuse_vanished(work.manifest, readable_row(batch, growing.valid), growing.next_row)
        check_errors(batch, growing.next_row, skip_unreadable, progress)
        num_rows = len(batch.features)
        rows = range(batch.start, batch.start + num_rows)
        valid = np.array([row not in batch.errors for row in rows])
        smaller = batch.size if batch.size < work.batch_size else None
        growing.append(batch.features, valid, smaller)
        progress.advance(num_rows)


def check_errors(batch: Encoded, kept: int, skip: bool, progress: Progress) -> None:
    """Tells which images could not be read; an ExtractError where they are not to be skipped."""
    for error in batch.errors.values():
        if not skip:
            raise ExtractError(f"{error} (the {kept} rows before are kept)")
        progress.say(f"skipped: {error.removesuffix(f'; {REMEDY}')}")


def readable_row(batch: Encoded, valid: np.ndarray) -> int | None:
    """A row that could be read: the last one of a batch, else of those before it."""
    here = set(range(batch.start, batch.start + len(batch.features))) - batch.errors.keys()
    return max([*np.flatnonzero(valid)[-1:].tolist(), *here], default=None)


def refuse_vanished(manifest: Manifest, row: int | None, kept: int) -> None:
    """Raises ExtractError where a row that could be read cannot any more.

    Then it is not the images that are unreadable: a file system has gone away, and all rows from
    here on would be skipped.
    """
    if row is None:
        return
    try:
        manifest.images.read(row)
    except OSError as error:
        raise ExtractError(
            f"{manifest.rows.ids[row]}: could be read before and cannot now ({error.strerror}), "
            "so the folder of the images has gone away; bring it back and run the same command "
            f"again (the {kept} rows before are kept)"
        ) from error
