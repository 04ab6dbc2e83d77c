import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from clip_cfr.extract import progress
from clip_cfr.extract.progress import Lines, progress_on_stderr

ROOT = Path(__file__).parents[2]
SHOW = """
import time
from clip_cfr.extract.progress import progress_on_stderr
with progress_on_stderr() as shown:
    shown.say("resuming at row 100")
    shown.start(100, 400)
    for _ in range(3):
        time.sleep(0.02)
        shown.advance(100)
"""


def test_elsewhere_than_on_a_terminal_there_is_no_bar(capsys):
    with progress_on_stderr() as shown:
        shown.say("resuming at row 100")
        shown.start(100, 400)
        shown.advance(300)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "resuming at row 100\n")


def test_a_line_now_and_then_tells_rate_and_time_left(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    lines = Lines()
    lines.start(1000, 9000)
    for _ in range(4):
        now += 20
        lines.advance(1000)
    assert capsys.readouterr().err.splitlines() == [
        "3,000 of 9,000 images, 50.0 images/s, 2 min left",
        "5,000 of 9,000 images, 50.0 images/s, 1 min left",
    ]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_terminal_shows_a_bar_with_the_rate():
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], stderr=theirs, stdout=subprocess.PIPE, env=environment
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.stdout == b""
    assert "resuming at row 100" in shown
    assert "400/400" in shown
    assert "images/s" in shown
