"""Differences of lowest accuracies: simulated error rates with fixed seeds, and cases by hand."""

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from clip_cfr.calibrate.comparison.differences import TAIL, compare_lowest

SIMULATIONS = 500
# Three standard deviations of the share of simulations in which a bound of 2.5 % fails.
MONTE_CARLO_ERROR = 3 * np.sqrt(TAIL * (1 - TAIL) / SIMULATIONS)
SHARED, OWN = 0.6, 0.28  # fractions of the variance that methods share, and seeds of a method


def draw_method(rng, accuracies, cells, common, seeds, deviation):
    """Draw whether a method is right about each row, for each seed.

    Rows that are hard for one method are hard for others (`common`), and for its other seeds. The
    accuracies of a seed deviate from those of the method.
    """
    own = rng.normal(size=len(cells))
    correct = []
    for _ in range(seeds):
        shifted = np.clip(accuracies + deviation * rng.normal(), 0.01, 0.99)
        noise = rng.normal(size=len(cells))
        hardness = np.sqrt(SHARED) * common + np.sqrt(OWN) * own
        hardness += np.sqrt(1 - SHARED - OWN) * noise
        correct.append(hardness < norm.ppf(shifted)[cells])
    return np.array(correct)


def simulate(rival, erm, rows, *, seeds=1, deviation=0.0, shares=None, simulations=SIMULATIONS):
    """Return the 95 % intervals of the rival's gain over ERM in the lowest accuracy."""
    rng = np.random.default_rng(0)
    rival, erm = np.array(rival), np.array(erm)
    shares = np.array(shares or [1 / len(erm)] * len(erm))
    found = []
    for _ in range(simulations):
        cells = rng.choice(len(erm), size=rows, p=shares)
        common = rng.normal(size=rows)
        drawn = [draw_method(rng, p, cells, common, seeds, deviation) for p in (rival, erm)]
        found.append(compare_lowest(*drawn, cells, None).interval())
    return np.array(found)


def share_above(intervals) -> float:
    """Return the share of intervals above 0, with which the rival is recommended."""
    return np.mean(intervals[:, 0] > 0)


CASES = {
    "all classes tie": {"rival": [0.7, 0.7], "erm": [0.7, 0.7]},
    "the rival's other class is better": {"rival": [0.7, 0.9], "erm": [0.7, 0.7]},
    "one worst class": {"rival": [0.7, 0.9], "erm": [0.7, 0.9]},
    "seeds deviate by 2 points": {
        "rival": [0.7, 0.9],
        "erm": [0.7, 0.7],
        "seeds": 3,
        "deviation": 0.02,
    },
    "a class with 3 % of the rows": {
        "rival": [0.6, 0.9],
        "erm": [0.6, 0.9],
        "shares": [0.03, 0.97],
    },
    "accuracies near 1": {"rival": [0.97, 0.99], "erm": [0.97, 0.97]},
}


@pytest.mark.parametrize("rows", [100, 500, 2000])
@pytest.mark.parametrize("name", CASES)
def test_an_equal_rival_is_above_at_most_at_the_stated_rate(name, rows):
    intervals = simulate(rows=rows, **CASES[name])
    assert share_above(intervals) <= TAIL + MONTE_CARLO_ERROR
    assert np.mean(intervals[:, 1] < 0) <= TAIL + MONTE_CARLO_ERROR


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_rate_holds_for_few_and_many_seeds_that_deviate_by_2_points(seeds):
    case = CASES["seeds deviate by 2 points"] | {"seeds": seeds}
    assert share_above(simulate(rows=2000, **case)) <= TAIL + MONTE_CARLO_ERROR


@pytest.mark.parametrize(
    ("rival", "erm", "power"),
    [
        ([0.8, 0.9], [0.7, 0.9], 0.75),
        ([0.8, 0.8], [0.7, 0.7], 0.75),
        ([0.85, 0.8], [0.7, 0.9], 0.5),  # the worst classes differ, so answers are not paired
    ],
)
def test_a_rival_that_is_10_points_better_on_500_rows_is_mostly_found(rival, erm, power):
    assert share_above(simulate(rival, erm, 500, simulations=200)) > power


def test_with_seeds_that_deviate_by_2_points_5_find_it():
    found = simulate([0.8, 0.9], [0.7, 0.9], 500, seeds=5, deviation=0.02, simulations=200)
    assert share_above(found) > 0.7


@pytest.mark.parametrize(
    ("rival", "erm"), [([0.8, 0.6], [0.7, 0.7]), ([0.9, 0.7, 0.7], [0.6, 0.95, 0.8])]
)
def test_the_interval_contains_the_difference(rival, erm):
    truth = min(rival) - min(erm)
    low, high = simulate(rival, erm, 400).T
    assert np.mean((low <= truth) & (truth <= high)) >= 0.95 - 3 * np.sqrt(0.0475 / SIMULATIONS)


@pytest.mark.parametrize("count", [12, 60])
def test_correlated_subjects_do_not_make_a_gain(count):
    """Subjects of 10 rows, each with its own accuracy under each method."""
    rng, above = np.random.default_rng(0), {"rows": 0, "subjects": 0}
    subjects = np.repeat(np.arange(count), 10)
    for _ in range(SIMULATIONS):
        cells = np.repeat(rng.permutation(count) % 2, 10)
        accuracies = (np.repeat(rng.beta(2, 1, count), 10) for _ in range(2))
        drawn = [(rng.random(10 * count) < each)[None] for each in accuracies]
        for name, each in (("rows", None), ("subjects", subjects)):
            above[name] += compare_lowest(*drawn, cells, each).interval()[0] > 0
    assert above["rows"] / SIMULATIONS > TAIL + MONTE_CARLO_ERROR
    assert above["subjects"] / SIMULATIONS <= TAIL + MONTE_CARLO_ERROR


class TestOneCell:
    """Of 10 rows the first method gets 9 right and the second 6, of which 6 and 5 are shared."""

    first = np.array([[True] * 9 + [False]])
    second = np.array([[True] * 5 + [False] * 4 + [True]])

    def test_is_the_interval_of_bonett_and_price(self):
        found = compare_lowest(self.first, self.second, np.zeros(10, int), None)
        only_first, only_second, rows = 4 + 1, 1 + 1, 12
        center = (only_first - only_second) / rows
        error = np.sqrt(((only_first + only_second) / rows - center**2) / rows * 10 / 9)
        reach = student.ppf(0.975, 9) * error
        assert found.interval() == pytest.approx((center - reach, center + reach))
        assert found.margin == pytest.approx(0.3)

    def test_has_the_p_value_at_which_the_interval_ends_at_0(self):
        found = compare_lowest(self.first, self.second, np.zeros(10, int), None)
        low, _ = found.interval(found.p_value() / 2)
        assert low == pytest.approx(0, abs=1e-9)


class TestSeveralCells:
    rng = np.random.default_rng(1)
    cells = rng.integers(3, size=300)
    first = rng.random((2, 300)) < np.array([0.9, 0.8, 0.85])[cells]
    second = rng.random((2, 300)) < np.array([0.6, 0.5, 0.7])[cells]

    def test_the_margin_is_the_difference_of_minima_of_means_over_seeds(self):
        means = [
            [each[:, self.cells == cell].mean() for cell in range(3)]
            for each in (self.first, self.second)
        ]
        found = compare_lowest(self.first, self.second, self.cells, None)
        assert found.margin == pytest.approx(min(means[0]) - min(means[1]))

    def test_the_other_direction_has_the_opposite_interval(self):
        there = compare_lowest(self.first, self.second, self.cells, None)
        back = compare_lowest(self.second, self.first, self.cells, None)
        low, high = back.interval()
        assert there.interval() == pytest.approx((-high, -low))
        assert there.p_value() == pytest.approx(back.p_value())

    def test_the_p_value_is_where_the_interval_ends_at_0(self):
        found = compare_lowest(self.first, self.second, self.cells, None)
        assert found.p_value() < 0.05
        assert found.interval(found.p_value() / 2)[0] == pytest.approx(0, abs=1e-9)

    def test_numbers_of_cells_do_not_matter(self):
        found = compare_lowest(self.first, self.second, self.cells, None)
        renamed = compare_lowest(self.first, self.second, self.cells * 7 + 3, None)
        assert renamed.interval() == found.interval()

    def test_subjects_of_one_row_are_rows(self):
        found = compare_lowest(self.first, self.second, self.cells, None)
        by_subject = compare_lowest(self.first, self.second, self.cells, np.arange(300) * 5)
        assert by_subject.interval() == pytest.approx(found.interval())

    def test_rows_repeated_within_subjects_are_no_more_evidence(self):
        found = compare_lowest(self.first, self.second, self.cells, None)
        repeated = [np.repeat(each, 4, axis=-1) for each in (self.first, self.second, self.cells)]
        by_subject = compare_lowest(*repeated, np.repeat(np.arange(300), 4))
        assert by_subject.interval() == pytest.approx(found.interval(), abs=0.01)

    @pytest.mark.parametrize("subjects", [1, 2])
    def test_one_or_two_subjects_show_no_gain(self, subjects):
        units = np.arange(300) * subjects // 300
        low, high = compare_lowest(self.first, self.second, self.cells, units).interval()
        assert -1 <= low < 0 < high <= 1


def test_equal_predictions_are_no_difference():
    correct = np.arange(50)[None] % 3 > 0
    found = compare_lowest(correct, correct, np.arange(50) % 2, None)
    low, high = found.interval()
    assert found.margin == 0
    assert low < 0 < high
    assert found.p_value() == 1
