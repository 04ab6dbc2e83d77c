"""Progress of a grid on standard error."""

import re
from io import StringIO

import pytest
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import Progress

from clip_cfr.calibrate.grid.axes import Choices
from clip_cfr.calibrate.grid.progress import (
    BarReporter,
    GridReporter,
    format_duration,
    report_progress,
)
from clip_cfr.calibrate.grid.study import GridSearches
from tests.calibrate.grid.plans import make_search, make_searches, make_trial, quick_plan

SPACE = {"lr": Choices((1e-4, 1e-3, 1e-2, 1e-1, 1.0))}
TRIALS = [
    make_trial(0, val=(0.5, 0.75), test=(0.5, 0.5), params={"lr": 1e-4}),
    make_trial(1, TrialState.FAIL, params={"lr": 1e-3}, reason="seed 0: CFR diverged"),
    make_trial(2, TrialState.PRUNED, params={"lr": 1e-2}, reason="stopped at step 2 of 6"),
]


@pytest.fixture
def plan():
    return quick_plan(space=SPACE)


def lines(capsys) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_every_point_is_reported_once_with_the_time_left(plan, capsys):
    trials = []
    with report_progress(make_searches(plan, trials)) as reporter:
        for new in (TRIALS[:1], TRIALS[1:], []):
            trials += new
            reporter.update()
    first, second, third = lines(capsys)
    assert re.fullmatch(r"1 of 5: lr 0\.0001: val inferred-groups 62\.5 \(\d+ s left\)", first)
    assert re.fullmatch(r"2 of 5: lr 0\.001: failed: seed 0: CFR diverged \(\d+ s left\)", second)
    assert third.startswith("3 of 5: lr 0.01: pruned: stopped at step 2 of 6 (")


def test_points_that_were_finished_before_are_counted_only(plan, capsys):
    GridReporter(make_searches(plan, TRIALS)).update()
    assert lines(capsys) == ["3 of 5 points are finished already"]


def test_the_last_point_has_no_time_left(capsys):
    trials = []
    reporter = GridReporter(make_searches(quick_plan(space={"lr": Choices((1e-4,))}), trials))
    trials += TRIALS[:1]
    reporter.update()
    assert lines(capsys) == ["1 of 1: lr 0.0001: val inferred-groups 62.5"]


def test_points_of_several_methods_name_theirs(plan, capsys):
    trials, other = [], []
    erm = quick_plan(space={"erm_lr": Choices((1e-3,))}, method="erm")
    searches = GridSearches((make_search(plan, trials), make_search(erm, other)))
    reporter = GridReporter(searches)
    trials += TRIALS[:1]
    other.append(make_trial(0, val=(0.5,), test=(0.5,), params={"erm_lr": 1e-3}))
    reporter.update()
    first, second = lines(capsys)
    assert first.startswith("1 of 6: CFR, lr 0.0001: val inferred-groups 62.5 (")
    assert second.startswith("2 of 6: ERM, erm_lr 0.001: val inferred-groups 50.0 (")


def test_references_are_reported_and_not_counted(plan, capsys):
    trials = []
    erm = quick_plan(space={}, method="erm", is_reference=True)
    searches = GridSearches((make_search(plan, []),), (make_search(erm, trials),))
    reporter = GridReporter(searches)
    trials.append(make_trial(0, val=(0.5,), test=(0.5,), params={}))
    reporter.update()
    assert lines(capsys) == ["reference ERM: val inferred-groups 50.0"]
    assert reporter.num_points == 5
    assert reporter.num_finished == 0


def test_waiting_for_other_processes_is_reported_once(plan, capsys):
    reporter = GridReporter(make_searches(plan, []))
    for _ in range(2):
        reporter.update(waiting=True)
    assert lines(capsys) == [
        "waiting for the last points, which other processes run; those of a process that died on "
        "another machine are run here after 90 s"
    ]


def test_a_terminal_shows_a_bar(plan):
    console = Console(file=StringIO(), force_terminal=True, width=80)
    trials = []
    with Progress(console=console) as bars:
        reporter = BarReporter(make_searches(plan, trials), bars)
        trials += TRIALS[:1]
        reporter.update()
        assert (bars.tasks[0].completed, bars.tasks[0].total) == (1, 5)
    assert "1 of 5: lr 0.0001: val inferred-groups 62.5" in console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations_are_in_their_largest_unit(seconds, text):
    assert format_duration(seconds) == text
