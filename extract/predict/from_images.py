"""Predict images: load the run's model, then decode and encode in batches."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clip_cfr.cache.runs.run import Run
from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.encoders.devices import choose_device
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.recorded_model import find_model_of_run
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.engines.base import EncodedBatch, EncodingRequest
from clip_cfr.extract.engines.local import LocalEngine
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.image_warnings import ImageWarnings
from clip_cfr.extract.images.batches import without_resume
from clip_cfr.extract.images.decode import without_remedy
from clip_cfr.extract.images.notes import NoteKind
from clip_cfr.extract.images.settings import FULL_BIT_DEPTH, DecodeSettings
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.not_finite import explain_not_finite
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.predict.classifier import Prediction, RunClassifier
from clip_cfr.extract.predict.listed_images import ListedImages
from clip_cfr.extract.predict.same_model import find_difference
from clip_cfr.extract.progress import ProgressReporter

# The bit depth is that of the run: notes on the range of 16-bit images ask for nothing.
REPORTED_NOTES = (NoteKind.UNREADABLE_EXIF, NoteKind.NO_WINDOW)


def load_run_encoder(directory: Path, run: Run, spec: EncoderSpec, dim: int) -> Encoder:
    """Load the encoder that made the features of a run, and check that it is the same.

    Args:
        directory: the run folder.
        run: its contents; the provenance of its cache names a model.
        spec: model and compute settings. An empty model is that of the run, as `find_model_of_run`
            finds it; the compute type `auto` is that of the run too, where the device has it.
        dim: width of the features that the head takes.

    Raises:
        ExtractError: the run has no model of images, or its model is gone, or the loaded model has
            other weights, another architecture or another preprocessing.
    """
    expected = run.provenance["cache"]
    if "image_processor" not in expected:
        raise ExtractError(
            f"{directory}: the run was calibrated on imported features, whose model and "
            "preprocessing are not recorded; name a cache of such features as INPUT"
        )
    model, revision = find_model_of_run(directory, run, spec.model)
    dtype = choose_dtype(spec, expected.get("compute_dtype", "auto"))
    encoder = load_encoder(replace(spec, model=model, revision=revision, dtype=dtype))
    found = encoder.provenance() | {"bit_depth": expected.get("bit_depth", FULL_BIT_DEPTH)}
    difference = find_difference(expected, found)
    if difference is None and encoder.dim != dim:
        difference = f"features, dim: expected {dim}, found {encoder.dim}"
    if difference is not None:
        raise ExtractError(
            f"model {found['model']}: {difference}; the run {directory} needs the model that it "
            f"was calibrated with, {expected['model']}: name its folder with --model"
        )
    return encoder


def choose_dtype(spec: EncoderSpec, recorded: str) -> str:
    """Return the compute type of a spec, or for `auto` that of a run.

    A CPU that lacks float16, the compute type of a GPU, chooses its own.
    """
    if spec.dtype != "auto":
        return spec.dtype
    on_cpu = choose_device(spec.device, "auto").type == "cpu"
    return "auto" if on_cpu and recorded == "float16" else recorded


@contextlib.contextmanager
def nothing_to_resume() -> Iterator[None]:
    """Convert an ExtractError of the block whose message promises to resume, which `extract` can.

    Other exceptions, and the rest of the message, propagate unchanged.
    """
    try:
        yield
    except ExtractError as error:
        raise ExtractError(without_resume(str(error))) from error


@dataclass(frozen=True)
class ImagePredictor:
    """Predicts images.

    Attributes:
        encoder: the run's model.
        classifier: the run's head.
        decoding: settings of decoding.
        options: batch size, workers, and whether unreadable images are skipped.
        reporter: receives progress and messages.
    """

    encoder: Encoder
    classifier: RunClassifier
    decoding: DecodeSettings
    options: ExtractOptions
    reporter: ProgressReporter

    def predict(self, listed: ListedImages) -> Iterator[Prediction]:
        """Yield the prediction of each image in order, batch after batch.

        Raises:
            ExtractError: an image cannot be read and is not skipped, features are not finite, or
                the engine cannot continue.
        """
        manifest, engine = listed.to_manifest(), LocalEngine()
        batch_size = self.options.batch_size or engine.choose_batch_size(self.encoder)
        request = EncodingRequest(
            manifest=manifest,
            rows=range(len(listed.names)),
            batch_size=batch_size,
            microbatch_size=batch_size,
            workers=self.options.workers,
            decoding=self.decoding,
        )
        warnings = ImageWarnings(self.decoding, self.reporter.message)
        batches = engine.encode_batches(self.encoder, request, self.reporter.message)
        with contextlib.closing(batches), nothing_to_resume():
            for batch in batches:
                self.check_batch(manifest, batch)
                warnings.add({k: v for k, v in batch.notes.items() if k in REPORTED_NOTES})
                yield from self.predict_batch(manifest, batch)
                self.reporter.advance(len(batch.rows))
        warnings.finish()

    def predict_batch(self, manifest: Manifest, batch: EncodedBatch) -> Iterator[Prediction]:
        """Yield the prediction of each row of a batch; unreadable images are reported."""
        names = [manifest.rows.ids[row] for row in batch.rows]
        predictions = self.classifier.predict(names, batch.features)
        for row, prediction in zip(batch.rows, predictions, strict=True):
            if row not in batch.errors:
                yield prediction
                continue
            error = without_remedy(batch.errors[row])
            self.reporter.message(f"skipped: {error}")
            yield Prediction(prediction.image, error=error.removeprefix(f"{prediction.image}: "))

    def check_batch(self, manifest: Manifest, batch: EncodedBatch) -> None:
        """Raise ExtractError if an image is unreadable and not skipped, or features not finite."""
        if batch.errors and not self.options.skip_unreadable:
            raise ExtractError(next(iter(batch.errors.values())))
        finite = np.isfinite(batch.features).all(axis=1)
        finite[[row - batch.first_row for row in batch.errors]] = True
        if not finite.all():
            name = manifest.rows.ids[batch.first_row + int(np.argmin(finite))]
            raise ExtractError(explain_not_finite(self.encoder, f"features of {name}"))
