"""The command demo: its last line; test_signals.py has its end."""

from pathlib import Path

from click.testing import CliRunner

from clip_cfr.calibrate.commands import demo
from clip_cfr.cli import main


def test_the_last_line_can_be_pasted(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(demo, "run_command", lambda *words: None)
    out = tmp_path / "my demo"
    result = CliRunner().invoke(main, ["demo", "--out", str(out)])
    assert result.output == (
        f"cache: {out}/digits.h5, run: {out}/run; look at them with: "
        f"clip-cfr info '{out}/digits.h5'\n"
    )
