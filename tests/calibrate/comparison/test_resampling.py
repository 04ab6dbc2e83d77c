"""The bootstrap: does an interval hold what it says, and is the short cut the same bootstrap."""

import numpy as np
import pytest

from clip_cfr.calibrate.comparison.resampling import Tally, criterion, interval, resample, worst

ONE_GROUP = 1


def width(bounds) -> float:
    return bounds[1] - bounds[0]


def accuracy_interval(rng, correct, subjects=None):
    """Interval of the accuracy of one classifier over rows of one group."""
    groups = np.zeros(len(correct), int)
    return interval(worst(resample(rng, correct[None], groups, subjects, ONE_GROUP))[:, 0])


def test_intervals_hold_the_truth_about_as_often_as_they_say(rng):
    held = []
    for _ in range(300):
        low, high = accuracy_interval(rng, rng.random(150) < 0.8)
        held.append(low <= 0.8 <= high)
    # 95 % less what the percentile bootstrap of 150 rows lacks; three deviations are 4 %.
    assert np.mean(held) == pytest.approx(0.945, abs=0.04)


def test_the_interval_is_that_of_the_normal_approximation(rng):
    correct = np.arange(2000) % 5 > 0
    low, high = accuracy_interval(rng, correct)
    deviation = np.sqrt(0.8 * 0.2 / 2000)
    assert [low, high] == pytest.approx([0.8 - 1.96 * deviation, 0.8 + 1.96 * deviation], abs=0.003)


def test_rows_of_one_subject_are_not_independent_evidence(rng):
    """Every row four times over: the interval is that of the single rows, not a narrower one."""
    single = rng.random(200) < 0.7
    repeated, subjects = np.repeat(single, 4), np.repeat(np.arange(200), 4)
    by_row = accuracy_interval(rng, repeated)
    by_subject = accuracy_interval(rng, repeated, subjects)
    assert width(by_subject) == pytest.approx(2 * width(by_row), rel=0.15)
    assert by_subject == pytest.approx(accuracy_interval(rng, single), abs=0.012)


def test_drawing_kinds_is_drawing_subjects(rng):
    """Means and deviations of a direct bootstrap that draws every subject by itself."""
    rows, subjects = 240, np.arange(240) // 3
    groups, correct = rng.integers(4, size=rows), rng.random((2, rows)) < [[0.6], [0.8]]
    found = resample(np.random.default_rng(1), correct, groups, subjects, 4)
    members = [np.flatnonzero(subjects == each) for each in range(80)]
    hits, counts = np.zeros((1000, 2, 4)), np.zeros((1000, 1, 4))
    for sample in range(1000):
        drawn = np.concatenate([members[each] for each in rng.integers(80, size=80)])
        counts[sample, 0] = np.bincount(groups[drawn], minlength=4)
        for number in range(2):
            right = correct[number, drawn]
            hits[sample, number] = np.bincount(groups[drawn], weights=right, minlength=4)
    direct = Tally(hits, counts)
    for name in ("worst-group", "worst-class", "average"):
        quick, slow = (criterion(name, tally, 2, 2) for tally in (found, direct))
        assert quick.mean(axis=0) == pytest.approx(slow.mean(axis=0), abs=0.01)
        assert quick.std(axis=0) == pytest.approx(slow.std(axis=0), rel=0.12)
        # Paired: differences between classifiers vary as they do in the direct bootstrap.
        gains = [np.diff(each, axis=1).std() for each in (quick, slow)]
        assert gains[0] == pytest.approx(gains[1], rel=0.12)


class TestCriterion:
    """Two classes with two attributes; accuracies 1, 0.5, 0.8 and no row in the last group."""

    tally = Tally(np.array([[4.0, 1.0, 8.0, 0.0]]), np.array([[4.0, 2.0, 10.0, 0.0]]))

    @pytest.mark.parametrize(
        ("name", "value"),
        [("worst-group", 0.5), ("worst-class", 0.8), ("last", 0.8), ("average", 13 / 16)],
    )
    def test_by_hand(self, name, value):
        assert criterion(name, self.tally, 2, 2) == pytest.approx(np.array([value]))

    def test_of_one_attribute_groups_are_classes(self):
        tally = Tally(np.array([[4.0, 1.0]]), np.array([[4.0, 2.0]]))
        values = [float(criterion(name, tally, 2, 1)[0]) for name in ("worst-group", "worst-class")]
        assert values == [0.5, 0.5]


def test_equal_seeds_give_equal_samples(rng):
    correct, groups = rng.random((2, 50)) < 0.5, rng.integers(2, size=50)
    draws = [resample(np.random.default_rng(0), correct, groups, None, 2).hits for _ in range(2)]
    assert (draws[0] == draws[1]).all()
