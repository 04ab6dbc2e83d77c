"""Comparison with one method on the test split: Holm's correction and its error rate."""

import numpy as np
import pytest

from clip_cfr.calibrate.comparison.versus import COMPARED, LEVEL, adjust, compare_with
from tests.calibrate.synthetic import make_task

TASK = make_task(sizes=(50, 10, 400))


def draw(rng, accuracy: float, seeds: int = 1):
    """Draw whether a method is right about each row of test, for each seed."""
    return rng.random((seeds, 400)) < accuracy


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, expected):
    assert adjust(p_values) == pytest.approx(expected)


def test_every_other_method_is_compared_in_every_metric(rng):
    correct = {"erm": draw(rng, 0.6), "cfr": draw(rng, 0.9), "zeroshot": draw(rng, 0.6)}
    found = compare_with(TASK, correct, "erm")
    assert found.method == "erm"
    assert {name: tuple(each) for name, each in found.differences.items()} == {
        "cfr": tuple(COMPARED),
        "zeroshot": tuple(COMPARED),
    }
    for metric in COMPARED:
        cfr, zeroshot = (found.differences[name][metric] for name in ("cfr", "zeroshot"))
        assert cfr.is_beyond_noise
        assert not zeroshot.is_beyond_noise
        assert 0 < cfr.interval[0] < cfr.difference < cfr.interval[1]
        assert cfr.adjusted_p_value == pytest.approx(2 * cfr.p_value)


def test_a_worse_method_is_beyond_noise_too(rng):
    correct = {"erm": draw(rng, 0.9, seeds=3), "cfr": draw(rng, 0.6, seeds=3)}
    found = compare_with(TASK, correct, "erm").differences["cfr"]["average"]
    assert found.is_beyond_noise
    assert found.interval[1] < 0


@pytest.mark.parametrize("others", [1, 5])
def test_equal_methods_are_marked_at_most_at_the_stated_rate_however_many(others):
    rng, marked = np.random.default_rng(0), dict.fromkeys(COMPARED, 0)
    for _ in range(200):
        correct = {str(number): draw(rng, 0.8) for number in range(others + 1)}
        found = compare_with(TASK, correct, "0").differences.values()
        for metric in COMPARED:
            marked[metric] += any(each[metric].is_beyond_noise for each in found)
    for metric, count in marked.items():
        assert count / 200 <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 200), metric
