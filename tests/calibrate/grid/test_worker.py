"""The loop over points: values, reasons, pruning, order, and what a second run does."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from optuna.trial import TrialState

from clip_cfr.calibrate.comparison.compare import compare
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.grid import points
from clip_cfr.calibrate.grid import worker as working
from clip_cfr.calibrate.grid.axes import Choices
from clip_cfr.calibrate.grid.points import Experiments
from clip_cfr.calibrate.grid.study import opened_study
from clip_cfr.calibrate.grid.trials import standing_trials
from clip_cfr.calibrate.grid.worker import orphaned, work
from clip_cfr.calibrate.methods import fit
from tests.calibrate.grid.plans import quick_plan
from tests.calibrate.synthetic import quick_settings


def run(url, plan, prepared, look=lambda _: None):
    """The trials of a study after all the work is done."""
    with opened_study(url, "grid", plan) as study:
        work(study, plan, lambda: nullcontext(prepared), look)
        return standing_trials(study)


def never():
    raise AssertionError("nothing is left to do, and the task was loaded")


@pytest.fixture
def erm_stages(monkeypatch):
    """Learning rate and seed of each ERM stage that was trained, by the stage, in their order."""
    trained = []

    def note(method, experiment):
        if not any(experiment.erm is each for each, _, _ in trained):
            trained.append((experiment.erm, experiment.settings.erm_lr, experiment.seed))
        return fit(method, experiment)

    monkeypatch.setattr(points, "fit", note)
    return trained


@pytest.fixture
def fits(monkeypatch):
    """Learning rate and seed of each CFR stage that was fitted, in their order."""
    fitted, fit_points = [], working.fit_points

    def note(experiments, method, given):
        fitted.extend((each.settings.lr, each.seed) for each in given)
        return fit_points(experiments, method, given)

    monkeypatch.setattr(working, "fit_points", note)
    return fitted


class TestGrid:
    def test_values_are_means_over_seeds_of_what_calibrate_finds(self, url, plan, prepared, task):
        trials = run(url, plan, prepared)
        assert sorted(trials) == [0, 1, 2, 3]
        for point, trial in trials.items():
            settings = plan.settings(plan.combination(point))
            outcomes, _ = compare(task, settings, ["cfr"], plan.seeds, lambda *_: None)
            expected = [each.metrics["worst-class"] for each in outcomes["cfr"]]
            runs = trial.user_attrs["runs"]
            for found, wanted in zip(runs, expected, strict=True):
                assert found["test"].items() <= wanted["test"].items()
                assert found["val"].items() <= wanted["val"].items()
            assert trial.value == np.mean([each["val"]["worst_class"] for each in expected])

    def test_the_erm_stage_is_trained_once_a_seed_for_all_points_that_share_it(
        self, url, plan, prepared, erm_stages
    ):
        run(url, plan, prepared)
        found = [(lr, seed) for _, lr, seed in erm_stages]
        assert found == [(1e-3, 0), (1e-3, 1), (3e-3, 0), (3e-3, 1)]

    def test_a_finished_one_does_nothing(self, url, plan, prepared):
        before = run(url, plan, prepared)
        with opened_study(url, "grid", plan) as study:
            work(study, plan, never, never)
            assert standing_trials(study) == before

    def test_looks_up_after_every_point(self, url, plan, prepared):
        looks = []
        run(url, plan, prepared, looks.append)
        assert looks == [False] * 4

    def test_points_may_be_fitted_together(self, url, plan, prepared, tmp_path, monkeypatch):
        alone = run(url, plan, prepared)
        monkeypatch.setattr(working, "points_at_once", lambda *_: 3)
        together = run(f"sqlite:///{tmp_path}/other.db", plan, prepared)
        assert [each.value for each in together.values()] == [t.value for t in alone.values()]
        assert [each.params for each in together.values()] == [t.params for t in alone.values()]


class TestSampling:
    @pytest.mark.parametrize("sampler", ["random", "tpe"])
    def test_a_point_that_comes_up_again_is_not_fitted_again(self, url, prepared, fits, sampler):
        space = {"lr": Choices((1e-4, 1e-3))}
        plan = quick_plan(space=space, sampler=sampler, trials=6)
        trials = list(run(url, plan, prepared).values())
        assert [each.state for each in trials] == [TrialState.COMPLETE] * 6
        assert sorted(fits) == [(1e-4, 0), (1e-4, 1), (1e-3, 0), (1e-3, 1)]
        results = {each.params["lr"]: each.user_attrs["runs"] for each in trials}
        assert all(each.user_attrs["runs"] == results[each.params["lr"]] for each in trials)


class TestFailures:
    def test_keep_their_reason_and_the_grid_goes_on(self, url, prepared):
        plan = quick_plan(space={"lr": Choices((1e30, 1e-3))})
        first, second = run(url, plan, prepared).values()
        assert (first.state, second.state) == (TrialState.FAIL, TrialState.COMPLETE)
        assert first.user_attrs["reason"].startswith("seed 0: CFR diverged: at step ")

    def test_of_one_seed_need_not_name_it(self, url, prepared):
        plan = quick_plan(space={"calibration_minimum": Choices((10_000,))}, seeds=(5,))
        (trial,) = run(url, plan, prepared).values()
        assert trial.user_attrs["reason"].startswith("the erm head gets ")

    def test_want_of_memory_is_said(self, url, prepared):
        space = {"calibration_batch_size": Choices((10**6,))}
        plan = quick_plan(space=space, fixed=quick_settings(steps=10**9), seeds=(0,))
        (trial,) = run(url, plan, prepared).values()
        assert trial.user_attrs["reason"].startswith("out of memory: Unable to allocate")

    def test_of_the_loop_free_the_points_that_were_begun(self, url, plan, prepared, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(working, "fit_points", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(url, plan, prepared)
        monkeypatch.undo()
        with opened_study(url, "grid", plan) as study:
            assert standing_trials(study) == {}
        assert sorted(run(url, plan, prepared)) == [0, 1, 2, 3]

    def test_of_the_task_come_before_any_point(self, url, plan):
        def fail():
            raise CalibrationError("no task")

        with opened_study(url, "grid", plan) as study:
            with pytest.raises(CalibrationError, match="no task"):
                work(study, plan, fail, never)
            assert study.trials == []


class TestPruning:
    SPACE = {"lr": Choices((1e-3, 1e-9, 2e-9, 2e-3))}  # noqa: RUF012

    @pytest.fixture
    def plan(self):
        return quick_plan(space=self.SPACE, fixed=quick_settings(init="clip"), prune=True)

    def test_stops_hopeless_points_in_their_first_seed(self, url, plan, prepared, fits):
        trials = run(url, plan, prepared)
        states = [each.state.name for each in trials.values()]
        assert states == ["COMPLETE", "PRUNED", "PRUNED", "COMPLETE"]
        assert trials[1].user_attrs["reason"] == "stopped at step 20 of 60 of the first seed"
        assert list(trials[1].intermediate_values) == [16, 33]
        assert fits == [(1e-3, 0), (1e-3, 1), (1e-9, 0), (2e-9, 0), (2e-3, 0), (2e-3, 1)]

    def test_changes_no_value_of_those_that_stay(self, url, plan, prepared, tmp_path):
        pruned = run(url, plan, prepared)
        whole = run(f"sqlite:///{tmp_path}/whole.db", replace(plan, prune=False), prepared)
        for point in (0, 3):
            assert pruned[point].user_attrs["runs"] == whole[point].user_attrs["runs"]

    def test_does_not_count_what_was_cut_short(self, url, plan, prepared, tmp_path, monkeypatch):
        expected = run(f"sqlite:///{tmp_path}/whole.db", plan, prepared)
        for point in range(4):
            self.interrupt_in_second_half(url, plan, prepared, point, monkeypatch)
        found = run(url, plan, prepared)
        assert [each.state for each in found.values()] == [e.state for e in expected.values()]
        assert [each.value for each in found.values()] == [e.value for e in expected.values()]

    @staticmethod
    def interrupt_in_second_half(url, plan, prepared, point, monkeypatch):
        """Fits up to a point, and stops there after it took part in the competition."""
        watch = working.watch

        def stop_late(trial, *arguments):
            hear = watch(trial, *arguments)

            def hear_and_stop(step, values):
                try:
                    hear(step, values)
                finally:
                    if trial.user_attrs["point"] == point and step >= 20:
                        raise KeyboardInterrupt

            return hear_and_stop

        with monkeypatch.context() as patch:
            patch.setattr(working, "watch", stop_late)
            with pytest.raises(KeyboardInterrupt):
                run(url, plan, prepared)


def test_experiments_keep_the_stages_of_all_seeds(url, prepared, erm_stages):
    seeds = tuple(range(20))
    run(url, quick_plan(space={"lr": Choices((1e-3, 1e-2))}, seeds=seeds), prepared)
    assert len(erm_stages) == 20


def test_a_process_that_nobody_started_is_no_orphan(prepared):
    assert not orphaned()
    assert Experiments(prepared, kept=1).recent == {}
