"""The training loop: its optimizer, its determinism, and how often it is compiled."""

import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.sampling import draw_minibatches
from clip_cfr.calibrate.core.settings import CRITERIA
from clip_cfr.calibrate.core.stage_spec import ERM_STAGE
from clip_cfr.calibrate.methods import cfr
from tests.calibrate.synthetic import make_task, quick_settings
from tests.calibrate.traces import assert_max_traces
from tests.calibrate.trees import assert_trees_equal, list_differences


def erm_by_hand(experiment):
    """SGD on the cross-entropy in float64, with the gradient written out; weight and log scale."""
    chosen, task = experiment.settings, experiment.task
    batches = draw_minibatches(
        experiment.rng(ERM_STAGE.stream), task.rows("train"), chosen.erm_steps, chosen.batch_size
    )
    units, texts = experiment.prepared.units, task.class_embeddings.astype(float)
    features = task.features.astype(float) / units.features
    weight = task.projection.astype(float) * units.features / units.projected
    log_scale, velocities = np.log(chosen.logit_scale), (0.0, 0.0)
    for rows in batches:
        projected = features[rows] @ weight
        lengths = np.linalg.norm(projected, axis=1, keepdims=True)
        embeddings = projected / lengths
        scores = np.exp(log_scale) * embeddings @ texts.T
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        slopes = (chances - np.eye(task.num_classes)[task.labels[rows]]) / len(rows)
        of_embeddings = np.exp(log_scale) * slopes @ texts
        radial = np.sum(of_embeddings * embeddings, axis=1, keepdims=True) * embeddings
        gradients = (
            features[rows].T @ ((of_embeddings - radial) / lengths) + chosen.weight_decay * weight,
            np.sum(slopes * scores),
        )
        pairs = zip(velocities, gradients, strict=True)
        velocities = [chosen.momentum * v + g for v, g in pairs]
        weight = weight - chosen.erm_lr * velocities[0]
        log_scale = log_scale - chosen.erm_lr * velocities[1]
    return weight, log_scale


class TestErm:
    def test_is_sgd_with_momentum_and_decay_of_the_projection_alone(self, prepared):
        changes = {"dropout": 0.0, "erm_lr": 3e-3, "weight_decay": 0.1}
        experiment = Experiment(prepared, quick_settings(**changes), 0)
        weight, log_scale = erm_by_hand(experiment)
        last = experiment.erm.last
        found = np.asarray(last.weight).T
        assert found == pytest.approx(weight, rel=1e-3, abs=1e-4)
        assert float(last.log_scale) == pytest.approx(log_scale, rel=1e-4)
        moved = np.abs(np.asarray(last.weight - experiment.initial_head().weight)).max()
        assert moved > 0.05  # far more than the tolerance

    def test_loss_falls_on_separable_points(self):
        task = make_task(core=20, spurious=0)
        task.class_embeddings[:] = task.class_embeddings[::-1]  # all wrong at the start
        trained = Experiment(prepare(task), quick_settings(erm_lr=1e-2), 0).erm
        loss = np.asarray(trained.info.logged["loss"])
        assert loss[-1] < 0.05 * loss[0]
        assert np.asarray(trained.info.criteria)[-1].tolist() == [1] * len(CRITERIA)

    def test_a_frozen_logit_scale_stays(self, prepared):
        frozen = Experiment(prepared, quick_settings(freeze_logit_scale=True), 0)
        assert float(frozen.erm.last.log_scale) == float(frozen.initial_head().log_scale)
        assert np.asarray(frozen.erm.info.logit_scale) == pytest.approx(np.full(6, 1 / 0.07))
        assert (frozen.erm.last.weight != frozen.initial_head().weight).any()

    def test_a_trained_logit_scale_moves(self, experiment):
        assert float(experiment.erm.last.log_scale) != float(experiment.initial_head().log_scale)

    def test_half_precision_features_change_little(self, task, experiment):
        half = make_task(dtype=np.float16)
        trained = Experiment(prepare(half), experiment.settings, 0).erm
        found, expected = (np.asarray(each.last.weight) for each in (trained, experiment.erm))
        assert prepare(half).features.values.dtype == jnp.float16
        assert found == pytest.approx(expected, abs=5e-3)
        assert np.asarray(trained.info.criteria) == pytest.approx(
            np.asarray(experiment.erm.info.criteria), abs=0.03
        )

    @pytest.mark.parametrize("scaled", ["features", "projection"])
    def test_units_of_the_cache_change_nothing(self, task, experiment, scaled):
        changed = make_task()
        getattr(changed, scaled)[:] *= 10
        other = Experiment(prepare(changed), experiment.settings, 0)
        rows = task.rows("test")
        expected = experiment.probabilities(experiment.erm.last, rows)
        assert other.probabilities(other.erm.last, rows) == pytest.approx(expected, abs=1e-3)

    def test_a_scaled_projection_with_a_scaled_bias_changes_nothing(self):
        experiments = []
        for factor in (1, 10):
            task = make_task(bias=True)
            task.projection[:] *= factor
            task.bias[:] *= factor
            experiments.append(Experiment(prepare(task), quick_settings(), 0))
        first, second = (each.probabilities(each.erm.last, np.arange(50)) for each in experiments)
        assert first == pytest.approx(second, abs=1e-3)


class TestDeterminism:
    def test_equal_seeds_give_equal_bits(self, prepared, experiment):
        again = Experiment(prepared, quick_settings(), 0)
        assert_trees_equal(again.erm, experiment.erm)
        assert_trees_equal(cfr.fit(again).history, cfr.fit(experiment).history)
        assert again.calibration_set.rows.tolist() == experiment.calibration_set.rows.tolist()

    def test_other_seeds_give_other_heads(self, prepared, experiment):
        other = Experiment(prepared, quick_settings(), 1)
        assert list_differences(other.erm.last, experiment.erm.last)

    def test_stages_draw_independently_of_each_other(self, prepared):
        """What CFR draws does not depend on how many steps ERM took."""
        short, long = (
            Experiment(prepared, quick_settings(erm_steps=steps), 0) for steps in (10, 60)
        )
        first, second = (
            each.rng(cfr.METHOD.stage.stream).integers(10**9, size=5) for each in (short, long)
        )
        assert (first == second).all()


SWEPT = {
    "lr": 3e-3,
    "erm_lr": 3e-4,
    "momentum": 0.5,
    "weight_decay": 0.0,
    "temperature": 1.0,
    "holistic_weight": 0.5,
    "alpha": 1.5,
    "alpha_schedule": "cosine",
    "dropout": 0.0,
    "dps_momentum": 0.5,
    "dps_weighting": "entropy",
    "dps_source": "zeroshot",
    "logit_scale": 50.0,
    "freeze_logit_scale": True,
    "init": "clip",
    "calibration_source": "zeroshot",
    "selection": "last",
}


def test_seeds_floats_and_calibration_sets_share_a_program(prepared, experiment):
    experiment.erm, cfr.fit(experiment)
    sizes = set()
    with assert_max_traces("run_segment", 0):
        for seed, changes in enumerate([SWEPT, {"calibration_size": 4}, {"calibration_size": 0.5}]):
            other = Experiment(prepared, quick_settings(**changes), seed)
            cfr.fit(other)
            sizes.add(len(other.calibration_set.rows))
    assert len(sizes) == 3


def test_nearest_negatives_of_all_seeds_share_a_program(prepared):
    experiments = [Experiment(prepared, quick_settings(negative="nns"), seed) for seed in range(3)]
    cfr.fit(experiments[0])
    with assert_max_traces("run_segment", 0):
        cfr.fit(experiments[1]), cfr.fit(experiments[2])


def test_all_segments_of_a_stage_share_a_program(prepared):
    settings = quick_settings(erm_steps=90, evaluations=30)
    with assert_max_traces("run_segment", 1):
        assert Experiment(prepared, settings, 0, lambda *call: None).erm
