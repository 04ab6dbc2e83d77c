"""The command demo: its last lines; test_signals.py has its end."""

import sys
from pathlib import Path

from click.testing import CliRunner

from clip_cfr.calibrate.commands import demo
from clip_cfr.cli import main


def test_the_last_line_can_be_pasted(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(demo, "run_command", lambda *words, out=None: None)
    out = tmp_path / "my demo"
    result = CliRunner().invoke(main, ["demo", "--out", str(out)])
    assert result.output == (
        f"cache: {out}/digits.h5, run: {out}/run; look at them with: "
        f"clip-cfr info '{out}/digits.h5'\n"
    )


def test_the_demo_ends_with_the_report(tmp_path: Path, monkeypatch):
    commands = []
    monkeypatch.setattr(demo, "run_command", lambda *words, out=None: commands.append((words, out)))
    CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert [words[0] for words, _ in commands] == ["extract", "calibrate", "explain", "report"]
    assert commands[2][0][-4:] == ("--split", "train", "--top", 3)
    assert commands[-1][1] == tmp_path / "report.html"


def test_without_plotly_the_demo_names_the_extra(tmp_path: Path, monkeypatch):
    commands = []
    monkeypatch.setattr(demo, "run_command", lambda *words, out=None: commands.append(words[0]))
    monkeypatch.setitem(sys.modules, "plotly", None)
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert commands == ["extract", "calibrate", "explain"]
    assert result.output.startswith(
        "a page with plots of this run needs: pip install 'clip-cfr[report]'\ncache: "
    )
