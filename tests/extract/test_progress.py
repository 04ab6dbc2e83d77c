import os
import pty
import subprocess
import sys

import pytest

from clip_cfr.extract import progress
from clip_cfr.extract.progress import LineReporter, show_progress

BEFORE_START = """
from clip_cfr.extract.progress import show_progress
with show_progress() as reporter:
    reporter.message("loading a model")
"""
JOB = """
import time
from clip_cfr.extract.progress import show_progress
with show_progress() as reporter:
    reporter.message("resuming at row 100")
    reporter.start(100, 400)
    for _ in range(3):
        time.sleep(0.02)
        reporter.advance(100)
"""


def test_there_is_no_bar_without_a_terminal(capsys):
    with show_progress() as reporter:
        reporter.message("resuming at row 100")
        reporter.start(100, 400)
        reporter.advance(300)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "resuming at row 100\n")


def test_lines_show_rate_and_remaining_time(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    reporter = LineReporter()
    reporter.start(1000, 9000)
    for _ in range(4):
        now += 20
        reporter.advance(1000)
    assert capsys.readouterr().err.splitlines() == [
        "3,000 of 9,000 images, 50.0 images/s, 2 min left",
        "5,000 of 9,000 images, 50.0 images/s, 1 min left",
    ]


def run_on_terminal(code: str) -> str:
    """Return what a program writes to a terminal of 100 columns that is its standard error."""
    if not hasattr(os, "openpty"):
        pytest.skip("needs a pseudo-terminal")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, env=environment)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.stdout == b""
    return shown


def test_a_terminal_shows_a_bar_with_the_rate():
    shown = run_on_terminal(JOB)
    assert "resuming at row 100" in shown
    assert "400/400" in shown
    assert "images/s" in shown


def test_a_terminal_shows_messages_alone_before_the_job_starts():
    assert run_on_terminal(BEFORE_START) == "loading a model\r\n"
