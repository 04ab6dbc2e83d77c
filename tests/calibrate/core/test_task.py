"""What a task is made of, and what it takes to be one."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from tests.calibrate.synthetic import make_task

TASK = make_task(classes=3, unreadable=2)


def test_groups_number_labels_and_attributes():
    assert TASK.num_groups == 9
    assert (TASK.groups == TASK.labels * 3 + TASK.attributes).all()


def test_rows_of_a_split_are_the_readable_ones_in_order():
    assert TASK.rows("val").tolist() == list(range(1002, 1240))
    assert [len(TASK.rows(name)) for name in ("train", "val", "test")] == [998, 238, 398]


def test_group_counts_are_of_readable_rows():
    rows = TASK.rows("test")
    expected = np.bincount(TASK.groups[rows], minlength=9)
    assert TASK.group_counts("test").tolist() == expected.tolist()
    assert expected.sum() == 398


@pytest.mark.parametrize(("code", "name"), [(0, "train"), (1, "val"), (2, "test")])
def test_every_split_needs_a_readable_row(code, name):
    with pytest.raises(CalibrationError) as error:
        replace(TASK, valid=TASK.splits != code)
    assert str(error.value) == (
        f"the {name} split has no readable row, expected some with splits = {code}; training "
        "needs train, selection val, and the table test: make the cache again with all three"
    )


def test_training_needs_two_classes():
    with pytest.raises(CalibrationError) as error:
        replace(TASK, valid=(TASK.splits != 0) | (TASK.labels == 2))
    assert str(error.value) == (
        "the training split holds only class 'class 2', expected rows of at least two classes: "
        "check the labels that the cache was made from"
    )
