"""Windows: the rows that are resident, and training on features that stay in a file."""

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.features import CHUNK_ROWS, to_device
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.segments import evaluation_steps
from clip_cfr.calibrate.core.windows import cycle_rows, make_windows, window_steps
from clip_cfr.calibrate.methods import cfr
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.synthetic import make_task, quick_settings
from tests.calibrate.traces import assert_max_traces
from tests.calibrate.trees import assert_trees_equal

RESIDENT_ROWS = 700  # of 1,640 rows, 240 of them for validation


class StoredFeatures:
    """Features that are read on request; records how many rows each request reads."""

    def __init__(self, features):
        self.shape, self.dtype, self.requests = features.shape, features.dtype, []
        self._features = features

    def __getitem__(self, rows):
        assert (np.diff(rows) > 0).all()
        self.requests.append(len(rows))
        return self._features[rows]


@pytest.fixture
def stored(task):
    return replace(task, features=StoredFeatures(task.features))


class TestCycleRows:
    @given(
        count=st.integers(1, 300),
        size=st.integers(1, 400),
        run_rows=st.integers(1, 70),
        seed=st.integers(0, 9),
    )
    def test_every_row_comes_once_before_any_comes_again(self, count, size, run_rows, seed):
        rows = np.arange(count) * 3
        rng = np.random.default_rng(seed)
        draws = list(islice(cycle_rows(rng, rows, min(size, count), run_rows), 7))
        for each in draws:
            assert (np.diff(each) > 0).all()
            assert set(each) <= set(rows)
        whole = count // min(size, count)  # draws that lie in the first pass
        first = np.concatenate(draws[:whole])
        assert len(np.unique(first)) == len(first) or whole > 7

    def test_a_repeated_row_comes_as_often_in_a_pass(self, rng):
        rows = np.array([0, 0, 0, 3, 4, 4, 7, 9])
        first, second = islice(cycle_rows(rng, rows, 4, 2), 2)
        assert sorted([*first, *second]) == rows.tolist()
        assert all((np.diff(each) >= 0).all() for each in (first, second))

    def test_no_rows_give_empty_draws(self, rng):
        draws = cycle_rows(rng, np.zeros(0, int), 0, 5)
        assert [len(each) for each in islice(draws, 3)] == [0, 0, 0]


class TestMakeWindows:
    def test_one_window_holds_all_rows_by_default(self, rng, task):
        calibration_rows, eval_steps = np.arange(5), evaluation_steps(60, 6)
        (window,) = make_windows(rng, task, None, eval_steps, 32, calibration_rows)
        assert window.take(task.labels) is task.labels
        assert window.train_rows.tolist() == task.rows("train").tolist()
        assert window.calibration_rows is calibration_rows
        assert window.steps.tolist() == list(range(60))

    @given(
        resident_rows=st.integers(240 + 4 * 32, 2500),
        steps=st.integers(1, 300),
        evaluations=st.integers(1, 40),
        count=st.integers(0, 900),
    )
    @settings(deadline=None)
    def test_each_window_holds_validation_training_and_calibration_rows(
        self, task, resident_rows, steps, evaluations, count
    ):
        eval_steps = evaluation_steps(steps, evaluations)
        calibration_rows, rng = task.rows("train")[:count], np.random.default_rng(0)
        found = list(make_windows(rng, task, resident_rows, eval_steps, 32, calibration_rows))
        for window in found:
            assert (np.diff(window.rows) > 0).all()
            assert len(window.rows) <= window.size == resident_rows
            assert set(task.rows("val")) <= set(window.rows)
            assert set(window.rows[window.train_rows]) <= set(task.rows("train"))
            assert set(window.rows[window.calibration_rows]) <= set(calibration_rows)
            assert len(window.calibration_rows) > 0 or count == 0
            length = window.eval_steps[-1] - window.eval_steps[0]
            assert length <= window.capacity == found[0].capacity
            val_labels = window.take(task.labels)[window.resident_indices(task.rows("val"))]
            assert val_labels.tolist() == task.labels[task.rows("val")].tolist()
        assert all(a.eval_steps[-1] == b.eval_steps[0] for a, b in pairwise(found))
        assert (found[0].eval_steps[0], found[-1].eval_steps[-1]) == (0, steps)
        assert len({len(window.eval_steps) for window in found[:-1]}) <= 1

    @given(
        resident_rows=st.integers(240 + 4 * 32, 2500),
        steps=st.integers(1, 300),
        evaluations=st.integers(1, 40),
    )
    @settings(deadline=None)
    def test_their_steps_are_known_before(self, task, resident_rows, steps, evaluations):
        eval_steps, nothing = evaluation_steps(steps, evaluations), np.zeros(0, np.int32)
        rng = np.random.default_rng(0)
        window = next(make_windows(rng, task, resident_rows, eval_steps, 32, nothing))
        found = window_steps(task, resident_rows, steps, evaluations, 32)
        assert found == pytest.approx(window.capacity, abs=1 + steps / 40)
        assert window_steps(task, None, steps, evaluations, 32) == steps

    def test_too_few_rows_are_an_error(self, rng, task):
        with pytest.raises(CalibrationError) as error:
            next(make_windows(rng, task, 300, evaluation_steps(60, 6), 32, np.arange(3)))
        assert str(error.value) == (
            "--hold-rows 300: expected at least 368, for the 240 rows of the validation split and "
            "four batches of training rows"
        )


class TestTraining:
    def test_holds_no_more_rows_than_asked(self, stored):
        fit_and_evaluate("cfr", Experiment(prepare(stored, RESIDENT_ROWS), quick_settings(), 0))
        # Passes over all rows read chunks, whatever the number of resident rows.
        assert RESIDENT_ROWS in stored.features.requests
        assert max(stored.features.requests) <= max(RESIDENT_ROWS, CHUNK_ROWS)

    @pytest.mark.parametrize("positive", ["dps", "rps"])
    @pytest.mark.parametrize("nns_pool", ["minibatch", "40"])
    def test_ends_where_training_on_all_rows_ends(self, stored, prepared, positive, nns_pool):
        changes = {"positive": positive, "negative": "nns", "nns_pool": nns_pool}
        settings = quick_settings(**changes, identification_lr=1e-2, lr=1e-2)
        found, expected = (
            fit_and_evaluate("cfr", Experiment(each, settings, 0)).metrics["last"]["test"]
            for each in (prepare(stored, RESIDENT_ROWS), prepared)
        )
        assert found.worst_group == pytest.approx(expected.worst_group, abs=0.08)
        assert found.average == pytest.approx(expected.average, abs=0.04)

    def test_evaluates_on_the_same_rows(self, stored, prepared):
        """Windows move rows to other indices; a head that hardly moves has the same criteria."""
        frozen = quick_settings(erm_lr=1e-30)
        found, expected = (
            Experiment(each, frozen, 0).erm for each in (prepare(stored, RESIDENT_ROWS), prepared)
        )
        assert_trees_equal(found.info.criteria, expected.info.criteria)

    def test_logits_are_those_of_features_in_memory(self, stored, task, experiment):
        windowed = Experiment(prepare(stored, RESIDENT_ROWS), experiment.settings, 0)
        for split in ("train", "val", "test"):
            rows = task.rows(split)
            found = windowed.logits(windowed.zeroshot_head(), rows)
            expected = experiment.logits(experiment.zeroshot_head(), rows)
            assert found == pytest.approx(expected, abs=1e-4)

    def test_all_windows_but_the_last_share_a_program(self, stored):
        settings = quick_settings(steps=120, evaluations=40)
        experiment = Experiment(prepare(stored, RESIDENT_ROWS), settings, 0)
        assert len(list(cfr.make_segments(experiment))) > 5  # trains the identification stage
        with assert_max_traces("run_segment", 2):
            cfr.fit(experiment)

    def test_equal_seeds_give_equal_bits(self, stored):
        first, second = (
            cfr.fit(Experiment(prepare(stored, RESIDENT_ROWS), quick_settings(), 0))
            for _ in range(2)
        )
        assert_trees_equal(first.classifiers["last"].head, second.classifiers["last"].head)


def test_aligned_features_are_not_copied():
    task, buffer = make_task(), np.zeros(1640 * 24 + 16, np.float32)
    start = -buffer.ctypes.data % 64 // 4
    features = buffer[start : start + 1640 * 24].reshape(1640, 24)
    on_cpu = to_device(features, prepare(task).units.features).values
    if on_cpu.device.platform == "cpu":
        assert on_cpu.unsafe_buffer_pointer() == features.ctypes.data
