"""Group DRO end to end: its minibatches, its weights, and that it does what it is for."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.methods import fit
from clip_cfr.calibrate.methods.group_dro import METHOD, make_segments
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.synthetic import make_task, quick_settings


def weights_of(fitted) -> np.ndarray:
    """The logged weights, (evaluations, groups)."""
    history = fitted.history
    return np.stack([history[name] for name in history if name.startswith("weight of")], axis=1)


def test_minibatches_are_balanced_over_the_groups(experiment, task):
    segments = make_segments(experiment, METHOD.stage, task.groups, task.num_groups)
    batches = next(segments).stage.batches
    assert batches.rows.shape == batches.groups.shape == (60, 32)
    assert (task.groups[batches.rows] == batches.groups).all()
    assert set(batches.rows.reshape(-1)) <= set(task.rows("train"))
    for step in batches.groups:
        assert np.bincount(step, minlength=4).tolist() == [8, 8, 8, 8]


def test_weights_concentrate_on_the_group_of_highest_loss(experiment, task):
    """With a head that does not move, log q_g grows by eta times the loss of the group."""
    changes = {"group_dro_step": 0.2, "erm_lr": 1e-9, "dropout": 0.0, "batch_size": 256}
    still = Experiment(experiment.prepared, quick_settings(**changes), 0)
    rows = task.rows("train")
    chances = still.probabilities(still.initial_head(), rows)
    losses = -np.log(chances[np.arange(len(rows)), task.labels[rows]])
    means = np.array([losses[task.groups[rows] == group].mean() for group in range(4)])
    fitted = fit("group-dro", still)
    weights = weights_of(fitted)
    worst = int(means.argmax())
    assert (np.diff(weights[:, worst]) >= 0).all()
    assert weights[-1, worst] > 0.95
    # Each column is a mean over ten steps, of the weights after each.
    grown = np.exp(0.2 * means * np.arange(51, 61)[:, None])
    expected = (grown / grown.sum(axis=1, keepdims=True)).mean(axis=0)
    assert weights[-1] == pytest.approx(expected, abs=0.02)


def test_a_step_size_of_zero_leaves_the_weights_equal(experiment):
    still = experiment.with_settings(quick_settings(group_dro_step=0.0))
    assert weights_of(fit("group-dro", still)) == pytest.approx(np.full((6, 4), 0.25), rel=1e-4)


def test_a_group_without_training_rows_has_no_weight():
    """No training row of class 0 has attribute 1, and none of class 1 attribute 0."""
    task = make_task(agreement=(1.0, 0.5, 0.5))
    weights = weights_of(fit("group-dro", Experiment(prepare(task), quick_settings(), 0)))
    assert (weights[:, [1, 2]] == 0).all()
    assert weights[:, [0, 3]].sum(axis=1) == pytest.approx(np.ones(6), rel=1e-4)


def test_raises_the_worst_group_above_erm(experiment):
    dro, erm = (
        fit_and_evaluate(name, experiment).metrics["worst-class"]["test"]
        for name in ("group-dro", "erm")
    )
    assert erm.worst_group < 0.5
    assert dro.worst_group > erm.worst_group + 0.3


def test_uses_the_labels_of_the_training_split_alone(task, experiment):
    """Other attributes on val and test: the same heads; other ones on train: others."""
    rng, train = np.random.default_rng(1), task.splits == 0
    shuffled = rng.permutation(task.attributes)
    heads = []
    for where in (np.zeros(len(train), bool), ~train, train):
        changed = replace(task, attributes=np.where(where, shuffled, task.attributes))
        other = Experiment(prepare(changed), experiment.settings, 0)
        heads.append(fit("group-dro", other).classifiers["last"].head.weight)
    assert (heads[0] == heads[1]).all()
    assert (heads[0] != heads[2]).any()


def test_serves_windows_of_resident_rows(task):
    experiment = Experiment(prepare(task, resident_rows=700), quick_settings(), 0)
    weights = weights_of(fit("group-dro", experiment))
    assert weights.sum(axis=1) == pytest.approx(np.ones(6), rel=1e-4)
