"""What an extraction asks of whatever runs it: this machine, or many."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from clip_cfr.extract.encoders.base import Features, Model
from clip_cfr.extract.manifest.manifest import Manifest


@dataclass(frozen=True)
class Work:
    """The rows to encode, and in what portions.

    Attributes:
        rows: numbers of the rows in the manifest that are still to do.
        batch_size: rows of a batch; the last may have fewer.
        size: images that go through the encoder together, fewer than a batch where memory ran out.
        workers: processes that decode; None takes what suits.
    """

    manifest: Manifest
    rows: range
    batch_size: int
    size: int
    workers: int | None

    def batches(self) -> list[range]:
        """The rows of each batch."""
        rows, size = self.rows, self.batch_size
        return [range(first, min(first + size, rows.stop)) for first in rows[::size]]


@dataclass(frozen=True)
class Encoded:
    """A batch of features.

    Attributes:
        start: the number of its first row in the manifest.
        size: images that went through the encoder together.
        errors: row number to what is wrong with its image; its features are those of a black one,
            which keeps the batch's shape and with it the rounding of the other rows.
    """

    start: int
    features: Features
    size: int
    errors: dict[int, str]


class Engine(Protocol):
    """Decodes and encodes; whoever calls it keeps the results and tells of them."""

    def fitting_batch_size(self, model: Model) -> int:
        """A size that fits where the model is."""

    def encoded(self, model: Model, work: Work, say: Callable[[str], None]) -> Iterator[Encoded]:
        """The batches of the work in their order; close it to stop early.

        Raises:
            ExtractError: what runs it has failed, beyond repair.
        """
