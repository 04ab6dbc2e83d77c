"""Warnings about readable images, from the notes that decoding makes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from clip_cfr.extract.images.bit_depth import needed_bits
from clip_cfr.extract.images.notes import NoteKind, Notes, merge_notes
from clip_cfr.extract.images.settings import DecodeSettings


@dataclass
class ImageWarnings:
    """Collects the notes of batches and reports each kind once.

    Attributes:
        settings: settings of decoding.
        message: callback receiving each line for the user.
        notes: the notes so far.
        reported: kinds that have been reported.
    """

    settings: DecodeSettings
    message: Callable[[str], None] = field(repr=False)
    notes: Notes = field(default_factory=dict)
    reported: set[NoteKind] = field(default_factory=set)

    def add(self, notes: Notes) -> None:
        """Add the notes of a batch.

        A range that makes images dark is reported at once, so that a long run can be stopped.
        """
        self.notes = merge_notes(self.notes, notes)
        if NoteKind.DEEP in notes:
            self.report(NoteKind.DEEP)

    def finish(self) -> list[str]:
        """Report the kinds that have not been reported, and return the warnings of all kinds."""
        for kind in NoteKind:
            self.report(kind)
        texts = [warn_of_notes(kind, self.notes, self.settings) for kind in NoteKind]
        return [text for text in texts if text]

    def report(self, kind: NoteKind) -> None:
        """Send `warning: TEXT` for a kind, if there is a warning and it has not been sent."""
        text = warn_of_notes(kind, self.notes, self.settings)
        if text and kind not in self.reported:
            self.reported.add(kind)
            self.message(f"warning: {text}")


def warn_of_notes(kind: NoteKind, notes: Notes, settings: DecodeSettings) -> str | None:
    """Return the warning about the notes of a kind; None if there is nothing to warn of.

    The range of 16-bit images is worth a warning only if the largest value is below half of white.

    Args:
        kind: the kind.
        notes: the notes of all images.
        settings: settings of decoding, whose bit depth decides which value is white.
    """
    if kind not in notes:
        return None
    tally, white = notes[kind], 2**settings.bit_depth - 1
    images = f"{tally.count:,} image{'s' if tally.count > 1 else ''} (the first is {tally.first})"
    if kind is NoteKind.UNREADABLE_EXIF:
        return f"{images}: EXIF data that cannot be read; taken as upright"
    if kind is NoteKind.NO_WINDOW:
        return f"{images}: DICOM without a window; scaled to the range of its own values"
    if kind is NoteKind.CLIPPED:
        return (
            f"{images}: 16-bit values up to {tally.largest:,}; all above {white:,} become white "
            f"with --bit-depth {settings.bit_depth}"
        )
    if 2 * tally.largest >= white:
        return None
    bits = needed_bits(tally.largest)
    return (
        f"{images}: 16-bit values up to {tally.largest:,} only, where {white:,} is white, so they "
        f"are encoded dark; if they use {bits} bits, run again with --bit-depth {bits} --overwrite"
    )
