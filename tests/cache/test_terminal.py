"""Streams that replace what they cannot encode, and drop what they cannot write."""

import io
import os
import subprocess
import sys

import pytest

from clip_cfr.cache.terminal import ERRORS, dropping_stream, make_streams_safe


@pytest.fixture
def streams(monkeypatch):
    """Make the standard streams safe, in memory and in ASCII; return the output's."""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), "ascii"))
    make_streams_safe()
    return sys.stdout


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"Kr\\xe4he 93.1 +/- 0.2, a ... \\u732b"),
        ("cp1252", b"Kr\xe4he 93.1 \xb1 0.2, a \x85 \\u732b"),
        ("utf-8", "Krähe 93.1 ± 0.2, a … 猫".encode()),
    ],
)
def test_characters_that_an_encoding_lacks_are_replaced(streams, encoding, shown):
    assert "Krähe 93.1 ± 0.2, a … 猫".encode(encoding, ERRORS) == shown


def test_standard_output_keeps_its_encoding(streams):
    print("±", end="", flush=True, file=streams)
    assert streams.buffer.getvalue() == b"+/-"


def test_bytes_that_are_not_text_stay_an_error(streams):
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", ERRORS)


def test_what_a_closed_pipe_does_not_take_is_dropped(streams):
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as pipe:
        stream = dropping_stream(pipe)
        os.close(reading)
        print("lost", file=stream, flush=True)
        assert stream.fileno() == writing
        assert not stream.isatty()


def test_what_an_open_pipe_takes_is_written(streams):
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as out, open(writing, "w", encoding="utf-8") as pipe:
        print("kept", file=dropping_stream(pipe))
        assert out.readline() == "kept\n"


def test_files_are_not_opened_in_place_of_closed_streams(tmp_path):
    code = (
        "import os, sys; from clip_cfr.cache.terminal import make_streams_safe; "
        "make_streams_safe(); file = open(sys.argv[1], 'w'); print(file.fileno(), file=file)"
    )
    path = tmp_path / "first"
    words = [sys.executable, "-c", code, str(path)]
    subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], check=True)
    assert int(path.read_text()) > 2
