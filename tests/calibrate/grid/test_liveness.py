"""Whether the process of a trial is alive: killed, zombie, silent elsewhere, beating."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clip_cfr.calibrate.grid import liveness
from clip_cfr.calibrate.grid.liveness import (
    Heartbeat,
    is_dead,
    is_running,
    machine_name,
    process_name,
)
from clip_cfr.calibrate.grid.trials import abandon_trial, claim_trial, release_dead_trials

ROOT = Path(__file__).parents[3]
CLAIM_AND_DIE = """
import os, sys
from clip_cfr.calibrate.grid.trials import claim_trial
from tests.calibrate.grid.plans import open_plan, quick_plan
with open_plan(sys.argv[1], quick_plan()) as searches:
    claim_trial(searches.methods[0])
    os.kill(os.getpid(), 9)
"""


def claim_and_die(url: str) -> subprocess.Popen:
    """Return a process that claims the first free point and kills itself; it is not reaped yet."""
    process = subprocess.Popen([sys.executable, "-c", CLAIM_AND_DIE, url], cwd=ROOT)
    wait_options = os.WEXITED | os.WNOWAIT  # Wait for its end, and leave it a zombie.
    os.waitid(os.P_PID, process.pid, wait_options)
    return process


class TestProcesses:
    def test_that_run_are_running(self):
        assert is_running(os.getpid())

    def test_of_other_users_are_running(self):
        """The first process of a machine exists, whether or not we may signal it."""
        assert is_running(1)

    def test_that_ended_are_not(self):
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        assert not is_running(process.pid)

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
    def test_that_are_zombies_are_not(self):
        process = subprocess.Popen([sys.executable, "-c", ""])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert liveness.process_state(process.pid) == "Z"
        assert not is_running(process.pid)
        process.wait()


class TestTrials:
    def test_of_a_killed_process_are_released(self, search, url, plan):
        claim_and_die(url).wait()
        assert claim_trial(search).user_attrs["settings"] == plan.values_at(1)
        release_dead_trials(search.study)
        assert claim_trial(search).user_attrs["settings"] == plan.values_at(0)

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
    def test_of_a_zombie_are_released_at_once(self, search, url, plan):
        process = claim_and_die(url)
        release_dead_trials(search.study)
        assert claim_trial(search).user_attrs["settings"] == plan.values_at(0)
        process.wait()

    def test_of_a_living_process_are_kept(self, search, plan):
        claim_trial(search)
        release_dead_trials(search.study)
        assert claim_trial(search).user_attrs["settings"] == plan.values_at(1)

    @pytest.mark.parametrize(("silence", "dead"), [(10, False), (1000, True)])
    def test_of_another_machine_are_released_after_a_while(self, search, silence, dead):
        trial = claim_trial(search)
        trial.set_user_attr("process", f"elsewhere:{os.getpid()}")
        trial.set_user_attr("alive", time.time() - silence)
        assert is_dead(search.study.trials[0]) == dead

    @pytest.mark.parametrize("part", ["BOOT", "NAMESPACE"])
    def test_of_another_machine_with_the_same_host_name_are_kept(self, search, part):
        """No process of this machine has the id, and the other machine is not silent yet."""
        host, boot, namespace = machine_name().split("/")
        other = f"{host}/other/{namespace}" if part == "BOOT" else f"{host}/{boot}/0"
        trial = claim_trial(search)
        trial.set_user_attr("process", f"{other}:{2**22 + 1}")
        assert not is_dead(search.study.trials[0])
        trial.set_user_attr("process", f"{machine_name()}:{2**22 + 1}")
        assert is_dead(search.study.trials[0])

    def test_without_a_process_name_are_released_after_a_while(self, search, monkeypatch):
        search.study.ask()
        assert not is_dead(search.study.trials[0])
        monkeypatch.setattr(liveness, "SECONDS_OF_SILENCE", 0)
        assert is_dead(search.study.trials[0])

    def test_have_the_name_of_this_process(self, search):
        claim_trial(search)
        assert search.study.trials[0].user_attrs["process"] == process_name()


def test_beats_continue_until_the_block_ends(search, monkeypatch):
    monkeypatch.setattr(liveness, "SECONDS_BETWEEN_BEATS", 0.02)
    trials = [claim_trial(search) for _ in range(2)]
    abandon_trial(search.study, trials[0].number)  # The other one still gets its beats.
    with Heartbeat(trials):
        time.sleep(0.3)
    first, second = search.study.trials
    assert time.time() - second.user_attrs["alive"] < 0.25
    assert "alive" not in first.user_attrs
