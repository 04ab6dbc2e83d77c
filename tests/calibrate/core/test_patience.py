"""When a stage stops before its last step, and the results that it then has."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.selection import NEVER, make_patience
from clip_cfr.calibrate.core.settings import ALWAYS_COUNTED, CRITERIA
from clip_cfr.calibrate.core.stage_spec import ERM_STAGE
from clip_cfr.calibrate.core.train import train, train_together
from tests.calibrate.trees import assert_trees_equal

PATIENCES = (1, 2, 3)


def with_patience(experiment, patience, **changes):
    """Return a fresh experiment that differs in its patience, and in other settings if given."""
    settings = replace(experiment.settings, evaluations=12, patience=patience, **changes)
    return Experiment(experiment.prepared, settings, experiment.seed)


def expected_evaluations(criteria, patience, counted):
    """Return how many evaluations a stage makes, given those of a stage that never stops."""
    best, waiting = np.full(len(CRITERIA), -np.inf), 0
    for index, values in enumerate(criteria):
        better = values > best
        best = np.maximum(best, values)
        waiting = 0 if better[counted].any() else waiting + 1
        if waiting >= patience:
            return index + 1
    return len(criteria)


@pytest.mark.parametrize("selection", ["worst-class", "worst-group"])
@pytest.mark.parametrize("patience", PATIENCES)
def test_stops_after_as_many_evaluations_without_a_better_value(overlapping, patience, selection):
    whole = with_patience(overlapping, 0, selection=selection).erm
    stopped = with_patience(overlapping, patience, selection=selection).erm
    counted = [CRITERIA.index(each) for each in {"worst-class", "average", selection}]
    count = expected_evaluations(whole.info.criteria, patience, counted)
    assert count < len(whole.info.step) or patience == PATIENCES[-1]
    assert_trees_equal(stopped.info, jax.tree.map(lambda column: column[:count], whole.info))
    assert int(stopped.best.step) == int(whole.info.step[count - 1])


def test_the_last_head_is_that_of_the_step_at_which_it_stops(overlapping):
    experiment = with_patience(overlapping, 1)
    trained, task = experiment.erm, experiment.task
    rows = task.rows("val")
    predicted = experiment.logits(trained.last, rows).argmax(axis=1)
    average = np.mean(predicted == task.labels[rows])
    assert len(trained.info.step) < 12
    assert trained.info.criteria[-1, CRITERIA.index("average")] == pytest.approx(average)


def test_progress_in_between_changes_nothing(overlapping):
    calls = []
    silent = with_patience(overlapping, 1)
    reporting = replace(with_patience(overlapping, 1), progress=lambda *each: calls.append(each))
    assert_trees_equal(reporting.erm, silent.erm)
    steps = silent.settings.erm_steps
    assert calls[-1] == ("erm", steps, steps)
    assert [each[1] for each in calls].count(steps) == 1


def test_the_windows_after_the_stop_are_not_loaded(overlapping):
    prepared = prepare(overlapping.task, resident_rows=500)
    experiment = with_patience(replace(overlapping, prepared=prepared), 1)
    loaded = []
    segments = (loaded.append(each) or each for each in experiment.erm_segments(ERM_STAGE))
    criteria = train(experiment.erm_objective(), segments).info.criteria
    counted = [CRITERIA.index(each) for each in (*ALWAYS_COUNTED, "inferred-groups")]
    assert len(criteria) == expected_evaluations(criteria, 1, counted) < 12
    assert len(loaded) < len(list(experiment.erm_segments(ERM_STAGE)))


@pytest.mark.parametrize("patience", PATIENCES)
def test_stages_that_run_together_stop_on_their_own(overlapping, patience):
    experiments = [
        replace(with_patience(overlapping, patience, erm_lr=lr, selection="worst-class"), seed=seed)
        for seed in (3, 4)
        for lr in (1e-2, 1e-3)
    ]
    segments = [next(each.erm_segments(ERM_STAGE)) for each in experiments]
    objective = experiments[0].erm_objective()
    together = train_together(objective, segments)
    for found, segment in zip(together, segments, strict=True):
        alone = train(objective, [segment])
        assert found.info.step.tolist() == alone.info.step.tolist()
        assert np.asarray(found.best.steps).tolist() == np.asarray(alone.best.steps).tolist()
        weights = (np.asarray(each.last.weight) for each in (found, alone))
        assert next(weights) == pytest.approx(next(weights), abs=2e-5)
    assert len({len(each.info.step) for each in together}) > 1


@pytest.mark.parametrize(
    ("selection", "counted"),
    [
        ("worst-class", [True, True, False, False, False]),
        ("average", [True, True, False, False, False]),
        ("last", [True, True, False, False, False]),
        ("inferred-groups", [True, True, True, False, False]),
        ("worst-named-group", [True, True, False, True, False]),
        ("worst-group", [True, True, False, False, True]),
    ],
)
def test_group_labels_count_only_where_they_select(selection, counted):
    assert make_patience(5, selection).criteria.tolist() == counted


def test_no_patience_never_ends():
    assert int(make_patience(0, "average").evaluations) == NEVER
