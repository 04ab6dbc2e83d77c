"""Compare the features of images with those of a cache; needs no PyTorch."""

import sys

import numpy as np


def check_features(features, cached, root, tolerance):
    """Exit with a message unless the features of all rows are those of the cache.

    Args:
        features, cached: (rows, dim), float32.
        root: folder of the images, for the message.
        tolerance: largest length of the difference of a row, as a fraction of its length.
    """
    lengths = np.linalg.norm(cached, axis=1)
    difference = float((np.linalg.norm(features - cached, axis=1) / lengths).max())
    if not difference <= tolerance:
        sys.exit(
            f"{root}: its images give other features than the cache has (they differ by "
            f"{difference:.2g} of their length, expected at most {tolerance}); set --root to the "
            "folder that the cache was extracted from"
        )
