"""Fitting points: the same numbers as a comparison, one ERM stage for all that share it."""

import jax
import pytest
from optuna import TrialPruned

from clip_cfr.calibrate.comparison.compare import run
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.grid.points import METRICS, Experiments, Fit, fit_points
from tests.calibrate.synthetic import quick_settings


@pytest.fixture
def experiments(prepared):
    return Experiments(prepared, kept=2)


def compiled_stages(experiments) -> list:
    return [each.shared.get("erm") for each in experiments.recent.values()]


def test_a_point_measures_what_a_comparison_does(prepared, experiments):
    for selection in ("worst-class", "average", "worst-group", "last"):
        settings = quick_settings(selection=selection)
        (found,) = fit_points(experiments, "cfr", [Fit(settings, 3)])
        outcome = run("cfr", Experiment(prepared, settings, 3))
        for split in ("val", "test"):
            expected = outcome.metrics[selection][split]
            assert found[split] == {name: expected[name] for name in METRICS}
        assert found["selected_step"] == outcome.fitted.selected_steps[selection]
        assert found["seed"] == 3


class TestErmStage:
    def test_is_trained_once_for_all_that_share_it(self, experiments):
        fits = [Fit(quick_settings(lr=lr), 0) for lr in (1e-4, 1e-3, 1e-2)]
        fit_points(experiments, "cfr", fits[:1])
        (stage,) = compiled_stages(experiments)
        fit_points(experiments, "cfr", fits)
        assert [each is stage for each in compiled_stages(experiments)] == [True]

    def test_is_another_for_another_seed_or_setting(self, experiments):
        fits = [Fit(quick_settings(), 0), Fit(quick_settings(), 1)]
        fit_points(experiments, "cfr", fits)
        first, second = compiled_stages(experiments)
        assert not bool((first.last.weight == second.last.weight).all())

    def test_of_late_are_kept_and_no_more(self, experiments):
        of = experiments.of
        first = of(quick_settings(erm_lr=1e-3), 0)
        of(quick_settings(erm_lr=2e-3), 0)
        assert of(quick_settings(lr=0.5), 0).shared is first.shared
        of(quick_settings(erm_lr=3e-3), 0)
        assert len(experiments.recent) == 2
        assert of(quick_settings(), 0).shared is first.shared
        assert of(quick_settings(erm_lr=2e-3), 0).shared is not first.shared


class TestReasons:
    def test_stand_in_the_place_of_what_could_not_be_measured(self, experiments):
        good, bad = quick_settings(), quick_settings(calibration_minimum=10_000)
        first, second, third = fit_points(
            experiments, "cfr", [Fit(good, 0), Fit(bad, 0), Fit(good, 0)]
        )
        assert isinstance(second, CalibrationError)
        assert "expected at least 10000 for a calibration set" in str(second)
        assert first == third

    def test_divergence_is_one(self, experiments):
        (found,) = fit_points(experiments, "cfr", [Fit(quick_settings(lr=1e30), 0)])
        assert isinstance(found, CalibrationError)
        assert str(found).startswith("CFR diverged: at step ")

    def test_so_is_a_watch_that_ends_it(self, experiments):
        heard = []

        def watch(step, values):
            heard.append((step, set(values)))
            raise TrialPruned("enough")

        (found,) = fit_points(experiments, "cfr", [Fit(quick_settings(), 0, watch)])
        assert isinstance(found, TrialPruned)
        assert heard == [(10, {"worst-class", "average", "worst-group"})]

    def test_want_of_memory_is_one(self, experiments):
        huge = quick_settings(steps=10**9, calibration_batch_size=10**6)
        (found,) = fit_points(experiments, "cfr", [Fit(huge, 0)])
        assert isinstance(found, MemoryError)


def test_points_that_differ_in_what_is_traced_share_one_program(experiments):
    fits = [Fit(quick_settings(lr=lr, temperature=t), 0) for lr in (1e-4, 1e-3) for t in (0.1, 1)]
    fit_points(experiments, "cfr", fits[:1])
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        listen := lambda event, *_, **__: (
            compiled.append(event) if "backend_compile" in event else 0
        )
    )
    try:
        fit_points(experiments, "cfr", fits)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert compiled == []
