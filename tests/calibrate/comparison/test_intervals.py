"""Coverage of the interval of the lowest accuracy, in simulations with a fixed seed."""

import numpy as np
import pytest
from scipy.stats import binomtest

from clip_cfr.calibrate.comparison.intervals import (
    clustered_rows,
    independent_rows,
    lowest_accuracy_interval,
    tally_cells,
)

SIMULATIONS = 4000
# Three standard deviations of the share of 4,000 simulations in which a 95 % interval holds.
MONTE_CARLO_ERROR = 3 * np.sqrt(0.95 * 0.05 / SIMULATIONS)


def coverage(evidence, truth: float) -> float:
    """Return the share of intervals that contain the truth."""
    low, high = lowest_accuracy_interval(evidence)
    return np.mean((low <= truth) & (truth <= high))


def interval(evidence) -> list[float]:
    """Return the interval of one sample as floats."""
    return [float(bound) for bound in lowest_accuracy_interval(evidence)]


CASES = {
    "4 equal groups": ([0.8] * 4, [100] * 4),
    "25 equal groups of 80 rows": ([0.8] * 25, [80] * 25),
    "one clearly worst group": ([0.6, 0.9, 0.9, 0.95], [60, 200, 200, 400]),
    "two tied groups": ([0.7, 0.7, 0.9, 0.95], [80, 80, 300, 300]),
    "groups of 5 rows": ([0.8, 0.8, 0.9, 0.9], [5] * 4),
    "one group": ([0.8], [150]),
    "accuracies near 1": ([0.99, 0.99, 0.995, 1.0], [100] * 4),
}


@pytest.mark.parametrize("name", CASES)
def test_covers_the_lowest_accuracy_of_independent_rows(rng, name):
    accuracies, sizes = (np.array(each) for each in CASES[name])
    hits = rng.binomial(sizes, accuracies, size=(SIMULATIONS, len(sizes)))
    evidence = independent_rows(hits, np.broadcast_to(sizes, hits.shape))
    assert coverage(evidence, accuracies.min()) >= 0.95 - MONTE_CARLO_ERROR


@pytest.mark.parametrize("correlation", [0.01, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("accuracies", [[0.8] * 4, [0.95] * 4, [0.6, 0.9, 0.9, 0.9], [0.97]])
@pytest.mark.parametrize(("subjects", "size"), [(12, 5), (40, 10)])
def test_covers_the_lowest_accuracy_of_correlated_subjects(
    rng, correlation, accuracies, subjects, size
):
    """Each subject has its own accuracy (beta-binomial) and 1 to 2 * size - 1 rows."""
    sims, means = 1000, np.array(accuracies)
    shape = (sims, subjects, len(means))
    rows = rng.integers(1, 2 * size, size=shape)
    spread = 1 / correlation - 1
    own = rng.beta(means * spread, (1 - means) * spread, size=shape)
    evidence = clustered_rows(rng.binomial(rows, own), rows)
    error = 3 * np.sqrt(0.95 * 0.05 / sims)
    assert coverage(evidence, means.min()) >= 0.95 - error


def test_rows_as_units_do_not_cover_for_correlated_subjects(rng):
    """The simulation above can fail: without subjects the interval is far too narrow."""
    rows = np.full((1000, 40, 4), 10)
    own = rng.beta(0.8, 0.2, size=rows.shape)
    hits = rng.binomial(rows, own)
    by_row = independent_rows(hits.sum(axis=1), rows.sum(axis=1))
    assert coverage(by_row, 0.8) < 0.7
    assert coverage(clustered_rows(hits, rows), 0.8) >= 0.93


def test_of_one_group_is_the_interval_of_clopper_and_pearson():
    correct = np.arange(50) < 41
    low, high = interval(tally_cells(correct, np.zeros(50, int), None, 1))
    expected = binomtest(41, 50).proportion_ci(method="exact")
    assert [low, high] == pytest.approx([expected.low, expected.high])


def test_takes_the_smallest_bounds_of_the_groups_with_rows():
    """Group 0 decides the lower bound, group 1 the upper; group 2 has no rows."""
    correct = np.array([True] * 3 + [False] * 2 + [True] * 70 + [False] * 30)
    cells = np.array([0] * 5 + [1] * 100)
    low, high = interval(tally_cells(correct, cells, None, 3))
    small = binomtest(3, 5).proportion_ci(0.95, method="exact")
    large = binomtest(70, 100).proportion_ci(1 - 2 * 0.025 / 2, method="exact")
    assert [low, high] == pytest.approx([small.low, large.high])


@pytest.mark.parametrize(
    ("right", "expected"), [(True, [0.025 ** (1 / 5), 1]), (False, [0, 1 - 0.025 ** (1 / 5)])]
)
def test_of_5_rows_that_are_all_right_or_all_wrong(right, expected):
    found = interval(tally_cells(np.full(5, right), np.zeros(5, int), None, 1))
    assert found == pytest.approx(expected)


class TestSubjects:
    def test_of_one_row_each_are_independent_rows(self, rng):
        correct, cells = rng.random(60) < 0.7, rng.integers(3, size=60)
        by_row = interval(tally_cells(correct, cells, None, 3))
        by_subject = interval(tally_cells(correct, cells, np.arange(60) * 7, 3))
        assert by_subject == pytest.approx(by_row)

    def test_that_repeat_a_row_count_about_once(self, rng):
        correct, cells = rng.random(60) < 0.7, np.zeros(60, int)
        single = interval(tally_cells(correct, cells, None, 1))
        repeated = tally_cells(*(np.repeat(each, 4) for each in (correct, cells, np.arange(60))), 1)
        low, high = interval(repeated)
        assert [low, high] == pytest.approx(single, abs=0.01)
        assert high - low >= single[1] - single[0]

    def test_one_subject_says_nearly_nothing(self):
        evidence = tally_cells(np.ones(500, bool), np.zeros(500, int), np.zeros(500, int), 1)
        low, high = lowest_accuracy_interval(evidence)
        assert low < 0.05
        assert high == 1
