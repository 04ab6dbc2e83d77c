"""Windows: what they hold, and training on features that stay where they lie."""

from dataclasses import replace
from itertools import islice, pairwise

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_cfr.calibrate.comparison.compare import run
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.experiment import Experiment, prepare
from clip_cfr.calibrate.core.head import CHUNK, on_device
from clip_cfr.calibrate.core.train import advance, evaluation_steps
from clip_cfr.calibrate.core.windows import in_turn, windows
from clip_cfr.calibrate.methods import cfr
from tests.calibrate.synthetic import make_task, quick_settings

HELD = 700  # of 1,640 rows, 240 of them for validation


class Stored:
    """Features that are read when asked for; keeps how many rows were."""

    def __init__(self, features):
        self.shape, self.dtype, self.asked = features.shape, features.dtype, []
        self._features = features

    def __getitem__(self, rows):
        assert (np.diff(rows) > 0).all()
        self.asked.append(len(rows))
        return self._features[rows]


@pytest.fixture
def stored(task):
    return replace(task, features=Stored(task.features))


class TestInTurn:
    @given(
        count=st.integers(1, 300),
        size=st.integers(1, 400),
        block=st.integers(1, 70),
        seed=st.integers(0, 9),
    )
    def test_every_row_comes_once_before_any_comes_again(self, count, size, block, seed):
        rows = np.arange(count) * 3
        rng = np.random.default_rng(seed)
        draws = list(islice(in_turn(rng, rows, min(size, count), block), 7))
        for each in draws:
            assert (np.diff(each) > 0).all()
            assert set(each) <= set(rows)
        whole = count // min(size, count)  # draws of the first round that are not cut
        first = np.concatenate(draws[:whole])
        assert len(np.unique(first)) == len(first) or whole > 7

    def test_of_no_rows_gives_none(self, rng):
        draws = in_turn(rng, np.zeros(0, int), 0, 5)
        assert [len(each) for each in islice(draws, 3)] == [0, 0, 0]


class TestWindows:
    def test_one_holds_everything(self, rng, task):
        wrong, points = np.arange(5), evaluation_steps(60, 6)
        (window,) = windows(rng, task, None, points, 32, wrong)
        assert window.take(task.labels) is task.labels
        assert window.train_rows.tolist() == task.rows("train").tolist()
        assert window.wrong is wrong
        assert (window.steps == np.arange(60)).all()

    @given(
        held=st.integers(240 + 4 * 32, 2500),
        steps=st.integers(1, 300),
        evaluations=st.integers(1, 40),
        number=st.integers(0, 900),
    )
    @settings(deadline=None)
    def test_each_holds_validation_training_and_wrong_rows(
        self, task, held, steps, evaluations, number
    ):
        points, wrong = evaluation_steps(steps, evaluations), task.rows("train")[:number]
        rng = np.random.default_rng(0)
        found = list(windows(rng, task, held, points, 32, wrong))
        for window in found:
            assert (np.diff(window.rows) > 0).all()
            assert len(window.rows) <= window.size == held
            assert set(task.rows("val")) <= set(window.rows)
            assert set(window.rows[window.train_rows]) <= set(task.rows("train"))
            assert set(window.rows[window.wrong]) <= set(wrong)
            assert len(window.wrong) > 0 or number == 0
            assert window.points[-1] - window.points[0] <= window.capacity == found[0].capacity
            places = window.places(task.rows("val"))
            assert (window.take(task.labels)[places] == task.labels[task.rows("val")]).all()
        assert all(left.points[-1] == right.points[0] for left, right in pairwise(found))
        assert (found[0].points[0], found[-1].points[-1]) == (0, steps)
        assert len({len(window.points) for window in found[:-1]}) <= 1

    def test_too_few_rows_are_refused(self, rng, task):
        with pytest.raises(CalibrationError) as error:
            next(windows(rng, task, 300, evaluation_steps(60, 6), 32, np.arange(3)))
        assert str(error.value) == (
            "--hold-rows 300: expected at least 368, for the 240 rows of the validation split and "
            "four batches of training rows"
        )


class TestTraining:
    def test_holds_no_more_rows_than_asked(self, stored):
        run("cfr", Experiment(prepare(stored, HELD), quick_settings(), 0))
        # Passes over all rows go by chunks, whatever is held.
        assert HELD in stored.features.asked
        assert max(stored.features.asked) <= max(HELD, CHUNK)

    @pytest.mark.parametrize("positive", ["dps", "rps"])
    @pytest.mark.parametrize("nns_pool", ["minibatch", "40"])
    def test_ends_where_training_on_all_rows_ends(self, stored, prepared, positive, nns_pool):
        settings = quick_settings(
            positive=positive, negative="nns", nns_pool=nns_pool, erm_lr=1e-2, lr=1e-2
        )
        found = [
            run("cfr", Experiment(each, settings, 0)).metrics["last"]["test"]
            for each in (prepare(stored, HELD), prepared)
        ]
        assert found[0]["worst_group"] == pytest.approx(found[1]["worst_group"], abs=0.08)
        assert found[0]["average"] == pytest.approx(found[1]["average"], abs=0.04)

    def test_evaluates_on_the_same_rows(self, stored, prepared, experiment):
        """A window moves rows to other places; what is evaluated stays the same."""
        frozen = quick_settings(erm_lr=1e-30)
        found = [Experiment(each, frozen, 0).erm for each in (prepare(stored, HELD), prepared)]
        criteria = [np.asarray(each.info.criteria) for each in found]
        assert criteria[0].tolist() == criteria[1].tolist()

    def test_logits_are_those_of_features_in_memory(self, stored, task, experiment):
        held = Experiment(prepare(stored, HELD), experiment.settings, 0)
        for split in ("train", "val", "test"):
            rows = task.rows(split)
            expected = experiment.logits(experiment.zeroshot(), rows)
            assert held.logits(held.zeroshot(), rows) == pytest.approx(expected, abs=1e-4)

    def test_two_programs_serve_all_windows_but_the_last(self, stored):
        experiment = Experiment(prepare(stored, HELD), quick_settings(steps=120, evaluations=40), 0)
        legs = list(cfr.stage_legs(experiment))
        before = advance._cache_size()
        cfr.fit(experiment)
        assert len(legs) > 5
        assert advance._cache_size() - before <= 3

    def test_nearest_rows_of_all_are_refused(self, stored):
        settings = quick_settings(negative="nns", nns_pool="all")
        with pytest.raises(
            SettingsError, match="nns_pool is 'all', which needs all rows in memory"
        ):
            cfr.fit(Experiment(prepare(stored, HELD), settings, 0))

    def test_equal_seeds_give_equal_bits(self, stored):
        heads = [
            cfr.fit(Experiment(prepare(stored, HELD), quick_settings(), 0)).classifiers["last"].head
            for _ in range(2)
        ]
        assert all(map(np.array_equal, *map(jax.tree.leaves, heads)))


def test_aligned_features_are_not_copied():
    task, buffer = make_task(), np.zeros(1640 * 24 + 16, np.float32)
    start = -buffer.ctypes.data % 64 // 4
    features = buffer[start : start + 1640 * 24].reshape(1640, 24)
    on_cpu = on_device(features, prepare(task).units).values
    if on_cpu.device.platform == "cpu":
        assert on_cpu.unsafe_buffer_pointer() == features.ctypes.data
