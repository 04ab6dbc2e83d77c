"""The training loop: its optimizer, its evaluations, its selections, and how often it compiles."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_cfr.calibrate.core.experiment import Experiment, prepare, selected_heads
from clip_cfr.calibrate.core.sampling import minibatches
from clip_cfr.calibrate.core.selection import criteria_values
from clip_cfr.calibrate.core.settings import CRITERIA
from clip_cfr.calibrate.core.train import Leg, advance, evaluation_steps, in_parts
from clip_cfr.calibrate.methods import cfr, fit
from tests.calibrate.synthetic import make_task, quick_settings


def leaves_equal(left, right) -> bool:
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all((np.asarray(x) == np.asarray(y)).all() for x, y in pairs)


class TestEvaluationSteps:
    @given(steps=st.integers(1, 5000), evaluations=st.integers(1, 300))
    def test_are_evenly_spaced_from_none_to_all(self, steps, evaluations):
        points = evaluation_steps(steps, evaluations)
        gaps = np.diff(points)
        assert (points[0], points[-1]) == (0, steps)
        assert len(gaps) == min(steps, evaluations)
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1


def lowest_and_average(correct, labels, groups):
    """Worst-class, average and worst-group accuracy from single rows."""
    by_class = [correct[labels == each].mean() for each in np.unique(labels)]
    by_group = [correct[groups == each].mean() for each in np.unique(groups)]
    return [min(by_class), correct.mean(), min(by_group)]


class TestCriteria:
    @settings(deadline=None)
    @given(st.integers(0, 10**6))
    def test_are_those_of_the_rows(self, seed):
        rng = np.random.default_rng(seed)
        labels, attributes, correct = rng.integers(3, size=(3, 40))
        found = self.of_rows(correct > 0, labels, attributes)
        expected = lowest_and_average(correct > 0, labels, labels * 3 + attributes)
        assert found == pytest.approx(np.array(expected), rel=1e-6)

    @settings(deadline=None)
    @given(st.integers(0, 10**6))
    def test_without_group_in_their_name_do_not_depend_on_attributes(self, seed):
        """Not even in the last bit, which could decide between equal values."""
        rng = np.random.default_rng(seed)
        labels, correct = rng.integers(3, size=(2, 173))
        first, second = (
            self.of_rows(correct > 0, labels, rng.integers(3, size=173)) for _ in range(2)
        )
        assert first[:2].tolist() == second[:2].tolist()

    @staticmethod
    def of_rows(correct, labels, attributes):
        groups = labels * 3 + attributes
        hits = np.bincount(groups, weights=correct, minlength=9).astype(np.float32)
        counts = np.bincount(groups, minlength=9).astype(np.int32)
        compiled = jax.jit(criteria_values, static_argnums=3)
        return np.asarray(compiled(hits, counts, np.arange(9) // 3, 3))


def erm_by_hand(experiment):
    """SGD on the cross-entropy in float64, with the gradient written out; weight and log scale."""
    chosen, task = experiment.settings, experiment.task
    batches = minibatches(
        experiment.rng("erm"), task.rows("train"), chosen.erm_steps, chosen.batch_size
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
        moved = np.abs(np.asarray(last.weight - experiment.start().weight)).max()
        assert moved > 0.05  # far more than the tolerance

    def test_loss_falls_on_separable_points(self):
        task = make_task(core=20, spurious=0)
        task.class_embeddings[:] = task.class_embeddings[::-1]  # all wrong at the start
        trained = Experiment(prepare(task), quick_settings(erm_lr=1e-2), 0).erm
        loss = np.asarray(trained.info.logged["loss"])
        assert loss[-1] < 0.05 * loss[0]
        assert np.asarray(trained.info.criteria)[-1].tolist() == [1, 1, 1]

    def test_a_frozen_logit_scale_stays(self, prepared):
        frozen = Experiment(prepared, quick_settings(freeze_logit_scale=True), 0)
        assert float(frozen.erm.last.log_scale) == float(frozen.start().log_scale)
        assert np.asarray(frozen.erm.info.logit_scale) == pytest.approx(np.full(6, 1 / 0.07))
        assert (frozen.erm.last.weight != frozen.start().weight).any()

    def test_a_trained_logit_scale_moves(self, experiment):
        assert float(experiment.erm.last.log_scale) != float(experiment.start().log_scale)

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
        assert leaves_equal(again.erm, experiment.erm)
        assert leaves_equal(cfr.fit(again).history, cfr.fit(experiment).history)
        assert (again.calibration_set.rows == experiment.calibration_set.rows).all()

    def test_other_seeds_give_other_heads(self, prepared, experiment):
        other = Experiment(prepared, quick_settings(), 1)
        assert not leaves_equal(other.erm.last, experiment.erm.last)

    def test_stages_draw_independently_of_each_other(self, prepared):
        """What CFR draws does not depend on how many steps ERM took."""
        short, long = (
            Experiment(prepared, quick_settings(erm_steps=steps), 0) for steps in (10, 60)
        )
        first, second = (each.rng("cfr").integers(10**9, size=5) for each in (short, long))
        assert (first == second).all()


class TestSelection:
    @pytest.fixture(params=["erm", "cfr"])
    def trained(self, request, overlapping):
        """Heads by selection, with the steps and the log of a stage."""
        fitted = fit(request.param, overlapping)
        return {name: each.head for name, each in fitted.classifiers.items()}, fitted

    def test_heads_have_the_values_that_they_were_selected_for(self, trained, overlapping):
        (heads, fitted), task = trained, overlapping.task
        rows = task.rows("val")
        for number, name in enumerate(CRITERIA):
            found = overlapping.probabilities(heads[name], rows).argmax(axis=1)
            labels = task.labels[rows]
            values = lowest_and_average(found == labels, labels, task.groups[rows])
            assert values[number] == pytest.approx(fitted.history[f"val {name}"].max(), abs=1e-6)

    def test_the_earliest_of_equal_values_counts(self, trained):
        _, fitted = trained
        for name in CRITERIA:
            best = fitted.history[f"val {name}"].argmax()
            assert fitted.selected_steps[name] == fitted.history["step"][best]

    def test_is_between_values_of_which_the_best_is_shared_and_not_the_last(self, overlapping):
        """So that these tests can tell the earliest, the best and the last apart."""
        values = fit("erm", overlapping).history["val worst-class"]
        assert (values == values.max()).sum() > 1
        assert values.argmax() < len(values) - 1

    def test_the_last_head_is_that_of_the_last_step(self, trained, overlapping):
        (heads, fitted), task = trained, overlapping.task
        rows = task.rows("val")
        found = overlapping.probabilities(heads["last"], rows).argmax(axis=1)
        assert fitted.selected_steps["last"] == 60
        average = (found == task.labels[rows]).mean()
        assert average == pytest.approx(fitted.history["val average"][-1], abs=1e-6)

    def test_group_accuracies_are_logged(self, trained, overlapping):
        (_, fitted), task = trained, overlapping.task
        groups = np.stack([fitted.history[f"val group {n}"] for n in range(task.num_groups)])
        assert groups.min(axis=0) == pytest.approx(fitted.history["val worst-group"], abs=1e-6)
        counts = task.group_counts("val")
        assert counts @ groups / counts.sum() == pytest.approx(
            fitted.history["val average"], abs=1e-6
        )

    def test_selected_heads_are_named_by_criterion(self, experiment):
        assert list(selected_heads(experiment.erm)) == [*CRITERIA, "last"]


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


def test_one_program_a_stage_serves_all_seeds_floats_and_calibration_sets(prepared, experiment):
    experiment.erm, cfr.fit(experiment)
    before = advance._cache_size()
    sizes = set()
    for seed, changes in enumerate([SWEPT, {"calibration_size": 4}, {"calibration_size": 0.5}]):
        other = Experiment(prepared, quick_settings(**changes), seed)
        cfr.fit(other)
        sizes.add(len(other.calibration_set.rows))
    assert len(sizes) == 3
    assert advance._cache_size() == before


def test_random_and_nearest_negatives_share_a_program(prepared, experiment):
    cfr.fit(experiment)
    before = advance._cache_size()
    cfr.fit(Experiment(prepared, quick_settings(negative="nns", nns_pool="all"), 0))
    assert advance._cache_size() == before


class TestWatch:
    @pytest.fixture
    def long(self, experiment):
        return experiment.with_settings(quick_settings(steps=47, evaluations=23))

    def test_hears_of_the_best_values_on_the_way_and_changes_nothing(self, long):
        heard = []
        watched = cfr.fit(long, lambda step, values: heard.append((step, values)))
        alone = cfr.fit(long)
        assert leaves_equal(watched.history, alone.history)
        assert watched.selected_steps == alone.selected_steps
        for name, classifier in alone.classifiers.items():
            assert leaves_equal(watched.classifiers[name].head, classifier.head)
        points = evaluation_steps(47, 23)
        assert [step for step, _ in heard] == [*points[3:-1:3].tolist(), 47]
        for step, values in heard:
            done = alone.history["step"] <= step
            best = {name: alone.history[f"val {name}"][done].max() for name in CRITERIA}
            assert values == best

    def test_may_end_the_stage(self, long):
        def stop(step, values):
            raise StopIteration(step)

        with pytest.raises(StopIteration, match=str(evaluation_steps(47, 23)[3])):
            cfr.fit(long, stop)

    @given(number=st.integers(2, 60), parts=st.integers(1, 12))
    def test_parts_join_and_all_but_the_last_are_equally_long(self, number, parts):
        found = [leg.points for leg in in_parts(Leg(None, None, np.arange(number)), parts)]
        assert all(left[-1] == right[0] for left, right in pairwise(found))
        assert (found[0][0], found[-1][-1]) == (0, number - 1)
        assert len(found) <= parts
        assert len({len(part) for part in found[:-1]}) <= 1
        assert len(found[-1]) <= len(found[0])
