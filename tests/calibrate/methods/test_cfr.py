"""CFR end to end: what it draws, that every variant trains, and that it does what it is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import embed
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.sampling import EMPTY
from clip_cfr.calibrate.methods.cfr import make_segments
from clip_cfr.calibrate.methods.cfr_batches import alphas
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.reference import chosen_rows
from tests.calibrate.synthetic import make_task, quick_settings

# Structures of the program and terms of its loss; terms are added up, so that not every combination
# is needed. Settings that compile nothing are varied with them.
VARIANTS = [
    {"positive": "dps", "negative": "rns", "holistic": "cosine"},
    {"positive": "dps", "negative": "nns", "holistic": "cosine", "nns_pool": "all", "init": "clip"},
    {"positive": "dps", "negative": "nns", "holistic": "supcon", "nns_pool": "minibatch"},
    {"positive": "dps", "negative": "nns", "holistic": "none", "nns_pool": "40"},
    {"positive": "rps", "negative": "rns", "holistic": "supcon", "cross_entropy": "calibration"},
    {"positive": "rps", "negative": "nns", "holistic": "supcon", "cross_entropy": "calibration"},
    {"positive": "rps", "negative": "nns", "holistic": "none", "nns_pool": "minibatch"},
    {"positive": "rps", "negative": "nns", "nns_pool": "40", "cross_entropy": "train"},
    {"negative_pool": "minibatch"},
    {"negative_pool": "minibatch", "num_negatives": 20, "positive": "rps"},
    {"positive_pool": "minibatch", "negative_pool": "minibatch", "positive": "rps"},
    {"alpha_schedule": "cosine", "dps_weighting": "confidence"},
    {"dps_weighting": "entropy", "dps_source": "zeroshot", "init": "clip"},
    {"calibration_source": "zeroshot", "freeze_logit_scale": True, "dropout": 0.0},
    {"calibration_size": 5, "calibration_subset": "confident", "alpha": 0.0},
]


def name_of(variant) -> str:
    return "-".join(map(str, variant.values()))


def vary(prepared, variant, **changes) -> Experiment:
    return Experiment(prepared, quick_settings(**variant, **changes), 0)


@pytest.mark.parametrize("variant", VARIANTS, ids=name_of)
def test_every_variant_trains(prepared, variant):
    outcome = fit_and_evaluate("cfr", vary(prepared, variant))
    for column in outcome.fitted.history.values():
        assert np.isfinite(column).all()
    heads = [each.head for each in outcome.fitted.classifiers.values()]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(heads))
    chances = outcome.predictions["last"]["test"].probabilities
    assert chances.sum(axis=1) == pytest.approx(np.ones(len(chances)), rel=1e-5)


class TestWhatItIsFor:
    def test_repairs_the_worst_group_without_its_labels(self, experiment):
        cfr, erm = (
            fit_and_evaluate(name, experiment).metrics["worst-class"]["test"]
            for name in ("cfr", "erm")
        )
        assert erm.worst_group < 0.5
        assert cfr.worst_group > erm.worst_group + 0.3
        assert cfr.average > erm.average

    def test_leaves_alone_what_has_no_spurious_direction(self):
        task = make_task(spurious=0)
        experiment = Experiment(prepare(task), quick_settings(), 0)
        cfr, erm = (
            fit_and_evaluate(name, experiment).metrics["worst-class"]["test"]
            for name in ("cfr", "erm")
        )
        assert cfr.worst_group > erm.worst_group - 0.05

    def test_serves_many_classes(self, many_class_task):
        experiment = Experiment(
            prepare(many_class_task),
            quick_settings(lr=1e-2, identification_lr=1e-2, erm_lr=1e-2),
            0,
        )
        cfr, erm = (
            fit_and_evaluate(name, experiment).metrics["worst-class"]["test"]
            for name in ("cfr", "erm")
        )
        assert len(cfr.groups) == 25
        assert cfr.group_mean > erm.group_mean + 0.15
        assert cfr.average > erm.average + 0.15


class TestBatches:
    @pytest.fixture
    def wrong(self, experiment):
        return experiment.calibration_set.rows

    def draw(self, experiment, **changes):
        """Batches of other settings on the shared identification stage."""
        return next(
            make_segments(experiment.with_settings(quick_settings(**changes)))
        ).stage.batches

    def test_anchors_are_the_calibration_set_in_turn(self, experiment, wrong):
        batches = self.draw(experiment)
        counts = np.bincount(batches.anchors.reshape(-1), minlength=len(experiment.task.labels))
        assert set(np.flatnonzero(counts)) == set(wrong)
        assert counts[wrong].max() - counts[wrong].min() <= 1

    def test_minibatches_are_of_the_training_split(self, experiment):
        batches = self.draw(experiment)
        assert set(np.unique(batches.training)) == set(experiment.task.rows("train"))

    @pytest.mark.parametrize("source", ["correct", "all"])
    def test_positives_are_of_the_anchor_s_class(self, experiment, source):
        changes = {"positive_source": source, "dps_source": "zeroshot"}
        batches = self.draw(experiment, positive="rps", **changes)
        labels, pool = experiment.task.labels, batches.positives
        rows, anchors = chosen_rows(pool), batches.anchors[..., None]
        used = rows != EMPTY
        assert ((labels[rows] == labels[anchors]) & (rows != anchors))[used].all()
        assert (experiment.task.splits[rows] == 0)[used].all()
        everything = np.arange(len(labels))
        right = (
            experiment.probabilities(experiment.identification_head, everything).argmax(axis=1)
            == labels
        )
        assert right[rows][used].all() == (source == "correct")

    def test_positives_of_the_minibatch_have_a_pool_where_it_lacks_some(self, experiment):
        changes = {"positive": "rps", "positive_pool": "minibatch"}
        large = self.draw(experiment, **changes)
        assert large.positives is None
        head, labels = experiment.identification_head, experiment.task.labels
        right = experiment.logits(head, np.arange(len(labels))).argmax(axis=1) == labels
        assert large.eligible.tolist() == right[large.training].tolist()
        small = self.draw(experiment, **changes, batch_size=1)
        assert small.positives.rows.shape[0] == len(small.training)
        assert self.draw(experiment, **changes, positive_source="all").eligible.all()

    @pytest.mark.parametrize("changes", [{"negative": "rns"}, {"negative": "nns"}], ids=name_of)
    def test_negatives_are_of_other_classes(self, experiment, changes):
        batches = self.draw(experiment, **changes)
        labels, pool = experiment.task.labels, batches.negatives
        assert (pool.indices != EMPTY).all()
        rows = chosen_rows(pool)
        assert (labels[rows] != labels[batches.anchors[..., None]]).all()
        assert (experiment.task.splits[rows] == 0).all()

    @pytest.mark.parametrize("init", ["identification", "clip"])
    def test_the_nearest_negatives_are_those_of_the_identification_head(
        self, experiment, task, init
    ):
        pool = (batches := self.draw(experiment, negative="nns", init=init)).negatives
        features = experiment.prepared.features
        vectors = np.asarray(
            embed(experiment.identification_head, features.gather(jnp.arange(1000))).unit
        )
        chosen = chosen_rows(pool)
        for place, anchor in enumerate(batches.anchors[0]):
            others = np.flatnonzero(task.labels[:1000] != task.labels[anchor])
            cosines = vectors[others] @ vectors[anchor]
            assert chosen[0, place].tolist() == others[np.argsort(-cosines)[:4]].tolist()

    def test_a_pool_of_nearest_candidates_is_as_large_as_asked_for(self, experiment):
        batches = self.draw(experiment, negative="nns", nns_pool="40")
        assert batches.negatives.rows.shape == (60, 1, 40)
        assert batches.negatives.indices is None
        labels = experiment.task.labels[batches.negatives.rows[0, 0]]
        assert np.bincount(labels).tolist() == [20, 20]

    def test_random_negatives_of_the_minibatch_draw_nothing(self, experiment):
        assert self.draw(experiment, negative_pool="minibatch").negatives is None

    def test_a_pool_serves_anchors_that_the_minibatch_lacks_negatives_for(self, experiment):
        changes = {"negative_pool": "minibatch", "num_negatives": 20}
        pool = self.draw(experiment, **changes).negatives
        assert pool.indices is None
        classes = experiment.task.labels[pool.rows[:, 0]]
        assert ((classes == 0).sum(axis=1) == 20).all()
        assert ((classes == 1).sum(axis=1) == 20).all()

    def test_the_minibatch_as_pool_draws_nothing(self, experiment):
        batches = self.draw(experiment, negative="nns", nns_pool="minibatch")
        assert batches.negatives is None


class TestAlpha:
    def test_is_constant_unless_asked_for(self):
        assert alphas(quick_settings(alpha=1.5), np.arange(60)) == pytest.approx(np.full(60, 1.5))

    def test_cosine_counts_evaluations_as_epochs(self):
        """Six evaluations of ten steps: alpha (1 + cos(2 pi e / 6) / 2)."""
        found = alphas(quick_settings(alpha=2.0, alpha_schedule="cosine"), np.arange(60))
        expected = [2 * (1 + np.cos(2 * np.pi * (step // 10) / 6) / 2) for step in range(60)]
        assert found == pytest.approx(np.array(expected), rel=1e-6)
