"""Encode the images of a manifest into a cache, batch by batch, resuming an unfinished job."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from clip_cfr.cache.files.journal import read_unfinished_job
from clip_cfr.cache.format.schema import Texts, Vocabulary
from clip_cfr.cache.wording import count_noun
from clip_cfr.cache.write.resumable import ResumableWriter
from clip_cfr.extract.encoders.base import Model
from clip_cfr.extract.engines.base import EncodedBatch, EncodingRequest, Engine
from clip_cfr.extract.engines.local import LocalEngine
from clip_cfr.extract.equal_classes import warn_of_equal_classes
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.image_warnings import ImageWarnings
from clip_cfr.extract.images.bit_depth import choose_decode_settings
from clip_cfr.extract.images.decode import without_remedy
from clip_cfr.extract.images.settings import FULL_BIT_DEPTH, DecodeSettings
from clip_cfr.extract.manifest.file_states import check_files_unchanged, digest_file_states
from clip_cfr.extract.manifest.limit import limit_rows
from clip_cfr.extract.manifest.manifest import Manifest, describe_splits
from clip_cfr.extract.manifest.shards import select_shard
from clip_cfr.extract.not_finite import check_head_and_texts, explain_not_finite
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.progress import ProgressReporter, SilentReporter
from clip_cfr.extract.prompts.embed import embed_other_prompts, embed_prompts
from clip_cfr.extract.prompts.templates import TEMPLATE_SETS, TEMPLATES
from clip_cfr.extract.summary import Summary, count_splits
from clip_cfr.extract.unreadable import (
    check_still_readable,
    describe_kept,
    find_readable_row,
    warn_of_unreadable,
)
from clip_cfr.extract.words.embed import embed_vocabulary
from clip_cfr.extract.words.vocabulary import DEFAULT_TEMPLATES, read_default_vocabulary

# Entries of the provenance that do not determine the features of a job.
NOT_OF_JOB = ("templates", "drawn_splits")


@dataclass(frozen=True)
class ExtractionJob:
    """An extraction whose open options have been resolved.

    Attributes:
        manifest: the rows to extract: the data set after limit and shard.
        model: a model that the engine can run.
        engine: decodes and encodes the images.
        out: path of the cache.
        options: options of the extraction.
        batch_size: rows per batch.
        decoding: settings of decoding.
        texts: prompts of the data set and their embeddings.
        provenance: model, data set and settings, in JSON types.
        reporter: receives progress and messages.
    """

    manifest: Manifest
    model: Model
    engine: Engine
    out: Path
    options: ExtractOptions
    batch_size: int
    decoding: DecodeSettings
    texts: Texts
    provenance: dict[str, Any]
    reporter: ProgressReporter


def extract_manifest(
    manifest: Manifest,
    model: Model,
    out: Path,
    options: ExtractOptions,
    *,
    reporter: ProgressReporter | None = None,
    engine: Engine | None = None,
) -> Summary:
    """Encode the images of a manifest into the cache `out` and return a summary.

    If the process is killed at any moment, the same call resumes after the last saved batch and
    produces the same bits.

    Args:
        manifest: the whole data set.
        model: a model that the engine can run: an `Encoder` for the default engine.
        out: path of the cache.
        options: options of the extraction.
        reporter: receives progress and messages; None ignores them.
        engine: decodes and encodes the images; None does so in this process and its workers.

    Raises:
        ExtractError: an image cannot be read and is not skipped, a prompt is too long, features or
            embeddings are not finite, the data set or the file of an encoded image has changed
            since the unfinished job started, or there are more shards than rows.
        CacheError: `out` is finished, is being written by another process, or has an unfinished job
            with other settings.
    """
    if options.limit is not None:
        manifest = limit_rows(manifest, options.limit)
    texts = embed_prompts(manifest, TEMPLATES[options.templates], model.embed_texts)
    others = {k: each for k, each in TEMPLATE_SETS.items() if k != options.templates}
    texts = replace(texts, other_prompts=embed_other_prompts(manifest, others, model.embed_texts))
    check_head_and_texts(model, texts)
    equal = warn_of_equal_classes(manifest.dataset, texts.class_names, texts.class_embeddings)
    manifest = replace(manifest, warnings=(*manifest.warnings, *equal))
    engine = engine or LocalEngine()
    unfinished = {} if options.overwrite else read_unfinished_job(out)
    batch_size = (
        options.batch_size or unfinished.get("batch_size") or engine.choose_batch_size(model)
    )
    decoding = choose_decode_settings(manifest.images, manifest.rows.ids, options, unfinished)
    # A shard records the digest of the whole manifest, so that merge can compare shards.
    provenance = describe_job(manifest, model, options, batch_size, decoding)
    if unfinished:
        check_same_rows(out, unfinished, provenance)
    manifest, shard = select_shard(manifest, options.shard)
    job = ExtractionJob(
        manifest=manifest,
        model=model,
        engine=engine,
        out=out,
        options=options,
        batch_size=batch_size,
        decoding=decoding,
        texts=texts,
        provenance=provenance | shard,
        reporter=reporter or SilentReporter(),
    )
    return run_job(job)


def describe_job(
    manifest: Manifest,
    model: Model,
    options: ExtractOptions,
    batch_size: int,
    decoding: DecodeSettings,
) -> dict[str, Any]:
    """Return, in JSON types, how the cache is made: provenance of the model, rows and settings.

    The bit depth is included only if it is below 16, and drawn splits if there are any.

    Args:
        manifest: all rows after the limit, of all shards.
        model: the model.
        options: options of the extraction.
        batch_size: rows per batch.
        decoding: settings of decoding.
    """
    # Not recorded where it is the full range, as in files of earlier versions.
    is_full = decoding.bit_depth == FULL_BIT_DEPTH
    bit_depth = {} if is_full else {"bit_depth": decoding.bit_depth}
    return (
        model.provenance()
        | bit_depth
        | {
            "manifest_sha256": manifest.sha256(),
            "limit": options.limit,
            "batch_size": batch_size,
            "templates": options.templates,
        }
        | describe_splits(manifest)
    )


def embed_default_words(model: Model, reporter: ProgressReporter) -> Vocabulary | None:
    """Return the default vocabulary with its embeddings by the text tower.

    None if the text tower takes fewer tokens than a word has; then a message says so. The words
    change neither the features nor the settings of the job.
    """
    words = read_default_vocabulary()
    reporter.message(f"embedding {count_noun(len(words), 'word')}")
    try:
        return embed_vocabulary(model, words, DEFAULT_TEMPLATES)
    except ExtractError as error:
        reporter.message(f"no words are stored: {error}")
        return None


def check_same_rows(out: Path, unfinished: dict[str, Any], provenance: dict[str, Any]) -> None:
    """Raise ExtractError if the manifest differs from that of the unfinished job.

    Jobs with different limits are not compared: their rows differ for this reason, and the writer
    refuses such a job.

    Args:
        out: path of the cache, for the message.
        unfinished: the unfinished job in the journal.
        provenance: that of the job to run, from `describe_job`.
    """
    names = ("limit", "manifest_sha256")
    same_limit, same_rows = (unfinished.get(name) == provenance[name] for name in names)
    if same_limit and not same_rows:
        raise ExtractError(
            f"{out}: the data set has changed since the unfinished job started: an image, label, "
            "attribute, split, name or the order of rows differs; restore it and run the same "
            "command again to resume, or start again with --overwrite"
        )


def run_job(job: ExtractionJob) -> Summary:
    """Encode the rows that are not saved yet, finish the cache and return a summary.

    Raises:
        ExtractError: an image cannot be read and is not skipped, features are not finite, or a file
            has changed since the unfinished job started.
        CacheError: the cache is finished, is being written by another process, or has an unfinished
            job with other settings.
    """
    report_start(job)
    started = time.monotonic()
    image_warnings = ImageWarnings(job.decoding, job.reporter.message)
    with make_writer(job) as writer:
        check_files_unchanged(job.manifest, writer.resumed_files)
        first_row = writer.next_row
        encode_rows(job, writer, image_warnings)
        seconds = time.monotonic() - started
        finish_cache(job, writer)
    of_images, of_splits = image_warnings.finish(), warn_of_unreadable(job.manifest, writer.valid)
    for warning in of_splits:
        job.reporter.message(f"warning: {warning}")
    return summarize(job, writer.valid, first_row, seconds, [*of_images, *of_splits])


def summarize(
    job: ExtractionJob,
    valid: Bool[np.ndarray, " n"],
    first_row: int,
    seconds: float,
    warnings: Sequence[str],
) -> Summary:
    """Return the summary of a finished job.

    Args:
        job: the job.
        valid: whether each row could be read.
        first_row: index of the row at which this run resumed.
        seconds: duration of this run.
        warnings: warnings of this run, which follow those of the manifest.
    """
    rows = job.manifest.rows
    return Summary(
        cache=str(job.out),
        dataset=job.manifest.dataset,
        model=job.provenance["model"],
        device=job.provenance["device"],
        compute_dtype=job.provenance["compute_dtype"],
        rows=count_splits(rows.splits),
        unreadable=tuple(rows.ids[row] for row in np.flatnonzero(~valid)),
        resumed_at=first_row,
        seconds=round(seconds, 3),
        images_per_second=round((len(rows) - first_row) / seconds, 1),
        warnings=(*job.manifest.warnings, *warnings),
    )


def report_start(job: ExtractionJob) -> None:
    """Report the warnings of the manifest, and what will be computed and how.

    The line is such as `4,795 images of waterbirds: MODEL in float16 on DEVICE, in batches of 256`.
    """
    for warning in job.manifest.warnings:
        job.reporter.message(f"warning: {warning}")
    provenance = job.provenance
    job.reporter.message(
        f"{count_noun(len(job.manifest.rows), 'image')} of {job.manifest.dataset}: "
        f"{provenance['model']} in {provenance['compute_dtype']} on {provenance['device']}, in "
        f"batches of {job.batch_size}"
    )
    if job.options.bit_depth == "auto":
        job.reporter.message(
            f"--bit-depth auto: the values of 16-bit images use {job.decoding.bit_depth} bits"
        )


def make_writer(job: ExtractionJob) -> ResumableWriter:
    """Return the writer of the cache; entering its context starts the file or resumes its job."""
    return ResumableWriter(
        job.out,
        # Prompts are embedded again in each run, and the digest of the manifest covers the splits;
        # everything else determines the features.
        job={key: value for key, value in job.provenance.items() if key not in NOT_OF_JOB},
        num_rows=len(job.manifest.rows),
        dim=job.model.dim,
        dtype=job.options.features_dtype,
        overwrite=job.options.overwrite,
    )


def encode_rows(job: ExtractionJob, writer: ResumableWriter, image_warnings: ImageWarnings) -> None:
    """Encode the rows that are not saved yet, append them to the writer and report the progress.

    Args:
        job: the job.
        writer: the open writer, which knows the first row and the micro-batch size of a resumed
            job.
        image_warnings: receives the notes of each batch.

    Raises:
        ExtractError: an image cannot be read and is not skipped, features are not finite, or the
            engine cannot continue.
    """
    first_row, num_rows = writer.next_row, len(job.manifest.rows)
    request = EncodingRequest(
        manifest=job.manifest,
        rows=range(first_row, num_rows),
        batch_size=job.batch_size,
        microbatch_size=writer.halved_batch_size or job.batch_size,
        workers=job.options.workers,
        decoding=job.decoding,
    )
    if first_row:
        job.reporter.message(f"resuming at row {first_row}")
    job.reporter.start(first_row, num_rows)
    batches = job.engine.encode_batches(job.model, request, job.reporter.message)
    with contextlib.closing(batches):
        for batch in batches:
            if batch.errors:
                handle_unreadable(job, batch, writer)
            image_warnings.add(batch.notes)
            append_batch(job, batch, writer)
            job.reporter.advance(len(batch.rows))


def handle_unreadable(job: ExtractionJob, batch: EncodedBatch, writer: ResumableWriter) -> None:
    """Report the unreadable images of a batch that has some.

    Raises:
        ExtractError: unreadable images are not skipped (names the first), or the folder of the
            images has disappeared.
    """
    if not job.options.skip_unreadable:
        first_error = next(iter(batch.errors.values()))
        raise ExtractError(f"{first_error} ({describe_kept(writer.next_row)})")
    row = find_readable_row(batch, writer.valid)
    if row is not None:
        check_still_readable(job.manifest, row, writer.next_row)
    for error in batch.errors.values():
        job.reporter.message(f"skipped: {without_remedy(error)}")


def append_batch(job: ExtractionJob, batch: EncodedBatch, writer: ResumableWriter) -> None:
    """Save a batch, with the state of its files and its micro-batch size if that was halved.

    Rows with errors are saved as not valid.

    Raises:
        ExtractError: features of a valid row are not finite.
    """
    valid = np.array([row not in batch.errors for row in batch.rows])
    finite = np.isfinite(batch.features).all(axis=1) | ~valid
    if not finite.all():
        name = job.manifest.rows.ids[batch.first_row + int(np.argmin(finite))]
        raise ExtractError(explain_not_finite(job.model, f"features of {name}"))
    smaller = batch.microbatch_size if batch.microbatch_size < job.batch_size else None
    files = digest_file_states(job.manifest.images, batch.rows)
    writer.append(batch.features, valid, smaller, files)


def finish_cache(job: ExtractionJob, writer: ResumableWriter) -> None:
    """Write the finished cache, with the time and the halved batch sizes in its provenance."""
    provenance = job.provenance | {"created": datetime.now(UTC).isoformat(timespec="seconds")}
    if writer.batch_size_halvings:
        provenance |= {"batch_size_halved": writer.batch_size_halvings}
    rows = job.manifest.rows
    # At the end, so that an interrupted job does not embed them at each start.
    vocabulary = embed_default_words(job.model, job.reporter) if job.options.words else None
    writer.finish(job.manifest.dataset, rows, job.model.head(), job.texts, provenance, vocabulary)
