"""The choice of hyperparameters on val: each criterion its own, and the first of equal values."""

from dataclasses import replace

import numpy as np

from clip_cfr.calibrate.comparison.compare import evaluate_fitted
from clip_cfr.calibrate.comparison.cross_fit import cross_fit
from clip_cfr.calibrate.comparison.summary import judge
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.methods import fit
from clip_cfr.calibrate.methods.chosen_on_val import Candidate, choose
from clip_cfr.calibrate.methods.classifiers import LogitsClassifier
from tests.calibrate.inferred import inferred_value
from tests.calibrate.synthetic import make_task, quick_settings


def make_val_task():
    """A task whose val has eight rows: labels 00001111, attributes 00010001."""
    task = make_task(sizes=(40, 8, 8))
    labels, attributes = task.labels.copy(), task.attributes.copy()
    labels[40:48], attributes[40:48] = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 0, 0, 0, 1]
    return replace(task, labels=labels, attributes=attributes)


def candidate(size: float, correct: str) -> Candidate:
    """A candidate that is right about the rows of val that are 1."""
    nothing = LogitsClassifier(np.zeros((24, 2), np.float32), np.zeros(2, np.float32))
    return Candidate(nothing, {"size": size}, np.array([each == "1" for each in correct]))


def test_each_criterion_takes_its_best_by_hand():
    """Averages 6, 6, 5, 4 of 8; worst classes 2, 3, 2, 2 of 4; worst groups 0, 0, 1/3, 1/3."""
    candidates = [
        candidate(1, "11111100"),
        candidate(2, "11101110"),
        candidate(3, "11011001"),
        candidate(4, "10011001"),
    ]
    task = make_val_task()
    fitted = choose(task, candidates)
    inferred = [inferred_value(task, each.val_correct) for each in candidates]
    assert {name: each["size"] for name, each in fitted.chosen.items()} == {
        "worst-class": 2,
        "average": 1,
        "inferred-groups": 1 + int(np.argmax(inferred)),
        "worst-named-group": 2,
        "worst-group": 3,
        "last": 2,
    }
    assert fitted.classifiers["average"] is candidates[0].classifier
    assert fitted.val_correct.shape == (4, 8)


def test_a_choice_is_judged_on_rows_that_did_not_make_it():
    """Under `last`, worst class chooses, as it does for the result itself."""
    task = make_task(core=1.5, spurious=2)
    experiment = Experiment(prepare(task), quick_settings(), 0)
    outcome = evaluate_fitted(experiment, fit("linear-probe", experiment))
    second = np.arange(len(task.rows("val"))) % 2 == 1
    val_correct = outcome.fitted.val_correct
    for selection, by in (("worst-class", "worst-class"), ("last", "worst-class")):
        found = judge(task, outcome, selection, second)
        np.testing.assert_array_equal(found, cross_fit(task, val_correct, by, second))
    assert outcome.predictions["last"] is outcome.predictions["worst-class"]
