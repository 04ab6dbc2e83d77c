"""Duration and peak memory of commands that run as a user starts them."""

import sys

import pytest

from clip_cfr.calibrate.bench.runs import CommandLine
from clip_cfr.calibrate.core.errors import CalibrationError

PRINT = 'import json, sys; print(json.dumps({"words": sys.argv[1:]}))'


def test_a_run_has_output_and_duration(tmp_path):
    run = CommandLine((sys.executable, "-c", PRINT), tmp_path).run("info", tmp_path / "a.h5")
    assert run.output == {"words": ["info", str(tmp_path / "a.h5"), "--json"]}
    assert run.seconds > 0


def test_peak_memory_is_that_of_the_command(tmp_path):
    use = "x = bytearray({} << 20); x[::4096] = x[::4096]; print({{}})"
    few, many = (CommandLine((sys.executable, "-c", use.format(mb)), tmp_path) for mb in (1, 200))
    assert many.run().rss_mb - few.run().rss_mb == pytest.approx(199 * 1.048576, rel=0.05)


def test_a_failed_command_is_an_error_with_its_last_line(tmp_path):
    words = (sys.executable, "-c", "raise SystemExit('no such cache')")
    with pytest.raises(CalibrationError) as error:
        CommandLine(words, tmp_path).run("info")
    assert str(error.value) == f"{' '.join(words)} info --json: exit code 1: no such cache"
