"""Group-reweighted logistic regression against scikit-learn and against class balance."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.methods import fit
from clip_cfr.calibrate.methods.checks import check_task
from clip_cfr.calibrate.methods.group_lr import weigh_groups
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.synthetic import make_task, quick_settings


def probabilities(task, rows, criterion="average"):
    """Return the chosen strength and the probabilities of rows."""
    experiment = Experiment(prepare(task), quick_settings(), 0)
    fitted = fit("group-lr", experiment)
    logits = fitted.classifiers[criterion].logits(experiment, rows)
    return fitted.chosen[criterion]["C"], softmax(logits, axis=1)


def by_scikit_learn(task, strength, rows, *, class_weight=None, row_weights=None):
    train = task.rows("train")
    scaler = StandardScaler().fit(task.features[train].astype(float))
    features = scaler.transform(task.features.astype(float))
    model = LogisticRegression(C=strength, class_weight=class_weight, tol=1e-8, max_iter=100_000)
    model.fit(features[train], task.labels[train], sample_weight=row_weights)
    return model.predict_proba(features[rows])


def test_weights_by_hand():
    weights = weigh_groups(np.array([0, 3, 0, 0, 3, 5]))
    assert weights.tolist() == pytest.approx([2 / 3, 1, 2 / 3, 2 / 3, 1, 2])


def test_every_group_that_occurs_has_the_same_total(rng):
    groups = rng.choice([0, 1, 4, 7], p=[0.9, 0.05, 0.03, 0.02], size=1000)
    totals = np.bincount(groups, weigh_groups(groups))
    assert totals[totals > 0] == pytest.approx(np.full(4, 250.0))


def test_one_group_for_each_class_is_class_balance(rng):
    task = make_task(core=1.5, spurious=2)
    rare = (task.splits == 0) & (task.labels == 1) & (rng.random(len(task.labels)) < 0.8)
    task = replace(task, valid=~rare, attributes=task.labels)
    rows = task.rows("test")
    strength, found = probabilities(task, rows)
    expected = by_scikit_learn(task, strength, rows, class_weight="balanced")
    assert found == pytest.approx(expected, abs=5e-4)
    plain = by_scikit_learn(task, strength, rows)
    assert np.abs(found - plain).max() > 0.05


def test_is_scikit_learn_s_with_the_weights_as_sample_weights():
    task = make_task(core=1.5, spurious=2)
    rows, train = task.rows("test"), task.rows("train")
    counts = np.bincount(task.groups[train])
    row_weights = len(train) / (4 * counts[task.groups[train]])
    strength, found = probabilities(task, rows)
    expected = by_scikit_learn(task, strength, rows, row_weights=row_weights)
    assert found == pytest.approx(expected, abs=5e-4)


def test_groups_without_training_rows_are_left_out():
    task = make_task(agreement=(1.0, 0.5, 0.5))
    assert (task.group_counts("train") == 0).sum() == 2
    _, found = probabilities(task, task.rows("test"))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", ["task", "many_class_task"])
def test_is_above_the_probe_that_does_not_know_the_groups(name, request):
    task = request.getfixturevalue(name)
    experiment = Experiment(prepare(task), quick_settings(), 0)
    known, unknown = (
        fit_and_evaluate(each, experiment).metrics["worst-class"]["test"].worst_group
        for each in ("group-lr", "linear-probe")
    )
    assert known > unknown


def test_without_attributes_it_is_refused(task):
    none = replace(task, attributes=np.zeros_like(task.attributes), attribute_names=("any",))
    expected = (
        "group-lr needs group labels: expected at least two attributes in the cache, found only "
        "'any'; make the cache from a list with attributes, or leave the method out"
    )
    with pytest.raises(CalibrationError) as error:
        check_task(none, quick_settings(), ["group-lr"])
    assert str(error.value) == expected
    with pytest.raises(CalibrationError) as error:
        fit("group-lr", Experiment(prepare(none), quick_settings(), 0))
    assert str(error.value) == expected


def test_needs_the_features_in_memory(task):
    with pytest.raises(CalibrationError, match="group-lr needs the features of all training rows"):
        check_task(task, quick_settings(), ["group-lr"], 700)
