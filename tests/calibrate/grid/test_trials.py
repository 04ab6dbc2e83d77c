"""Points as trials: claimed once, in order and again after an interruption; growing grids."""

from dataclasses import replace

import pytest
from optuna.trial import TrialState

from clip_cfr.calibrate.grid.axes import Choices
from clip_cfr.calibrate.grid.trials import (
    POINT,
    RUNS,
    SETTINGS,
    abandon_trial,
    assigned_trials,
    claim_trial,
    finish_trial,
    finished_trials,
    point_results,
)
from tests.calibrate.grid.plans import SPACE, make_seed_result, open_plan, quick_plan


def propose(search, trial):
    """Return the settings of a trial, proposed by the sampler unless the trial has them."""
    if SETTINGS in trial.user_attrs:
        return trial.user_attrs[SETTINGS]
    return {name: axis.suggest(trial, name) for name, axis in search.plan.space.items()}


def complete(search, trial, value=0.5):
    """Finish a trial with one seed's result."""
    notes = {RUNS: [make_seed_result(0, value, value).to_json()]}
    finish_trial(search.study, trial, TrialState.COMPLETE, value=value, notes=notes)


def take_all(search):
    """Claim and finish all points; return their settings in that order."""
    settings = []
    while trial := claim_trial(search):
        settings.append(propose(search, trial))
        complete(search, trial)
    return settings


class TestGrid:
    def test_is_claimed_in_order_and_once(self, search, plan):
        assert take_all(search) == [plan.values_at(point) for point in range(4)]
        assert take_all(search) == []
        assert len(search.study.trials) == 4

    def test_may_have_several_claimed_trials(self, search, plan):
        claimed = [claim_trial(search).user_attrs[SETTINGS] for _ in range(4)]
        assert claimed == [plan.values_at(point) for point in range(4)]
        assert claim_trial(search) is None

    def test_is_shared_by_two_processes(self, url, plan):
        with open_plan(url, plan) as one, open_plan(url, plan) as other:
            searches = (one.methods[0], other.methods[0])
            claimed = [claim_trial(searches[i]).user_attrs[SETTINGS] for i in (0, 1, 0, 1)]
            assert claimed == [plan.values_at(point) for point in range(4)]
            assert claim_trial(searches[0]) is None

    def test_runs_a_point_once_that_was_queued_twice(self, search, plan):
        for _ in range(2):
            search.study.enqueue_trial({}, user_attrs={SETTINGS: plan.values_at(0)})
        assert take_all(search) == [plan.values_at(point) for point in range(4)]
        assert sorted(finished_trials(search)) == [0, 1, 2, 3]

    def test_skips_a_trial_of_the_queue_without_settings(self, search, plan):
        search.study.enqueue_trial(plan.values_at(2), user_attrs={POINT: 2})
        assert take_all(search) == [plan.values_at(point) for point in range(4)]

    def test_claims_an_abandoned_point_again(self, search, plan):
        trials = [claim_trial(search) for _ in range(4)]
        abandon_trial(search.study, trials[1].number)
        again = claim_trial(search)
        assert again.user_attrs[SETTINGS] == plan.values_at(1)
        assert assigned_trials(search)[1].number == again.number

    def test_drops_a_result_that_comes_too_late(self, search):
        late = claim_trial(search)
        abandon_trial(search.study, late.number)
        again = claim_trial(search)
        complete(search, late, 0.9)
        assert finished_trials(search) == {}
        complete(search, again, 0.4)
        assert finished_trials(search)[0].value == 0.4


class TestGrowth:
    GROWN = quick_plan(space={**SPACE, "lr": Choices((1e-5, 1e-4, 1e-3))})

    def test_keeps_finished_points_and_claims_new_ones(self, url, plan):
        with open_plan(url, plan) as searches:
            old = take_all(searches.methods[0])
        with open_plan(url, self.GROWN) as searches:
            new = take_all(searches.methods[0])
            results = point_results(searches.methods[0])
        assert new == [{"identification_lr": rate, "lr": 1e-5} for rate in (1e-3, 3e-3)]
        assert [each.settings for each in results] == [
            self.GROWN.values_at(point) for point in range(6)
        ]
        assert all(each in (*old, *new) for each in (result.settings for result in results))

    def test_to_fewer_values_shows_those(self, url, plan):
        with open_plan(url, self.GROWN) as searches:
            take_all(searches.methods[0])
        with open_plan(url, plan) as searches:
            assert claim_trial(searches.methods[0]) is None
            results = point_results(searches.methods[0])
        assert [each.settings for each in results] == [plan.values_at(point) for point in range(4)]
        assert [each.point for each in results] == [0, 1, 2, 3]

    def test_shares_a_study_that_another_process_uses_with_more_values(self, url, plan):
        with open_plan(url, plan) as few, open_plan(url, self.GROWN) as many:
            first = claim_trial(many.methods[0])
            assert first.user_attrs[SETTINGS] == {"identification_lr": 1e-3, "lr": 1e-5}
            claimed = take_all(few.methods[0])
            assert claimed == [plan.values_at(point) for point in range(4)]
            assert take_all(many.methods[0]) == [{"identification_lr": 3e-3, "lr": 1e-5}]

    def test_of_sampled_points_is_by_their_number(self, url):
        plan = quick_plan(sampler="random", trials=2)
        with open_plan(url, plan) as searches:
            take_all(searches.methods[0])
        with open_plan(url, replace(plan, trials=5)) as searches:
            assert len(take_all(searches.methods[0])) == 3
        with open_plan(url, plan) as searches:
            assert [each.point for each in point_results(searches.methods[0])] == [0, 1]


class TestSamplers:
    @pytest.mark.parametrize("sampler", ["random", "tpe"])
    def test_propose_the_same_points_to_the_same_command(self, tmp_path, sampler):
        found = []
        for name in ("a", "b"):
            plan = quick_plan(sampler=sampler, trials=12)
            with open_plan(f"sqlite:///{tmp_path}/{name}.db", plan) as searches:
                found.append(take_all(searches.methods[0]))
        assert found[0] == found[1]
        assert len({str(each) for each in found[0]}) > 1

    def test_propose_the_same_points_after_an_interruption(self, tmp_path):
        plan = quick_plan(sampler="random", trials=6)
        with open_plan(f"sqlite:///{tmp_path}/a.db", plan) as searches:
            whole = take_all(searches.methods[0])
        with open_plan(f"sqlite:///{tmp_path}/b.db", replace(plan, trials=3)) as searches:
            first = take_all(searches.methods[0])
        with open_plan(f"sqlite:///{tmp_path}/b.db", plan) as searches:
            (search,) = searches.methods
            abandon_trial(search.study, claim_trial(search).number)
            assert first + take_all(search) == whole

    def test_may_start_with_the_fixed_settings_which_only_one_process_gets(self, url):
        plan = quick_plan(sampler="random", trials=2, starts_with_fixed=True)
        fixed = {name: getattr(plan.fixed, name) for name in SPACE}
        with open_plan(url, plan) as one, open_plan(url, plan) as other:
            first, second = claim_trial(one.methods[0]), claim_trial(other.methods[0])
            assert (first.user_attrs[POINT], first.user_attrs[SETTINGS]) == (0, fixed)
            assert second.user_attrs[POINT] == 1
            assert SETTINGS not in second.user_attrs

    def test_start_again_with_the_fixed_settings_after_an_interruption(self, url):
        plan = quick_plan(sampler="random", trials=1, starts_with_fixed=True)
        with open_plan(url, plan) as searches:
            (search,) = searches.methods
            abandon_trial(search.study, claim_trial(search).number)
            assert take_all(search) == [{name: getattr(plan.fixed, name) for name in SPACE}]
