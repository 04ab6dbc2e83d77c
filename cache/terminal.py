"""Standard output and error that neither a character nor a full or closed terminal can stop."""

import codecs
import io
import os
import sys
from typing import TextIO

# What stands for the characters of this program's tables in a terminal that lacks them; those of
# names and paths appear as in a Python string.
SUBSTITUTES = str.maketrans({"±": "+/-", "…": "...", "━": "-", "\N{MULTIPLICATION SIGN}": "x"})
ERRORS = "clip-cfr-substitute"
STANDARD_STREAMS = (0, 1, 2)


def make_streams_safe() -> None:
    """Keep a run from ending in an error about a line that it prints.

    Standard output and error replace the characters that their encoding lacks. Lines for standard
    error are dropped where it is closed, full, or a pipe that nobody reads: they are progress and
    notes. What cannot be written to standard output, the result, stays an error.
    """
    reserve_closed_streams()
    codecs.register_error(ERRORS, substitute)
    sys.stderr = dropping_stream(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ERRORS)


def dropping_stream(stream: TextIO | None) -> TextIO:
    """Return a stream that drops what `stream` cannot write; of none, the null device."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # With PYTHONUNBUFFERED there is no buffer.
    if not isinstance(raw, io.FileIO):
        return stream
    dropping = io.BufferedWriter(DroppingFile(raw, stream))
    return io.TextIOWrapper(dropping, stream.encoding, ERRORS, line_buffering=True)


def flush_or_discard_output() -> None:
    """Flush standard output; discard what it cannot write, which the exit would try again."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def reserve_closed_streams() -> None:
    """Open the null device for each standard stream that is closed.

    The next file would otherwise be opened in its place, and libraries write messages into it.
    """
    for descriptor in STANDARD_STREAMS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # Takes the lowest descriptor that is free.


def substitute(error: UnicodeError) -> tuple[str, int]:
    """Error handler of a codec: return a text for the characters that it cannot encode."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(SUBSTITUTES)
    return text.encode("ascii", "backslashreplace").decode(), error.end


class DroppingFile(io.RawIOBase):
    """An open file that drops what cannot be written to it."""

    def __init__(self, file: io.FileIO, owner: TextIO):
        """Wrap the file of a stream, which would close it when it is deleted."""
        self.file, self.owner = file, owner

    def write(self, data) -> int:
        try:
            return self.file.write(data)
        except OSError:
            return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.file.fileno()

    def isatty(self) -> bool:
        return self.file.isatty()

    @property
    def name(self) -> str:
        return "<stderr>"
