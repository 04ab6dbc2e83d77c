"""Worlds with many rows and few columns, and the accuracy of predictions in each group."""

import numpy as np

from clip_cfr.extract.importing.synthetic.draw import SyntheticArrays
from clip_cfr.extract.importing.synthetic.world import SyntheticWorld


def large_world(**parameters) -> SyntheticWorld:
    """Return a world whose test split has 10,000 rows in each of four groups."""
    sizes = {"dim": 12, "train_rows": 40_000, "val_rows": 2000, "test_rows": 40_000}
    return SyntheticWorld(**{**sizes, **parameters})


def group_accuracies(arrays: SyntheticArrays, predicted: np.ndarray) -> np.ndarray:
    """Return the accuracy in each group of the test split, from predictions for its rows."""
    test = arrays.splits == 2
    labels, attributes = arrays.labels[test], arrays.attributes[test]
    groups = labels * (attributes.max() + 1) + attributes
    return np.bincount(groups, predicted == labels) / np.bincount(groups)


def standard_error(world: SyntheticWorld, accuracy: float) -> float:
    """Return the standard error of an accuracy in a group of an even test split."""
    rows = world.test_rows / (world.num_classes * world.num_attributes)
    return np.sqrt(accuracy * (1 - accuracy) / rows)
