"""Predict the rows of a cache from its features; needs neither torch nor Pillow."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.extract.predict.classifier import Prediction, RunClassifier
from clip_cfr.extract.predict.same_model import find_difference
from clip_cfr.extract.progress import ProgressReporter

ROWS_AT_A_TIME = 4096
NOT_VALID = "not valid in the cache: the image could not be read, or its features are missing"


def check_cache(path: Path, expected: Mapping[str, Any], dim: int) -> int:
    """Check that the features of a cache are of a run's model, and return its number of rows.

    Args:
        path: the cache, or a shard.
        expected: provenance of the cache that the run was calibrated on.
        dim: width of the features that the head takes.

    Raises:
        CacheError: the file is not a cache, is damaged, or has features of another model, another
            preprocessing or another width.
    """
    with open_cache(path, allow_shard=True) as cache:
        difference = find_difference(expected, cache.provenance)
        if difference is None and cache.features.shape[1] != dim:
            difference = f"features, dim: expected {dim}, found {cache.features.shape[1]}"
        if difference is not None:
            raise CacheError(
                f"{path}: {difference}; extract the images again with the run's model "
                f"{expected.get('model')}, or predict from the images themselves"
            )
        return len(cache.rows)


def predict_cache(
    path: Path, classifier: RunClassifier, reporter: ProgressReporter
) -> Iterator[Prediction]:
    """Yield a prediction for each row of a cache, in its order; rows not valid have an error.

    Raises:
        CacheError: the file cannot be read or is damaged.
    """
    with open_cache(path, allow_shard=True) as cache:
        num_rows = len(cache.rows)
        for first in range(0, num_rows, ROWS_AT_A_TIME):
            rows = np.arange(first, min(first + ROWS_AT_A_TIME, num_rows))
            names = cache.rows.ids[first : first + len(rows)]
            predictions = classifier.predict(names, cache.features[rows])
            for prediction, is_valid in zip(predictions, cache.valid[rows], strict=True):
                yield prediction if is_valid else Prediction(prediction.image, error=NOT_VALID)
            reporter.advance(len(rows))
