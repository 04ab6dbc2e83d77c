"""The interface between extraction and the engine that runs it: this machine, or a cluster."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from clip_cfr.extract.encoders.base import Features, Model
from clip_cfr.extract.images.notes import Notes
from clip_cfr.extract.images.preprocessing import Preprocessing
from clip_cfr.extract.images.read import PixelReader
from clip_cfr.extract.images.settings import DecodeSettings
from clip_cfr.extract.manifest.manifest import Manifest


@dataclass(frozen=True)
class EncodingRequest:
    """The rows to encode, and how to batch them.

    Attributes:
        manifest: all rows of the job, also those that are encoded already.
        rows: indices, in the manifest, of the rows that are not encoded yet.
        batch_size: rows per batch; the last batch may be smaller.
        microbatch_size: images that pass through the encoder together; less than the batch size
            after memory ran out.
        workers: processes that decode images; None lets the engine choose.
        decoding: settings of decoding.
    """

    manifest: Manifest
    rows: range
    batch_size: int
    microbatch_size: int
    workers: int | None
    decoding: DecodeSettings = field(default_factory=DecodeSettings)

    def batches(self) -> list[range]:
        """Return the row indices of each batch, in row order."""
        rows, size = self.rows, self.batch_size
        return [range(first, min(first + size, rows.stop)) for first in rows[::size]]

    def reader(self, preprocessing: Preprocessing) -> PixelReader:
        """Return a reader of manifest rows as pixels with a model's preprocessing."""
        return PixelReader(self.manifest.images, preprocessing, self.decoding)


@dataclass(frozen=True)
class EncodedBatch:
    """The features of a batch.

    Attributes:
        first_row: index of its first row in the manifest.
        features: features of its rows (batch, dim), float32.
        microbatch_size: images that passed through the encoder together.
        errors: error message of each image that could not be read, by row index. Such an image is
            encoded as a black one: the batch keeps its shape, so the other rows keep their bits.
        notes: observations about the other images.
    """

    first_row: int
    features: Features
    microbatch_size: int
    errors: dict[int, str]
    notes: Notes = field(default_factory=dict)

    @property
    def rows(self) -> range:
        """Indices of the batch's rows in the manifest."""
        return range(self.first_row, self.first_row + len(self.features))


class Engine(Protocol):
    """Decodes and encodes images; the caller writes the results and reports progress."""

    def choose_batch_size(self, model: Model) -> int:
        """Return a batch size that fits the memory of the model's device."""

    def encode_batches(
        self, model: Model, request: EncodingRequest, message: Callable[[str], None]
    ) -> Iterator[EncodedBatch]:
        """Yield the batches of a request in row order; close the generator to stop early.

        Args:
            model: the model, which must be one of this engine.
            request: the rows to encode.
            message: callback receiving each line for the user.

        Raises:
            ExtractError: the engine cannot continue. An image that cannot be read is no error: see
                `EncodedBatch.errors`.
        """
