"""The linear probes against scikit-learn, and the choice of their strength."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.methods import fit, logistic
from clip_cfr.calibrate.methods.checks import check_task
from tests.calibrate.inferred import inferred_value
from tests.calibrate.synthetic import make_task, quick_settings, unit

PROBES = ("linear-probe", "linear-probe-embeddings")


def inputs_of(name, task):
    """Return the inputs of a probe for all rows, in float64."""
    features = task.features.astype(np.float64)
    if name == "linear-probe":
        return features
    return unit(features @ task.projection + (0 if task.bias is None else task.bias))


def by_scikit_learn(inputs, task, strength):
    """Fit scikit-learn's pipeline to the training split, with a tight tolerance."""
    rows = task.rows("train")
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=100_000)
    return make_pipeline(StandardScaler(), model).fit(inputs[rows], task.labels[rows])


def values_of(task, correct):
    """Return the criteria on val from the correct predictions of all rows."""
    rows = task.rows("val")

    def lowest(cells):
        return min(correct[rows][cells[rows] == each].mean() for each in np.unique(cells[rows]))

    worst_class = lowest(task.labels)
    return {
        "worst-class": worst_class,
        "average": correct[rows].mean(),
        "inferred-groups": inferred_value(task, correct[rows]),
        "worst-named-group": worst_class,
        "worst-group": lowest(task.groups),
        "last": worst_class,
    }


@pytest.fixture(scope="module", params=["two classes", "five classes", "bias, float16"])
def probed(request):
    """Experiments on classes that overlap, so that strengths differ."""
    arguments = {
        "two classes": {},
        "five classes": {"classes": 5, "sizes": (900, 450, 450)},
        "bias, float16": {"bias": True, "dtype": np.float16},
    }[request.param]
    task = make_task(core=1.5, spurious=2, **arguments)
    return Experiment(prepare(task), quick_settings(), 0)


@pytest.mark.parametrize("name", PROBES)
def test_each_criterion_s_classifier_is_scikit_learn_s_at_the_best_strength(probed, name):
    task, inputs = probed.task, inputs_of(name, probed.task)
    models = {each: by_scikit_learn(inputs, task, each) for each in logistic.STRENGTHS}
    values = {
        each: values_of(task, model.predict(inputs) == task.labels)
        for each, model in models.items()
    }
    fitted, rows = fit(name, probed), task.rows("test")
    for criterion, classifier in fitted.classifiers.items():
        best = max(models, key=lambda each, criterion=criterion: values[each][criterion])
        assert fitted.chosen[criterion] == {"C": best}
        logits = classifier.logits(probed, rows)
        assert logits.dtype == np.float32
        found = softmax(logits, axis=1)
        assert found == pytest.approx(models[best].predict_proba(inputs[rows]), abs=5e-4)


def test_criteria_may_choose_different_strengths():
    task = make_task(core=1.5, spurious=2, agreement=(0.95, 0.9, 0.5))
    fitted = fit("linear-probe", Experiment(prepare(task), quick_settings(), 0))
    assert len({each["C"] for each in fitted.chosen.values()}) > 1
    assert fitted.chosen["last"] == fitted.chosen["worst-class"]


def test_group_labels_choose_nothing_but_the_oracle(probed):
    task = probed.task
    relabelled = replace(task, attributes=np.roll(task.attributes, 1))
    other = Experiment(prepare(relabelled), probed.settings, 0)
    first, second = (fit("linear-probe", each).chosen for each in (probed, other))
    for criterion in ("worst-class", "average", "last"):
        assert first[criterion] == second[criterion]


@pytest.mark.parametrize("name", PROBES)
def test_seeds_and_repetitions_give_equal_bits(probed, name):
    other = Experiment(prepare(probed.task), probed.settings, 1)
    first, second = (fit(name, each).classifiers["last"] for each in (probed, other))
    np.testing.assert_array_equal(first.weight, second.weight)
    np.testing.assert_array_equal(first.bias, second.bias)


def test_a_class_without_training_rows_is_never_predicted(many_class_task):
    task = many_class_task
    valid = (task.splits != 0) | (task.labels != 2)
    experiment = Experiment(prepare(replace(task, valid=valid)), quick_settings(), 0)
    for name in PROBES:
        logits = fit(name, experiment).classifiers["average"].logits(experiment, task.rows("test"))
        found = softmax(logits, axis=1)
        assert (found[:, 2] == 0).all()


def test_constant_features_and_classes_that_separate_are_sound_input():
    task = make_task(core=60, spurious=0)
    features = np.concatenate([task.features, np.full((len(task.features), 1), 7.0)], axis=1)
    projection = np.concatenate([task.projection, np.zeros((1, 12), np.float32)])
    separable = replace(task, features=features.astype(np.float32), projection=projection)
    experiment = Experiment(prepare(separable), quick_settings(), 0)
    found = fit("linear-probe", experiment).classifiers["average"]
    rows = separable.rows("test")
    assert (found.logits(experiment, rows).argmax(axis=1) == separable.labels[rows]).all()


class TestRefusals:
    @pytest.mark.parametrize("name", PROBES)
    def test_features_that_stay_in_a_file(self, task, name):
        with pytest.raises(CalibrationError) as error:
            check_task(task, quick_settings(), [name], 700)
        assert str(error.value) == (
            f"{name} needs the features of all training rows in memory, and only 700 rows are "
            "(--hold-rows): raise --hold-rows if memory allows, or leave the method out"
        )

    def test_more_than_the_memory(self, task, monkeypatch):
        monkeypatch.setattr(logistic, "physical_memory", lambda: 239_999)
        with pytest.raises(CalibrationError) as error:
            check_task(task, quick_settings(), ["linear-probe"])
        assert str(error.value) == (
            "linear-probe needs about 0 GB of memory for 1000 training rows, and this machine has "
            "0 GB: leave the method out"
        )
        check_task(task, quick_settings(), ["linear-probe-embeddings"])
        monkeypatch.setattr(logistic, "physical_memory", lambda: 240_000)
        check_task(task, quick_settings(), ["linear-probe"])
