"""The formula of each saved head, executed by NumPy on the features of the cache."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.methods import METHODS, fit
from tests.calibrate.synthetic import make_task, quick_settings, unit

FUNCTIONS = {
    "normalize": unit,
    "softmax": lambda scores: softmax(scores, axis=1),
    "sigmoid": expit,
    "relu": lambda values: np.maximum(values, 0),
    "sum": lambda values: values.sum(axis=1, keepdims=True),
}


def apply_formula(formula, arrays, features):
    """Execute a formula, and return the probabilities that it computes."""
    names = {**FUNCTIONS, **arrays, "features": features.astype(np.float32), "__builtins__": {}}
    exec(formula, names)
    return names["probabilities"]


@pytest.fixture(scope="module", params=[False, True], ids=["no bias", "bias"])
def trained(request):
    task = make_task(bias=request.param, dtype=np.float16, core=1, spurious=1)
    return Experiment(prepare(task), quick_settings(erm_lr=1e-2, lr=1e-2), 0)


@pytest.mark.parametrize("method", METHODS)
def test_predicts_as_the_classifier_does(trained, method):
    rows = trained.task.rows("test")
    for classifier in fit(method, trained).classifiers.values():
        arrays = classifier.arrays(trained)
        found = apply_formula(classifier.formula, arrays, trained.task.features[rows])
        expected = softmax(classifier.logits(trained, rows), axis=1)
        assert found == pytest.approx(expected, abs=2e-4)
        assert found.argmax(axis=1).tolist() == expected.argmax(axis=1).tolist()


@pytest.mark.parametrize("method", METHODS)
def test_names_the_arrays_that_are_saved_and_no_others(trained, method):
    classifier = fit(method, trained).classifiers["last"]
    for name in classifier.arrays(trained):
        assert name in classifier.formula
    has_bias = "projection" in classifier.formula and trained.task.bias is not None
    assert ("@ projection + bias)" in classifier.formula) == has_bias
