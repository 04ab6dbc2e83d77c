"""A matrix to save in all kinds of files."""

import numpy as np
import pytest


@pytest.fixture
def matrix() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
