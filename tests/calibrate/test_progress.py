"""The bar and the lines that show how far a calibration is."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress

from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.progress import BarReporter, LineReporter, count_steps, show_progress


@pytest.fixture
def bars():
    bars = Progress(console=Console(file=StringIO()))
    yield bars
    bars.stop()


def test_steps_are_counted_over_stages_and_seeds():
    settings = Settings(identification_steps=5, erm_steps=10, steps=20)
    assert count_steps(settings, ["zeroshot", "dfr"], 3) == {}
    assert count_steps(settings, ["zeroshot", "erm"], 3) == {"erm": 30}
    assert count_steps(settings, ["cfr"], 2) == {"identification": 10, "cfr": 40}


def test_a_shared_stage_that_tuning_changes_is_counted_besides_the_shared_one():
    settings = Settings(identification_steps=5, erm_steps=10, steps=20)
    tuned = {"erm": replace(settings, dropout=0.5), "cfr": replace(settings, lr=1e-2)}
    counts = {"erm": 40, "identification": 10, "cfr": 40}
    assert count_steps(settings, ["erm", "wise-ft", "cfr"], 2, tuned) == counts


def test_the_bar_is_full_when_every_stage_is_done(bars):
    reporter = BarReporter(bars)
    reporter.message("before training")
    reporter.start_training({"erm": 20, "cfr": 40})
    places = []
    for stage, steps in (("erm", 10), ("erm", 10), ("cfr", 20), ("cfr", 20)):
        for step in (steps // 2, steps):
            reporter.on_steps(stage, step, steps)
            places.append(bars.tasks[0].percentage)
    assert places == sorted(places)
    assert places[-1] == 100


def test_off_a_terminal_each_fit_is_one_line_and_steps_are_not_asked_for(capsys):
    with show_progress() as reporter:
        assert isinstance(reporter, LineReporter)
        assert reporter.on_steps is None
        reporter.start_fit("erm", 4)
        reporter.finish()
    assert capsys.readouterr().err == "seed 4: erm\n"
