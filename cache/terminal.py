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
    """Reconfigure `sys.stdout` and `sys.stderr` so that printing a line rarely raises an error.

    Both replace the characters that their encoding lacks, see `substitute`. `sys.stderr` becomes a
    stream that drops text if it is closed, full, or a pipe without a reader, because only progress
    and notes are printed there. Failing to write to standard output still raises OSError.
    Standard descriptors that are closed are opened on the null device.
    """
    reserve_closed_streams()
    codecs.register_error(ERRORS, substitute)
    sys.stderr = dropping_stream(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ERRORS)


def dropping_stream(stream: TextIO | None) -> TextIO:
    """Return a line-buffered stream that writes to `stream` and ignores the OSError of a write.

    Returns:
        The null device if `stream` is None; `stream` itself if it is not backed by a file.
    """
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # With PYTHONUNBUFFERED there is no buffer.
    if not isinstance(raw, io.FileIO):
        return stream
    dropping = io.BufferedWriter(DroppingFile(raw, stream))
    return io.TextIOWrapper(dropping, stream.encoding, ERRORS, line_buffering=True)


def flush_or_discard_output() -> None:
    """Flush `sys.stdout`; if that raises OSError, replace it by the null device.

    Python would otherwise write the rest again at exit, and report the error.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def reserve_closed_streams() -> None:
    """Open the null device for each of the file descriptors 0, 1 and 2 that is closed.

    The next opened file would otherwise get this descriptor, and the messages of libraries.
    """
    for descriptor in STANDARD_STREAMS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # Takes the lowest descriptor that is free.


def substitute(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks; an error handler for `codecs.register_error`.

    The characters of the program's tables become ASCII signs (`±` becomes `+/-`), all others
    backslash escapes (`é` becomes `\\xe9`).

    Returns:
        The ASCII replacement, and the index of the next character to encode.

    Raises:
        UnicodeError: the given error, if it is not a UnicodeEncodeError.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(SUBSTITUTES)
    return text.encode("ascii", "backslashreplace").decode(), error.end


class DroppingFile(io.RawIOBase):
    """A writable raw file that reports data as written if writing them raises OSError.

    Args:
        file: the raw file to write to.
        owner: the text stream of `file`; a reference keeps it from being deleted, which would close
            the file.
    """

    def __init__(self, file: io.FileIO, owner: TextIO):
        self.file, self.owner = file, owner

    def write(self, data) -> int:
        """Return the number of bytes written, or of all bytes if they are dropped."""
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
        """The fixed name `<stderr>`, as Python calls the stream."""
        return "<stderr>"
