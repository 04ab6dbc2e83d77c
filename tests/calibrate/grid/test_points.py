"""Fitting points: the numbers of a comparison, shared stages, and errors."""

import jax
import pytest
from optuna import TrialPruned

from clip_cfr.calibrate.comparison.compare import evaluate_fitted
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import CRITERIA, selections_of
from clip_cfr.calibrate.core.stage_spec import ERM_STAGE, SHARED_STAGES
from clip_cfr.calibrate.grid.point_result import METRICS
from clip_cfr.calibrate.grid.points import ExperimentCache, Fit, fit_points
from clip_cfr.calibrate.methods import batched, fit
from tests.calibrate.synthetic import quick_settings

OFFERED = selections_of(has_named=False)


@pytest.fixture
def experiments(prepared):
    return ExperimentCache(prepared, size=2)


def trained_stages(experiments) -> list:
    """Return the results of stages that are kept."""
    return [each.trained for each in experiments.recent.values() if each.trained]


@pytest.mark.parametrize("selection", OFFERED)
def test_a_point_has_the_accuracies_of_a_comparison(prepared, experiments, selection):
    settings = quick_settings(selection=selection)
    (found,) = fit_points(experiments, "cfr", [Fit(settings, 3)])
    experiment = Experiment(prepared, settings, 3)
    outcome = evaluate_fitted(experiment, fit("cfr", experiment))
    for split, accuracies in (("val", found.val), ("test", found.test)):
        expected = outcome.metrics[selection][split]
        assert accuracies == {name: getattr(expected, name) for name in METRICS}, split
    assert found.selected_step == outcome.fitted.selected_steps[selection]
    assert found.seed == 3


class TestSharedStages:
    def test_is_trained_once_for_points_that_share_it(self, experiments):
        fits = [Fit(quick_settings(lr=lr), 0) for lr in (1e-4, 1e-3, 1e-2)]
        fit_points(experiments, "cfr", fits[:1])
        (stage,) = trained_stages(experiments)
        fit_points(experiments, "cfr", fits)
        assert [each is stage for each in trained_stages(experiments)] == [True]

    def test_differs_between_seeds(self, experiments):
        fits = [Fit(quick_settings(), 0), Fit(quick_settings(), 1)]
        fit_points(experiments, "cfr", fits)
        first, second = trained_stages(experiments)
        assert not bool((first.last.weight == second.last.weight).all())

    def test_is_kept_while_it_is_among_the_most_recent(self, experiments):
        get = experiments.get_experiment
        first = get(quick_settings(momentum=0.1), 0)
        second = get(quick_settings(momentum=0.2), 0)
        assert get(quick_settings(momentum=0.1, lr=0.5), 0).shared == first.shared
        get(quick_settings(momentum=0.3), 0)
        assert len(experiments.recent) == 2 * len(SHARED_STAGES)
        assert get(quick_settings(momentum=0.1), 0).shared[ERM_STAGE] is first.shared[ERM_STAGE]
        again = get(quick_settings(momentum=0.2), 0).shared
        assert again[ERM_STAGE] is not second.shared[ERM_STAGE]


class TestErrors:
    def test_take_the_place_of_results(self, experiments):
        good, bad = quick_settings(), quick_settings(calibration_minimum=10_000)
        first, second, third = fit_points(
            experiments, "cfr", [Fit(good, 0), Fit(bad, 0), Fit(good, 0)]
        )
        assert isinstance(second, CalibrationError)
        assert "expected at least 10000 for a calibration set" in str(second)
        assert first == third

    def test_include_divergence(self, experiments):
        (found,) = fit_points(experiments, "cfr", [Fit(quick_settings(lr=1e30), 0)])
        assert isinstance(found, CalibrationError)
        assert str(found).startswith("cfr diverged at step ")

    def test_include_those_of_a_callback(self, experiments):
        calls = []

        def callback(step, values):
            calls.append((step, set(values)))
            raise TrialPruned("enough")

        (found,) = fit_points(experiments, "cfr", [Fit(quick_settings(), 0, callback)])
        assert isinstance(found, TrialPruned)
        assert calls == [(10, set(CRITERIA))]

    def test_include_lack_of_memory(self, experiments):
        huge = quick_settings(steps=10**9, calibration_batch_size=10**6)
        (found,) = fit_points(experiments, "cfr", [Fit(huge, 0)])
        assert isinstance(found, MemoryError)

    @pytest.mark.parametrize("together", [1, 5])
    def test_lack_of_memory_does_not_affect_fits_beside_it(
        self, experiments, monkeypatch, together
    ):
        """A CPU fits one after the other; a GPU trains their stages together."""
        monkeypatch.setattr(batched, "batch_size", lambda *_: together)
        good = quick_settings()
        huge = quick_settings(steps=10**9, calibration_batch_size=10**6)
        first, second, third, fourth, fifth = fit_points(
            experiments, "cfr", [Fit(each, 0) for each in (good, huge, good, huge, good)]
        )
        assert isinstance(second, MemoryError)
        assert isinstance(fourth, MemoryError)
        assert first == third == fifth


def test_points_that_differ_in_traced_settings_share_one_program(experiments):
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
