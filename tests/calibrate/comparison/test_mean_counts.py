"""Means of counts over seeds."""

import numpy as np

from clip_cfr.calibrate.comparison.summary import mean_counts


def test_means_are_plain_floats():
    found = mean_counts([np.array([0, 0, 2]), np.array([2])], 3)
    assert found == (1.0, 0.0, 1.0)
    assert [type(each) for each in found] == [float] * 3
