"""Points as trials: taken once, in order, and again where their process died."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from clip_cfr.calibrate.grid import liveness
from clip_cfr.calibrate.grid.liveness import Heartbeat, is_dead, process_name
from clip_cfr.calibrate.grid.study import opened_study
from clip_cfr.calibrate.grid.trials import (
    POINT,
    cut_short,
    finish,
    finished_trials,
    release_dead,
    standing_trials,
    take_trial,
)
from tests.calibrate.grid.plans import quick_plan

ROOT = Path(__file__).parents[3]


def values_of(trial, plan):
    return {name: axis.suggest(trial, name) for name, axis in plan.space.items()}


def take_all(study, plan):
    """Takes and finishes all points; their values in that order."""
    taken = []
    while trial := take_trial(study, plan):
        taken.append(values_of(trial, plan))
        finish(study, trial, TrialState.COMPLETE, 0.5)
    return taken


class TestGrid:
    def test_is_taken_in_its_order_and_once(self, study, plan):
        expected = [plan.combination(each) for each in range(4)]
        assert take_all(study, plan) == expected
        assert take_all(study, plan) == []
        assert len(study.trials) == 4

    def test_several_trials_may_be_open_at_once(self, study, plan):
        taken = [take_trial(study, plan) for _ in range(4)]
        assert [trial.user_attrs[POINT] for trial in taken] == [0, 1, 2, 3]
        assert take_trial(study, plan) is None

    def test_two_processes_share_it(self, url, plan):
        with opened_study(url, "grid", plan) as one, opened_study(url, "grid", plan) as other:
            taken = [take_trial(each, plan) for each in (one, other, one, other)]
            assert sorted(trial.user_attrs[POINT] for trial in taken) == [0, 1, 2, 3]
            assert take_trial(one, plan) is None

    def test_a_point_that_was_queued_twice_is_run_once(self, study, plan):
        for _ in range(2):
            study.enqueue_trial(plan.combination(0), user_attrs={POINT: 0})
        assert take_all(study, plan) == [plan.combination(each) for each in range(4)]
        assert sorted(finished_trials(study)) == [0, 1, 2, 3]

    def test_a_point_that_was_cut_short_is_taken_again(self, study, plan):
        trials = [take_trial(study, plan) for _ in range(4)]
        cut_short(study, trials[1].number)
        again = take_trial(study, plan)
        assert again.user_attrs[POINT] == 1
        assert values_of(again, plan) == plan.combination(1)
        assert standing_trials(study)[1].number == again.number

    def test_a_result_that_comes_too_late_is_dropped(self, study, plan):
        late = take_trial(study, plan)
        cut_short(study, late.number)
        again = take_trial(study, plan)
        finish(study, late, TrialState.COMPLETE, 0.9, runs=[])
        assert finished_trials(study) == {}
        finish(study, again, TrialState.COMPLETE, 0.4, runs=[])
        assert finished_trials(study)[0].value == 0.4


class TestSamplers:
    @pytest.mark.parametrize("sampler", ["random", "tpe"])
    def test_propose_the_same_points_to_the_same_command(self, tmp_path, sampler):
        found = []
        for name in ("a", "b"):
            plan = quick_plan(sampler=sampler, trials=12)
            with opened_study(f"sqlite:///{tmp_path}/{name}.db", "grid", plan) as study:
                found.append(take_all(study, plan))
        assert found[0] == found[1]
        assert len({str(each) for each in found[0]}) > 1

    def test_propose_what_would_have_come_after_a_stop(self, tmp_path):
        plan = quick_plan(sampler="random", trials=6)
        with opened_study(f"sqlite:///{tmp_path}/a.db", "grid", plan) as study:
            whole = take_all(study, plan)
        few = quick_plan(sampler="random", trials=3)
        with opened_study(f"sqlite:///{tmp_path}/b.db", "grid", few) as study:
            begun = take_all(study, few)
            cut_short(study, take_trial(study, plan).number)
            assert begun + take_all(study, plan) == whole


def take_and_die(url, before="") -> int:
    """A process takes the first point and is gone; its number."""
    code = (
        "import os; from calibrate.grid.study import opened_study; "
        "from calibrate.grid.trials import take_trial; "
        "from tests.calibrate.grid.plans import quick_plan; plan = quick_plan()\n"
        f"with opened_study({url!r}, 'grid', plan) as study:\n"
        f"    take_trial(study, plan); {before} os.kill(os.getpid(), 9)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    assert process.wait() == -9
    return process.pid


class TestLiveness:
    def test_a_process_that_was_killed_frees_its_point(self, study, url, plan):
        take_and_die(url)
        assert take_trial(study, plan).user_attrs[POINT] == 1
        release_dead(study)
        assert take_trial(study, plan).user_attrs[POINT] == 0

    def test_a_process_that_lives_keeps_it(self, study, plan):
        take_trial(study, plan)
        release_dead(study)
        assert take_trial(study, plan).user_attrs[POINT] == 1

    def test_the_first_process_of_all_lives(self, study, plan):
        """Ours or not, it may not be signalled and is there."""
        trial = take_trial(study, plan)
        machine = process_name().rpartition(":")[0]
        trial.set_user_attr("process", f"{machine}:1")
        assert not is_dead(study.trials[0])

    @pytest.mark.parametrize(("silence", "dead"), [(10, False), (1000, True)])
    def test_another_machine_is_believed_for_a_while(self, study, plan, silence, dead):
        trial = take_trial(study, plan)
        trial.set_user_attr("process", f"elsewhere:{os.getpid()}")
        trial.set_user_attr("alive", time.time() - silence)
        assert is_dead(study.trials[0]) == dead

    def test_a_process_that_died_before_it_gave_its_name_frees_its_point(self, study, monkeypatch):
        study.ask()
        assert not is_dead(study.trials[0])
        monkeypatch.setattr(liveness, "SECONDS_OF_SILENCE", 0)
        assert is_dead(study.trials[0])

    def test_beats_go_on_until_the_block_ends(self, study, plan, monkeypatch):
        monkeypatch.setattr(liveness, "SECONDS_BETWEEN_BEATS", 0.02)
        trials = [take_trial(study, plan) for _ in range(2)]
        cut_short(study, trials[0].number)  # beats on all the same for the other
        with Heartbeat(trials):
            time.sleep(0.3)
        assert time.time() - study.trials[1].user_attrs["alive"] < 0.25
        assert "alive" not in study.trials[0].user_attrs
