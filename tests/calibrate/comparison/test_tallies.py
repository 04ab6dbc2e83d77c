"""Criteria of classifiers from their correct predictions in each group, by hand."""

import numpy as np
import pytest

from clip_cfr.calibrate.comparison.tallies import Tally, criterion


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
