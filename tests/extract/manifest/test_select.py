import pickle

import numpy as np
import pytest

from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.manifest.limit import limit_rows
from clip_cfr.extract.manifest.manifest import Manifest, make_rows
from clip_cfr.extract.manifest.select import select_rows, take_rows
from tests.samples import save_photos


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return load_dataset("folder", save_photos(tmp_path / "photos", 21), DatasetOptions())


def test_rows_and_images_follow_the_indices(manifest):
    selected = select_rows(manifest, np.array([7, 2]))
    assert selected.rows.ids == (manifest.rows.ids[7], manifest.rows.ids[2])
    for column in ("labels", "attributes", "splits"):
        expected = getattr(manifest.rows, column)[[7, 2]]
        np.testing.assert_array_equal(getattr(selected.rows, column), expected, err_msg=column)
    images = pickle.loads(pickle.dumps(selected.images))
    assert images.read(0) == manifest.images.read(7)
    assert images.read(1) == manifest.images.read(2)


def test_a_selection_can_be_selected_from(manifest):
    selected = select_rows(select_rows(manifest, np.array([7, 2, 5])), np.array([2]))
    assert selected.rows.ids == (manifest.rows.ids[5],)
    assert selected.images.read(0) == manifest.images.read(5)


def test_subjects_are_taken_too():
    rows = make_rows(["a", "b"], [0, 1], [0, 0], [0, 0], [3, 4])
    assert take_rows(rows, np.array([1])).subjects.tolist() == [4]


def test_a_limit_beyond_the_last_row_changes_nothing(manifest):
    assert limit_rows(manifest, 21) is manifest
    assert len(limit_rows(manifest, 20).rows) == 20
