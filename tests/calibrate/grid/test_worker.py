"""The worker loop: results, order, errors, pruning, references, and a second run."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.comparison.compare import compare
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.grid import points, worker
from clip_cfr.calibrate.grid.axes import Choices
from clip_cfr.calibrate.grid.grid_plan import GridPlan, make_grid_plan
from clip_cfr.calibrate.grid.point_result import METRICS, PointResult
from clip_cfr.calibrate.grid.pruning import PruningCallback
from clip_cfr.calibrate.grid.study import open_searches
from clip_cfr.calibrate.grid.trials import assigned_trials, point_results
from clip_cfr.calibrate.grid.worker import is_orphan, run_worker
from clip_cfr.calibrate.methods import fit
from clip_cfr.calibrate.progress import SilentReporter
from tests.calibrate.grid.plans import open_plan, quick_plan
from tests.calibrate.synthetic import quick_settings


def ignore_step(waiting: bool) -> None:
    pass


def run_plan(url, plan, prepared, on_step=ignore_step) -> list[PointResult]:
    """Run a grid of one method without references, and return its points."""
    with open_plan(url, plan) as searches:
        run_worker(searches.all, lambda: nullcontext(prepared), on_step)
        return point_results(searches.methods[0])


def refuse_call(*_):
    raise AssertionError("no point is left, and the task was loaded")


def runs_of(results):
    """Return the accuracies of each point, without its time."""
    return [each.runs for each in results]


@pytest.fixture
def identification_heads(monkeypatch):
    """Record each identification head that is trained, with its learning rate and seed."""
    trained = []

    def record(method, experiment):
        head = experiment.identification_head
        if not any(head is each for each, _, _ in trained):
            trained.append((head, experiment.settings.identification_lr, experiment.seed))
        return fit(method, experiment)

    monkeypatch.setattr(points, "fit", record)
    return trained


@pytest.fixture
def fits(monkeypatch):
    """Record learning rate and seed of each point that is fitted."""
    recorded, fit_points = [], worker.fit_points

    def record(experiments, method, requests):
        recorded.extend((each.settings.lr, each.seed) for each in requests)
        return fit_points(experiments, method, requests)

    monkeypatch.setattr(worker, "fit_points", record)
    return recorded


class TestGrid:
    def test_has_the_accuracies_of_calibrate(self, url, plan, prepared):
        results = run_plan(url, plan, prepared)
        assert [each.point for each in results] == [0, 1, 2, 3]
        for result in results:
            settings = plan.settings_with(plan.values_at(result.point))
            comparison = compare(prepared, settings, ["cfr"], plan.seeds, SilentReporter())
            expected = [each.metrics["worst-class"] for each in comparison.outcomes["cfr"]]
            for run, metrics in zip(result.runs, expected, strict=True):
                for split, accuracies in (("val", run.val), ("test", run.test)):
                    wanted = {name: getattr(metrics[split], name) for name in METRICS}
                    assert accuracies == wanted, (result.point, run.seed, split)

    def test_stores_the_mean_criterion_as_the_value(self, url, plan, prepared):
        results = run_plan(url, plan, prepared)
        with open_plan(url, plan) as searches:
            trials = assigned_trials(searches.methods[0])
        for result in results:
            expected = np.mean([run.val["inferred_groups"] for run in result.runs])
            assert trials[result.point].value == expected, result.point

    def test_trains_one_identification_head_for_points_that_share_it(
        self, url, plan, prepared, identification_heads
    ):
        run_plan(url, plan, prepared)
        found = [(lr, seed) for _, lr, seed in identification_heads]
        assert found == [(1e-3, 0), (1e-3, 1), (3e-3, 0), (3e-3, 1)]

    def test_that_is_finished_loads_nothing(self, url, plan, prepared):
        before = run_plan(url, plan, prepared)
        with open_plan(url, plan) as searches:
            run_worker(searches.all, refuse_call, refuse_call)
            assert point_results(searches.methods[0]) == before

    def test_that_grew_fits_the_new_points_only(self, url, prepared, fits):
        before = run_plan(url, quick_plan(space={"lr": Choices((1e-4, 1e-3))}), prepared)
        assert fits == [(1e-4, 0), (1e-4, 1), (1e-3, 0), (1e-3, 1)]
        fits.clear()
        grown = quick_plan(space={"lr": Choices((1e-4, 1e-2, 1e-3))})
        after = run_plan(url, grown, prepared)
        assert fits == [(1e-2, 0), (1e-2, 1)]
        assert runs_of(before) == [after[0].runs, after[2].runs]

    def test_calls_back_after_every_point(self, url, plan, prepared):
        steps = []
        run_plan(url, plan, prepared, steps.append)
        assert steps == [False] * 4

    def test_has_the_same_results_if_points_are_fitted_together(
        self, url, plan, prepared, tmp_path, monkeypatch
    ):
        alone = run_plan(url, plan, prepared)
        monkeypatch.setattr(worker, "points_at_once", lambda *_: 3)
        together = run_plan(f"sqlite:///{tmp_path}/other.db", plan, prepared)
        assert [each.settings for each in together] == [each.settings for each in alone]
        assert runs_of(together) == runs_of(alone)


class TestSeveralMethods:
    def make_plan(self, **changes) -> GridPlan:
        plan = quick_plan(seeds=(0,))
        arguments = {
            "cache_digest": plan.cache_digest,
            "seeds": plan.seeds,
            "methods": ("cfr", "erm", "dfr"),
        }
        space = {**plan.space, "erm_lr": Choices((1e-3, 3e-3))}
        return make_grid_plan(space, plan.fixed, **{**arguments, **changes})

    def run(self, url, plan, prepared):
        with open_searches(url, "grid", plan) as searches:
            run_worker(searches.all, lambda: nullcontext(prepared), ignore_step)
            return {
                "methods": [point_results(each) for each in searches.methods],
                "references": [point_results(each) for each in searches.references],
            }

    def test_have_their_own_points(self, url, prepared):
        cfr, erm, dfr = self.run(url, self.make_plan(), prepared)["methods"]
        assert [each.settings for each in cfr] == [
            {"identification_lr": rate, "lr": lr} for rate in (1e-3, 3e-3) for lr in (1e-4, 1e-3)
        ]
        assert [each.settings for each in erm] == [{"erm_lr": 1e-3}, {"erm_lr": 3e-3}]
        assert [each.settings for each in dfr] == [{}]

    def test_have_references_at_the_fixed_settings(self, url, prepared):
        plan = self.make_plan(methods=("cfr",))
        zeroshot, erm = self.run(url, plan, prepared)["references"]
        comparison = compare(
            prepared, plan.methods[0].fixed, ["zeroshot", "erm"], (0,), SilentReporter()
        )
        for (result,), name in ((zeroshot, "zeroshot"), (erm, "erm")):
            (outcome,) = comparison.outcomes[name]
            expected = outcome.metrics["worst-class"]["test"].worst_group
            assert result.runs[0].test["worst_group"] == expected, name

    def test_keep_references_and_points_when_one_is_added(self, url, prepared, fits):
        self.run(url, self.make_plan(methods=("cfr",)), prepared)
        num_fits = len(fits)
        self.run(url, self.make_plan(methods=("cfr", "erm")), prepared)
        assert len(fits) == num_fits + 2


class TestSampling:
    @pytest.mark.parametrize("sampler", ["random", "tpe"])
    def test_fits_a_point_once_that_is_proposed_twice(self, url, prepared, fits, sampler):
        space = {"lr": Choices((1e-4, 1e-3))}
        plan = quick_plan(space=space, sampler=sampler, trials=6)
        results = run_plan(url, plan, prepared)
        assert [each.state for each in results] == ["complete"] * 6
        assert sorted(fits) == [(1e-4, 0), (1e-4, 1), (1e-3, 0), (1e-3, 1)]
        runs = {each.settings["lr"]: each.runs for each in results}
        assert runs_of(results) == [runs[each.settings["lr"]] for each in results]


class TestErrors:
    def test_are_kept_as_reasons_and_the_grid_continues(self, url, prepared):
        plan = quick_plan(space={"lr": Choices((1e30, 1e-3))})
        first, second = run_plan(url, plan, prepared)
        assert (first.state, second.state) == ("failed", "complete")
        assert first.reason.startswith("seed 0: cfr diverged at step ")

    def test_of_a_single_seed_do_not_name_it(self, url, prepared):
        plan = quick_plan(space={"calibration_minimum": Choices((10_000,))}, seeds=(5,))
        (result,) = run_plan(url, plan, prepared)
        assert result.reason.startswith("the identification head ")

    def test_include_lack_of_memory(self, url, prepared):
        space = {"calibration_batch_size": Choices((10**6,))}
        plan = quick_plan(space=space, fixed=quick_settings(steps=10**9), seeds=(0,))
        (result,) = run_plan(url, plan, prepared)
        assert result.reason.startswith("out of memory: Unable to allocate")

    def test_that_interrupt_the_loop_free_the_points(self, url, plan, prepared, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(worker, "fit_points", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_plan(url, plan, prepared)
        monkeypatch.undo()
        with open_plan(url, plan) as searches:
            assert assigned_trials(searches.methods[0]) == {}
        assert len(run_plan(url, plan, prepared)) == 4

    def test_of_the_task_come_before_any_point(self, url, plan):
        def fail():
            raise CalibrationError("no task")

        with open_plan(url, plan) as searches:
            with pytest.raises(CalibrationError, match="no task"):
                run_worker(searches.all, fail, refuse_call)
            assert searches.methods[0].study.trials == []


class TestPruning:
    SPACE = {"lr": Choices((1e-3, 1e-9, 2e-9, 2e-3))}  # noqa: RUF012

    @pytest.fixture
    def plan(self):
        return quick_plan(space=self.SPACE, fixed=quick_settings(init="clip"), prune=True)

    def test_stops_unpromising_points_in_their_first_seed(self, url, plan, prepared, fits):
        results = run_plan(url, plan, prepared)
        states = [each.state for each in results]
        assert states == ["complete", "pruned", "pruned", "complete"]
        assert results[1].reason == "stopped at step 20 of 60 of the first seed"
        with open_plan(url, plan) as searches:
            trial = assigned_trials(searches.methods[0])[1]
        assert list(trial.intermediate_values) == [16, 33]
        assert fits == [(1e-3, 0), (1e-3, 1), (1e-9, 0), (2e-9, 0), (2e-3, 0), (2e-3, 1)]

    def test_does_not_change_the_results_of_other_points(self, url, plan, prepared, tmp_path):
        pruned = run_plan(url, plan, prepared)
        whole = run_plan(f"sqlite:///{tmp_path}/whole.db", replace(plan, prune=False), prepared)
        for point in (0, 3):
            assert pruned[point].runs == whole[point].runs, point

    def test_ignores_abandoned_trials(self, url, plan, prepared, tmp_path, monkeypatch):
        expected = run_plan(f"sqlite:///{tmp_path}/whole.db", plan, prepared)
        for point in range(4):
            self.interrupt_in_second_half(url, plan, prepared, point, monkeypatch)
        found = run_plan(url, plan, prepared)
        assert [each.state for each in found] == [each.state for each in expected]
        assert runs_of(found) == runs_of(expected)

    @staticmethod
    def interrupt_in_second_half(url, plan, prepared, point, monkeypatch):
        """Run up to a point, and interrupt that one after it has competed."""

        class InterruptingCallback(PruningCallback):
            def __call__(self, step, values):
                try:
                    super().__call__(step, values)
                finally:
                    values_of_trial = self.trial.user_attrs["settings"]
                    if plan.index_of(values_of_trial) == point and step >= 20:
                        raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(worker, "PruningCallback", InterruptingCallback)
            with pytest.raises(KeyboardInterrupt):
                run_plan(url, plan, prepared)


def test_the_identification_heads_of_all_seeds_are_kept(url, prepared, identification_heads):
    seeds = tuple(range(20))
    run_plan(url, quick_plan(space={"lr": Choices((1e-3, 1e-2))}, seeds=seeds), prepared)
    assert len(identification_heads) == 20


def test_a_process_without_a_parent_process_is_not_an_orphan():
    assert not is_orphan()
