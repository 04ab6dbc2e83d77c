"""DFR against scikit-learn, and what it says where the validation split will not do."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.metrics import Predictions
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.methods import dfr, fit
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.synthetic import make_task, quick_settings


def classifier(experiment):
    return fit("dfr", experiment).classifiers["last"]


def fit_one(features, labels, strength):
    """L1 logistic regression."""
    model = LogisticRegression(C=strength, l1_ratio=1, solver="liblinear", random_state=0)
    return model.fit(features, labels)


def best_strength(rng, features, labels, groups, seed):
    """The strength of the best worst-group accuracy on the half that it was not fitted on."""
    places = np.arange(len(labels))
    half, other = train_test_split(places, test_size=0.5, stratify=groups, random_state=seed)
    worst = {}
    for strength in (1, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01):
        chosen = half[dfr.draw_balanced_subsample(rng, groups[half])]
        guesses = fit_one(features[chosen], labels[chosen], strength).predict(features[other])
        right = guesses == labels[other]
        worst[strength] = min(right[groups[other] == each].mean() for each in np.unique(groups))
    return max(worst, key=worst.get)


def by_scikit_learn(experiment, rows):
    """Mean decision function for class 1 of the models that the experiment's seed draws."""
    task, rng, val = experiment.task, experiment.rng(dfr.METHOD.stream), experiment.task.rows("val")
    scaler = StandardScaler().fit(task.features[task.rows("train")])
    features, labels, groups = (
        scaler.transform(task.features[val]),
        task.labels[val],
        task.groups[val],
    )
    strength = best_strength(rng, features, labels, groups, experiment.seed)
    scores = []
    for _ in range(experiment.settings.dfr_subsamples):
        chosen = dfr.draw_balanced_subsample(rng, groups)
        model = fit_one(features[chosen], labels[chosen], strength)
        scores.append(make_pipeline(scaler, model).decision_function(task.features[rows]))
    return np.mean(scores, axis=0)


def test_is_the_average_of_scikit_learn_s_models(experiment, task):
    rows = task.rows("test")
    found = classifier(experiment)
    scores = task.features[rows] @ found.weight + found.bias
    expected = by_scikit_learn(experiment, rows)
    assert scores[:, 1] == pytest.approx(expected, abs=1e-2)
    assert scores[:, 0] == pytest.approx(-expected, abs=1e-2)
    guesses = found.logits(experiment, rows).argmax(axis=1)
    assert guesses.tolist() == scores.argmax(axis=1).tolist()


@pytest.mark.parametrize("name", ["task", "many_class_task"])
def test_shows_that_the_features_hold_what_is_needed(name, request):
    experiment = Experiment(prepare(request.getfixturevalue(name)), quick_settings(), 0)
    best, erm = (
        fit_and_evaluate(each, experiment).metrics["worst-class"]["test"] for each in ("dfr", "erm")
    )
    assert best.worst_group > erm.worst_group + 0.3
    assert best.average > erm.average


def test_leaves_nothing_to_select(experiment):
    fitted = fit("dfr", experiment)
    assert len({id(each) for each in fitted.classifiers.values()}) == 1
    assert not fitted.selected_steps
    assert not fitted.history


def test_probabilities_are_probabilities(experiment, task):
    rows = task.rows("test")
    logits = classifier(experiment).logits(experiment, rows)
    found = Predictions("test", rows, logits).probabilities
    assert found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(np.ones(len(rows)), rel=1e-5)
    assert found.min() >= 0


def test_arrays_serve_features_as_they_are(experiment, task):
    found = classifier(experiment)
    arrays, rows = found.arrays(experiment), task.rows("test")
    scores = task.features[rows] @ arrays["linear_weight"] + arrays["linear_bias"]
    guesses = found.logits(experiment, rows).argmax(axis=1)
    assert scores.argmax(axis=1).tolist() == guesses.tolist()


class TestBalancedSubsample:
    def test_has_as_many_rows_of_each_group_as_the_smallest_has(self, rng):
        groups = np.repeat([0, 1, 3], [50, 7, 20])
        chosen = dfr.draw_balanced_subsample(rng, groups)
        assert np.bincount(groups[chosen]).tolist() == [7, 7, 0, 7]
        assert len(set(chosen)) == 21

    def test_differs_from_draw_to_draw(self, rng):
        groups = np.repeat([0, 1], [50, 7])
        first, second = (set(dfr.draw_balanced_subsample(rng, groups)) for _ in range(2))
        assert first != second


class TestRefusals:
    def test_a_group_of_one_row(self):
        task = make_task()
        lonely = np.flatnonzero((task.splits == 1) & (task.groups == 1))[1:]
        valid = task.valid.copy()
        valid[lonely] = False
        with pytest.raises(CalibrationError) as error:
            fit("dfr", Experiment(prepare(replace(task, valid=valid)), quick_settings(), 0))
        assert str(error.value) == (
            "dfr needs at least two validation rows in each group, found one in "
            "(class 0, attribute 1): leave the method out "
            "(--method zeroshot --method erm --method cfr)"
        )

    def test_one_class(self):
        task = make_task()
        valid = (task.splits != 1) | (task.labels == 1)
        with pytest.raises(CalibrationError) as error:
            fit("dfr", Experiment(prepare(replace(task, valid=valid)), quick_settings(), 0))
        assert str(error.value) == (
            "dfr needs validation rows of at least two classes: leave the method out "
            "(--method zeroshot --method erm --method cfr)"
        )

    def test_an_empty_group_is_none(self):
        task = make_task(agreement=(0.95, 1.0, 0.5))
        found = fit_and_evaluate("dfr", Experiment(prepare(task), quick_settings(), 0))
        assert found.metrics["last"]["test"].average > 0.5

    def test_a_class_that_validation_has_none_of_is_never_predicted(self, many_class_task):
        task = many_class_task
        valid = (task.splits != 1) | (task.labels < 3)
        experiment = Experiment(prepare(replace(task, valid=valid)), quick_settings(), 0)
        found = classifier(experiment).logits(experiment, task.rows("test"))
        assert found.argmax(axis=1).max() == 2
