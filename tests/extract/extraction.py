"""Extractions in tests: a reporter that records, and an extraction that is interrupted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clip_cfr.extract.encoders.base import Model
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract_manifest


class RecordingReporter:
    """Records progress and messages.

    Attributes:
        lines: the messages.
        started: arguments of `start`: first row and number of rows.
        saved: number of rows of each saved batch.
    """

    def __init__(self, after: int | None = None, call: Callable[[], None] | None = None):
        """Call `call` once `after` batches are saved."""
        self.after, self.call = after, call
        self.lines: list[str] = []
        self.started: tuple[int, int] | None = None
        self.saved: list[int] = []

    def start(self, first_row: int, num_rows: int) -> None:
        self.started = (first_row, num_rows)

    def advance(self, num_rows: int) -> None:
        self.saved.append(num_rows)
        if len(self.saved) == self.after:
            self.call()

    def message(self, line: str) -> None:
        self.lines.append(line)


def interrupt_extraction(
    manifest: Manifest, model: Model, out: Path, options: ExtractOptions, after: int = 2
) -> None:
    """Start an extraction and interrupt it, as Ctrl-C does, once `after` batches are saved."""
    reporter = RecordingReporter(after, raise_interrupt)
    with pytest.raises(KeyboardInterrupt):
        extract_manifest(manifest, model, out, options, reporter=reporter)


def raise_interrupt() -> None:
    """Raise the exception of Ctrl-C."""
    raise KeyboardInterrupt
