"""The rules of the format: a cache that breaks one is not written."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import make_cache, normalize


def with_fields(cache: FeatureCache, part: str, **values) -> FeatureCache:
    """Return the cache with fields of one part replaced."""
    if part == "cache":
        return replace(cache, **values)
    return replace(cache, **{part: replace(getattr(cache, part), **values)})


def with_entry(array: np.ndarray, index: int | tuple[int, int], value: float) -> np.ndarray:
    """Return a copy of the array with one entry replaced."""
    array = array.copy()
    array[index] = value
    return array


GOOD = make_cache()
BAD = [
    (
        with_fields(GOOD, "cache", features=with_entry(GOOD.features, (5, 2), np.nan)),
        "features, row 5: expected finite numbers, found nan in column 2",
    ),
    (
        with_fields(GOOD, "cache", features=with_entry(GOOD.features, (5, 3), np.inf)),
        "features, row 5: expected finite numbers, found inf in column 3",
    ),
    (
        with_fields(
            GOOD,
            "cache",
            features=with_entry(GOOD.features.astype(np.float32), (5, 3), -2e15),
        ),
        "features, row 5: expected magnitudes up to 1e+15, found -1999999973982208.0 in column 3",
    ),
    (
        with_fields(GOOD, "cache", features=with_entry(GOOD.features, (1, 4), 2)),
        "features, row 1: expected zeros in an invalid row, found 2.0 in column 4",
    ),
    (
        with_fields(GOOD, "cache", features=GOOD.features.astype(np.float64)),
        "features: expected type float16 or float32, found float64",
    ),
    (
        with_fields(GOOD, "cache", features=GOOD.features[0]),
        "features: expected the axes (rows, dim), found shape (6,)",
    ),
    (
        with_fields(GOOD, "cache", features=GOOD.features[:0]),
        "features: expected at least 1 along axis rows, found shape (0, 6)",
    ),
    (
        with_fields(GOOD, "cache", valid=GOOD.valid[:-1]),
        "valid: expected shape (12,), found shape (11,)",
    ),
    (
        with_fields(GOOD, "cache", dataset=""),
        "dataset: expected a non-empty name without NUL characters, found ''",
    ),
    (
        with_fields(GOOD, "cache", provenance={"rate": np.nan}),
        "provenance: expected a JSON value, found Out of range float values are not JSON compliant",
    ),
    (
        with_fields(GOOD, "rows", ids=("a", "b", "a", *GOOD.rows.ids[3:])),
        "ids, row 2: expected unique ids, found 'a', which is also in row 0",
    ),
    (
        with_fields(GOOD, "rows", ids=("a", "", *GOOD.rows.ids[2:])),
        "ids, row 1: expected a non-empty name without NUL characters, found ''",
    ),
    (
        with_fields(GOOD, "rows", ids=("a\udc80", *GOOD.rows.ids[1:])),
        "ids: expected text that can be encoded as UTF-8, found 'a\\udc80'",
    ),
    (
        with_fields(GOOD, "rows", labels=GOOD.rows.labels.astype(np.int64)),
        "labels: expected type int32, found int64",
    ),
    (
        with_fields(GOOD, "rows", labels=with_entry(GOOD.rows.labels, 3, 2)),
        "labels, row 3: expected a value from 0 to 1, found 2",
    ),
    (
        with_fields(GOOD, "rows", attributes=with_entry(GOOD.rows.attributes, 4, -1)),
        "attributes, row 4: expected a value from 0 to 1, found -1",
    ),
    (
        with_fields(GOOD, "rows", splits=with_entry(GOOD.rows.splits, 7, 3)),
        "splits, row 7: expected a value from 0 to 2, found 3",
    ),
    (
        with_fields(GOOD, "head", projection=GOOD.head.projection[:-1]),
        "head/projection: expected shape (6, 4), found shape (5, 4)",
    ),
    (
        with_fields(GOOD, "head", projection=with_entry(GOOD.head.projection, (2, 1), -np.inf)),
        "head/projection, row 2: expected finite numbers, found -inf in column 1",
    ),
    (
        with_fields(GOOD, "head", bias=with_entry(GOOD.head.bias, 3, np.nan)),
        "head/bias, row 3: expected finite numbers, found nan",
    ),
    (
        with_fields(GOOD, "head", logit_scale=0.0),
        "head/logit_scale: expected a positive float32, found 0.0",
    ),
    (
        with_fields(GOOD, "texts", class_names=("one", "one")),
        "class_names: expected unique names, found ['one', 'one']",
    ),
    (
        with_fields(GOOD, "texts", attribute_prompts=(("one",),)),
        "attribute_prompts: expected prompts for each of 2 names, found prompts for 1",
    ),
    (
        with_fields(GOOD, "texts", class_embeddings=GOOD.texts.class_embeddings[:, :3]),
        "text/class_embeddings: expected shape (2, 4), found shape (2, 3)",
    ),
    (
        with_fields(GOOD, "texts", attribute_embeddings=2 * GOOD.texts.attribute_embeddings),
        "text/attribute_embeddings, row 0: expected a unit-length embedding, found length ",
    ),
    (
        with_fields(GOOD, "texts", class_embeddings=normalize(np.eye(2, 4))),
        "text/class_embeddings, row 0: expected the normalized mean of the class's prompt "
        "embeddings, found a difference of ",
    ),
]


@pytest.mark.parametrize(("cache", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_cache_that_breaks_a_rule_is_not_written(cache, message, tmp_path):
    path = tmp_path / "a.h5"
    with pytest.raises(CacheError) as error:
        write_cache(path, cache)
    assert str(error.value).startswith(f"{path}: {message}")
    assert str(error.value).endswith("; nothing was written")
    assert list(tmp_path.iterdir()) == []
