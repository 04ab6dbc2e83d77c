"""JTT: it is ERM without an up-weight, and draws its errors more often with one."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.methods import fit, jtt
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.synthetic import quick_settings


def with_upweight(experiment, upweight: int) -> Experiment:
    settings = replace(experiment.settings, jtt_upweight=upweight)
    return experiment.with_settings(settings)


@pytest.mark.parametrize("resident_rows", [None, 700])
def test_an_up_weight_of_one_is_erm(task, experiment, resident_rows):
    """The same draws, the same program: the same heads to the bit, and the same log."""
    prepared = experiment.prepared if resident_rows is None else prepare(task, resident_rows)
    one = with_upweight(Experiment(prepared, experiment.settings, 0), 1)
    found, expected = fit("jtt", one), fit("erm", one)
    for selection, classifier in expected.classifiers.items():
        assert (found.classifiers[selection].head.weight == classifier.head.weight).all(), selection
    assert found.selected_steps == expected.selected_steps
    for name, column in expected.history.items():
        assert (found.history[name] == column).all(), name


def test_errors_are_drawn_as_often_as_the_up_weight_says(experiment):
    """Three passes over the repeated rows: each error 3 * 7 times, each other row 3 times."""
    settings, errors = experiment.settings, experiment.calibration_set.rows
    train = experiment.task.rows("train")
    repeated = len(train) + 6 * len(errors)
    changes = {"jtt_upweight": 7, "batch_size": repeated, "erm_steps": 3, "evaluations": 1}
    other = Experiment(
        experiment.prepared, replace(settings, **changes), 0, shared=experiment.shared
    )
    segment = next(other.erm_segments(jtt.METHOD.stage, jtt.count_repeats(other)))
    counts = np.bincount(segment.stage.batches.reshape(-1), minlength=len(experiment.task.labels))
    expected = np.zeros(len(experiment.task.labels), int)
    expected[train], expected[errors] = 3, 21
    assert counts.tolist() == expected.tolist()


def test_the_second_stage_starts_from_clip(experiment):
    segment = next(experiment.erm_segments(jtt.METHOD.stage, jtt.count_repeats(experiment)))
    assert (segment.stage.head.weight == experiment.initial_head().weight).all()


def test_repairs_the_worst_group_without_its_labels(experiment):
    found, erm = (
        fit_and_evaluate(name, experiment).metrics["worst-class"]["test"] for name in ("jtt", "erm")
    )
    assert found.worst_group > erm.worst_group + 0.2


def test_without_errors_it_cannot_be_fitted(experiment):
    few = experiment.with_settings(quick_settings(calibration_minimum=10**6))
    with pytest.raises(CalibrationError, match="for a calibration set"):
        fit("jtt", few)
