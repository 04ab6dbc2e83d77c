"""Read rows of a manifest as pixel arrays: read the file, decode it, preprocess it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY, DecodedImage, decode
from clip_cfr.extract.images.notes import Notes, Tally, merge_notes
from clip_cfr.extract.images.preprocessing import Preprocessing
from clip_cfr.extract.images.settings import DecodeSettings
from clip_cfr.extract.manifest.image_source import ImageSource

# Of an image of 20 megapixels, decoded.
USUAL_BYTES = 64 << 20
# One row of a manifest: its index, and its name in error messages.
NamedRow = tuple[int, str]


def read_image(
    images: ImageSource, row: int, name: str, settings: DecodeSettings | None = None
) -> Image.Image:
    """Read and decode the image of a row to mode RGB, upright; thread-safe.

    Args:
        images: reads the file of a row.
        row: index of the row.
        name: the image's name in error messages.
        settings: settings of decoding; None for the defaults.

    Raises:
        ExtractError: the file cannot be read or decoded.
        MemoryError: the image does not fit in memory.
    """
    return read_decoded(images, row, name, settings or DecodeSettings()).image


def read_decoded(
    images: ImageSource, row: int, name: str, settings: DecodeSettings
) -> DecodedImage:
    """Read and decode the image of a row, and return it with notes; see `read_image`."""
    try:
        raw = images.read(row)
    except OSError as error:
        raise ExtractError(
            f"{name}: the file cannot be read ({error.strerror}); {REMEDY}"
        ) from error
    return decode(raw, name, settings)


@dataclass(frozen=True)
class ReadReport:
    """Errors and notes from reading rows. The sum of two reports covers the rows of both.

    Attributes:
        errors: error message of each row that could not be read, by row index.
        notes: observations about the other rows.
    """

    errors: dict[int, str] = field(default_factory=dict)
    notes: Notes = field(default_factory=dict)

    def __add__(self, other: "ReadReport") -> "ReadReport":
        return ReadReport(self.errors | other.errors, merge_notes(self.notes, other.notes))


@dataclass(frozen=True)
class PixelReader:
    """Reads rows of a manifest as pixels; picklable, because worker processes hold copies.

    Attributes:
        images: reads the image of a row.
        preprocessing: how an image becomes pixels.
        settings: settings of decoding.
    """

    images: ImageSource
    preprocessing: Preprocessing
    settings: DecodeSettings = field(default_factory=DecodeSettings)

    def read(
        self, rows: Sequence[NamedRow]
    ) -> tuple[UInt8[np.ndarray, "n side side 3"], ReadReport]:
        """Return the pixels of rows, black where an image cannot be read, and a report.

        Raises:
            MemoryError: memory is short; the message names the image.
        """
        side = self.preprocessing.side
        pixels = np.empty((len(rows), side, side, 3), np.uint8)
        return pixels, self.read_into(pixels, rows)

    def read_into(
        self, pixels: UInt8[np.ndarray, "n side side 3"], rows: Sequence[NamedRow]
    ) -> ReadReport:
        """Read rows into `pixels` in place, black where an image cannot be read.

        Returns:
            The errors and notes.

        Raises:
            MemoryError: memory is short; the message names the image.
        """
        report = ReadReport()
        for index, (row, name) in enumerate(rows):
            try:
                notes = self.read_row(pixels[index], row, name)
            except ExtractError as error:
                pixels[index] = 0
                report += ReadReport(errors={row: str(error)})
            else:
                if notes:
                    report += ReadReport(notes=notes)
        return report

    def read_row(self, pixels: UInt8[np.ndarray, "side side 3"], row: int, name: str) -> Notes:
        """Read one row into `pixels` in place, and return the notes on it.

        Raises:
            ExtractError: the image cannot be read, or does not fit in memory although one of usual
                size would.
            MemoryError: memory is short; the message names the image.
        """
        try:
            decoded = read_decoded(self.images, row, name, self.settings)
            pixels[...] = self.preprocessing.apply(decoded.image)
        except MemoryError as error:
            if is_memory_short():
                raise MemoryError(f"{name} cannot be decoded") from error
            raise ExtractError(f"{name}: the image does not fit in memory; {REMEDY}") from error
        return {note.kind: Tally(1, name, note.value) for note in decoded.notes}


def is_memory_short() -> bool:
    """Return whether this process cannot allocate 64 MiB, as an image of 20 megapixels takes."""
    try:
        np.empty(USUAL_BYTES, np.uint8)
    except MemoryError:
        return True
    return False
