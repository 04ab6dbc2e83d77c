"""Types and shapes of `clip_cfr.calibrate` are checked while its tests run."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from clip_cfr.calibrate.core.metrics import cell_accuracies


def test_an_array_of_another_shape_is_refused():
    with pytest.raises(TypeCheckError, match="cells"):
        cell_accuracies(np.ones(3, bool), np.zeros((3, 1), int), num_cells=1)


def test_an_array_of_another_type_is_refused():
    with pytest.raises(TypeCheckError, match="correct"):
        cell_accuracies(np.ones(3), np.zeros(3, int), num_cells=1)
