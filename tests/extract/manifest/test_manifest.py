"""The digest of a manifest; unfinished jobs and shards on disk depend on it."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return Manifest(
        dataset="pets",
        rows=make_rows(["a.png", "b.png"], [0, 1], [1, 0], [0, 2], [5, 5]),
        images=FileSource(tmp_path, ("a.png", "b.png")),
        class_names=("cat", "dog"),
        attribute_names=("indoors", "outdoors"),
        class_prompts=(("cat",), ("dog",)),
        attribute_prompts=(("indoors",), ("outdoors",)),
    )


def test_make_rows_converts_columns_to_the_types_of_the_cache():
    rows = make_rows(["a"], np.array([1], np.uint8), [2], np.array([0], np.int64), [7])
    dtypes = {name: getattr(rows, name).dtype for name in ("labels", "attributes", "splits")}
    assert dtypes == {"labels": np.int32, "attributes": np.int32, "splits": np.int8}
    assert rows.subjects.dtype == np.int32
    assert make_rows(["a"], [1], [2], [0]).subjects is None


def test_the_digest_is_that_of_earlier_versions(manifest):
    assert manifest.sha256() == ("1883dc1d6006c1c6285b405a678ae6d89244e47d7123da8181b88d0e6abe58bc")


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "other"},
        {"class_names": ("dog", "cat")},
        {"attribute_names": ()},
        {"rows": make_rows(["a.png", "c.png"], [0, 1], [1, 0], [0, 2], [5, 5])},
        {"rows": make_rows(["a.png", "b.png"], [0, 0], [1, 0], [0, 2], [5, 5])},
        {"rows": make_rows(["a.png", "b.png"], [0, 1], [1, 1], [0, 2], [5, 5])},
        {"rows": make_rows(["a.png", "b.png"], [0, 1], [1, 0], [0, 1], [5, 5])},
        {"rows": make_rows(["a.png", "b.png"], [0, 1], [1, 0], [0, 2], [5, 6])},
        {"rows": make_rows(["a.png", "b.png"], [0, 1], [1, 0], [0, 2])},
    ],
)
def test_the_digest_changes_with_rows_and_names(manifest, changes):
    assert replace(manifest, **changes).sha256() != manifest.sha256()


def test_the_digest_ignores_prompts_warnings_and_the_root(manifest, tmp_path):
    changes = {
        "class_prompts": (("a cat.",), ("a dog.",)),
        "warnings": ("a warning",),
        "images": FileSource(tmp_path / "moved", ("a.png", "b.png")),
    }
    assert replace(manifest, **changes).sha256() == manifest.sha256()
