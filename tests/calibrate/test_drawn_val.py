"""A validation split drawn from the training rows of a cache."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.cache.format.schema import Rows
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.drawn_val import DrawnVal, draw_val

ALL_VALID = np.ones(120, bool)


def make_rows(subjects=None, labels=None) -> Rows:
    """Return a hundred training rows of two classes, and twenty test rows."""
    return Rows(
        ids=tuple(map(str, range(120))),
        labels=np.arange(120, dtype=np.int32) % 2 if labels is None else labels.astype(np.int32),
        attributes=np.zeros(120, np.int32),
        splits=np.repeat(np.array([0, 2], np.int8), (100, 20)),
        subjects=None if subjects is None else subjects.astype(np.int32),
    )


def test_every_class_gives_its_share():
    rows = make_rows()
    drawn, how = draw_val(rows, ALL_VALID, 0.2)
    assert np.bincount(drawn.splits).tolist() == [80, 20, 20]
    assert np.bincount(rows.labels[drawn.splits == 1]).tolist() == [10, 10]
    np.testing.assert_array_equal(drawn.splits[100:], 2)
    assert how == DrawnVal(fraction=0.2, seed=0, rows=20)
    assert how.to_json() == {"fraction": 0.2, "seed": 0, "rows": 20}
    assert how.describe() == (
        "the cache has no val: 20 of its training rows are val here (--val-fraction 0.2, seed 0, "
        "by class), so training has fewer rows"
    )
    assert (rows.splits != 1).all()


def test_the_draw_is_always_the_same():
    first, again = (draw_val(make_rows(), ALL_VALID, 0.2)[0].splits for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (draw_val(make_rows(), ALL_VALID, 0.2, seed=1)[0].splits != first).any()


def test_only_valid_training_rows_are_drawn():
    valid = np.arange(120) % 3 > 0
    drawn, _ = draw_val(make_rows(), valid, 0.5)
    assert valid[drawn.splits == 1].all()
    assert (drawn.splits[valid] == 1).sum() == 32


def test_subjects_stay_together():
    subjects = np.arange(120) // 4
    drawn, _ = draw_val(make_rows(subjects), ALL_VALID, 0.2)
    splits = drawn.splits[:100].reshape(25, 4)
    assert (splits == splits[:, :1]).all()
    assert (splits[:, 0] == 1).sum() == 5


def test_a_class_of_one_row_stays_in_train_and_one_of_two_is_shared():
    labels = np.concatenate([np.zeros(97), [1, 1, 2], np.zeros(20)])
    drawn, _ = draw_val(make_rows(labels=labels), ALL_VALID, 0.2)
    assert sorted(drawn.splits[97:99].tolist()) == [0, 1]
    assert drawn.splits[99] == 0


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2.0])
def test_rejects_another_fraction(fraction: float):
    with pytest.raises(CalibrationError, match="expected a number between 0 and 1"):
        draw_val(make_rows(), ALL_VALID, fraction)


def test_rejects_a_cache_with_val():
    rows = make_rows()
    splits = rows.splits.copy()
    splits[:7] = 1
    with pytest.raises(CalibrationError) as error:
        draw_val(replace(rows, splits=splits), ALL_VALID, 0.2)
    assert str(error.value) == (
        "--val-fraction draws val where a cache has none, but this one has 7 rows in val; leave "
        "the option out"
    )


def test_rejects_one_subject_per_class():
    with pytest.raises(CalibrationError, match="no class has two training rows, or subjects"):
        draw_val(make_rows(subjects=np.arange(120) % 2), ALL_VALID, 0.2)
