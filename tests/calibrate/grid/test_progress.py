"""What is said on standard error while a grid runs."""

import re
from io import StringIO

import pytest
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import Progress as RichProgress

from clip_cfr.calibrate.grid.progress import Bar, Progress, duration, progress_on_stderr
from tests.calibrate.grid.test_leaderboard import make_plan, make_trial

TRIALS = {
    0: make_trial(0, val=(0.5, 0.75), test=(0.5, 0.5), lr=1e-4),
    1: make_trial(1, TrialState.FAIL, reason="seed 0: CFR diverged"),
    2: make_trial(2, TrialState.PRUNED, reason="stopped at step 2 of 6"),
}


def lines(capsys) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_every_point_is_told_once_with_the_time_that_is_left(capsys):
    with progress_on_stderr(make_plan(), {}) as progress:
        progress.update({0: TRIALS[0]})
        progress.update(TRIALS)
        progress.update(TRIALS)
    first, second, third = lines(capsys)
    assert re.fullmatch(r"1 of 5: lr 0\.0001: val worst-class 62\.5 \(\d+ s left\)", first)
    assert re.fullmatch(r"2 of 5: lr 0\.001: failed: seed 0: CFR diverged \(\d+ s left\)", second)
    assert third.startswith("3 of 5: lr 0.001: pruned: stopped at step 2 of 6 (")


def test_points_that_were_finished_before_are_counted_and_not_told(capsys):
    Progress(make_plan(), TRIALS).update(TRIALS)
    assert lines(capsys) == ["3 of 5 points are finished already"]


def test_the_last_point_leaves_no_time(capsys):
    plan = make_plan(sampler="random", trials=1)
    Progress(plan, {}).update({0: TRIALS[0]})
    assert lines(capsys) == ["1 of 1: lr 0.0001: val worst-class 62.5"]


def test_waiting_for_others_is_said_once(capsys):
    progress = Progress(make_plan(), {})
    for _ in range(2):
        progress.wait()
    assert lines(capsys) == [
        "waiting for the last points, which other processes run; those of a process that died "
        "elsewhere are run here after 90 s"
    ]


def test_a_terminal_shows_a_bar():
    console = Console(file=StringIO(), force_terminal=True, width=80)
    with RichProgress(console=console) as bars:
        bar = Bar(make_plan(), {}, bars)
        bar.update({0: TRIALS[0]})
        assert (bars.tasks[0].completed, bars.tasks[0].total) == (1, 5)
    assert "1 of 5: lr 0.0001: val worst-class 62.5" in console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_times_are_told_in_their_largest_unit(seconds, text):
    assert duration(seconds) == text
