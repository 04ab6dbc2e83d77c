"""The Python API of the command `predict`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clip_cfr.cache.errors import FieldError, error_context
from clip_cfr.cache.runs.run import DAMAGED, Run, read_run
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.images.settings import (
    DEFAULT_MAX_PIXELS,
    FULL_BIT_DEPTH,
    DecodeSettings,
)
from clip_cfr.extract.import_torch import import_torch
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.predict.classifier import Prediction, RunClassifier, make_classifier
from clip_cfr.extract.predict.describe_head import describe_head
from clip_cfr.extract.predict.from_cache import check_cache, predict_cache
from clip_cfr.extract.predict.inputs import read_inputs
from clip_cfr.extract.predict.listed_images import ListedImages
from clip_cfr.extract.progress import LineReporter, ProgressReporter

ON_ERROR = ("fail", "skip")


@dataclass(frozen=True)
class Predictions:
    """Predictions that are computed while they are iterated over, once.

    Attributes:
        method: method of the head.
        seeds: seed of the head, or of all heads whose mean is taken.
        class_names: name of each class.
        head: the head and why it was chosen, as a line for the user.
        num_images: number of images.
        rows: the predictions, in the order of the inputs.
    """

    method: str
    seeds: tuple[int, ...]
    class_names: tuple[str, ...]
    head: str
    num_images: int
    rows: Iterator[Prediction] = field(repr=False)

    def __iter__(self) -> Iterator[Prediction]:
        return self.rows


def predict_images(
    run: str | Path,
    inputs: Sequence[str | Path],
    *,
    method: str | None = None,
    seed: int | None = None,
    seeds: str | None = None,
    model: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    on_error: str = "fail",
    reporter: ProgressReporter | None = None,
) -> Predictions:
    """Return the predictions of a run's head for new images, to iterate over.

    Inputs and model are checked before the first image is decoded. Images are decoded and encoded
    in batches, and caches read in chunks, so that memory does not grow with their number but by
    their names. A cache needs neither torch nor the model.

    Args:
        run: the folder that `calibrate --out` wrote.
        inputs: image files, folders of images at any depth, tar or zip archives, lists of paths, or
            caches of features of the same model.
        method: the method whose head predicts; None takes that of the recommended head.
        seed: the seed of the head; None takes that of the recommended head, or the method's first.
        seeds: `all` takes the mean of the probabilities of all seeds; None takes one seed.
        model: hub id, folder or weights file of the run's model; None takes the recorded one.
        device: `auto`, `cpu` or `cuda`.
        dtype: compute type; `auto` takes that of the run if the device has it.
        batch_size: images per batch; None takes as many as the device holds.
        workers: processes that decode images; None chooses.
        max_pixels: number of pixels above which an image is unreadable.
        on_error: at an unreadable image, `fail`, or `skip`: yield a prediction with the error.
        reporter: receives progress and messages; by default lines on standard error.

    Raises:
        OptionError: there is no input, or options do not go together.
        ExtractError: an input or the model cannot be used, or the model is not that of the run;
            while iterating, an image cannot be read.
        CacheError: the run folder is missing, damaged or has no such head; a cache cannot be used.
        ModuleNotFoundError: images are given, and a package that the model needs is not installed.
    """
    check_options(seed, seeds, on_error)
    directory, reporter = Path(run), reporter or LineReporter()
    contents = read_run(directory)
    classifier = make_classifier(directory, contents, method, seed, seeds == "all")
    expected = cache_provenance(directory, contents)
    parts = read_inputs([Path(each) for each in inputs], on_error == "skip")
    num_images = sum(
        len(part.names)
        if isinstance(part, ListedImages)
        else check_cache(part, expected, classifier.dim)
        for part in parts
    )
    options = ExtractOptions(
        batch_size=batch_size,
        workers=workers,
        skip_unreadable=on_error == "skip",
        max_pixels=max_pixels,
    )
    predictor = None
    if any(isinstance(part, ListedImages) for part in parts):
        spec = EncoderSpec(model or "", device=device, dtype=dtype)
        predictor = load_predictor(directory, contents, spec, classifier, options, reporter)
    return Predictions(
        method=classifier.heads[0].method,
        seeds=tuple(head.seed for head in classifier.heads),
        class_names=classifier.class_names,
        head=describe_head(directory, contents, classifier.heads, method is None),
        num_images=num_images,
        rows=iterate(parts, num_images, classifier, predictor, reporter),
    )


def check_options(seed: int | None, seeds: str | None, on_error: str) -> None:
    """Raise OptionError if options do not go together, or one has an unknown value."""
    if seeds not in (None, "all"):
        raise OptionError(f"--seeds is {seeds!r}, expected all; name one seed with --seed")
    if seeds is not None and seed is not None:
        raise OptionError(f"--seed {seed} and --seeds all: give one of them")
    if on_error not in ON_ERROR:
        raise OptionError(f"--on-error is {on_error!r}, expected one of {', '.join(ON_ERROR)}")


def cache_provenance(directory: Path, run: Run) -> Mapping[str, Any]:
    """Return the provenance of the cache that a run was calibrated on.

    Raises:
        CacheError: the run does not have it, or no model in it.
    """
    found = run.provenance.get("cache")
    with error_context(directory, DAMAGED):
        if not isinstance(found, dict) or not isinstance(found.get("model"), str):
            raise FieldError("provenance.json", "the model of the cache", found)
    return found


def load_predictor(
    directory: Path,
    run: Run,
    spec: EncoderSpec,
    classifier: RunClassifier,
    options: ExtractOptions,
    reporter: ProgressReporter,
):
    """Return the `ImagePredictor` of a run, with its model loaded; see `load_run_encoder`."""
    expected = run.provenance["cache"]
    reporter.message(f"loading {spec.model or expected['model']}")
    import_torch()
    from clip_cfr.extract.predict.from_images import ImagePredictor, load_run_encoder

    encoder = load_run_encoder(directory, run, spec, classifier.dim)
    bit_depth = expected.get("bit_depth", FULL_BIT_DEPTH)
    decoding = DecodeSettings(options.max_pixels, bit_depth)
    return ImagePredictor(encoder, classifier, decoding, options, reporter)


def iterate(
    parts: Sequence[ListedImages | Path],
    num_images: int,
    classifier: RunClassifier,
    predictor,
    reporter: ProgressReporter,
) -> Iterator[Prediction]:
    """Yield the predictions of all parts in order, and report warnings and progress.

    Args:
        parts: images, or paths of caches.
        num_images: number of images of all parts.
        classifier: the run's head.
        predictor: an `ImagePredictor`; None if there are only caches.
        reporter: receives progress and messages.
    """
    reporter.start(0, num_images)
    for part in parts:
        if not isinstance(part, ListedImages):
            yield from predict_cache(part, classifier, reporter)
            continue
        for warning in part.warnings:
            reporter.message(f"warning: {warning}")
        yield from predictor.predict(part)
