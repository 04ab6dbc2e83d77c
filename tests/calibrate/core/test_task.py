"""What a task is made of, and what it takes to be one."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.task import Task
from tests.calibrate.synthetic import cache_of, make_task

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


def no_rows(code: int, name: str) -> str:
    """Return the message for a split without readable rows."""
    draw = "draw it from train with calibrate --val-fraction 0.2, or " if name == "val" else ""
    return (
        f"the {name} split has no readable row, expected some with splits = {code}; training "
        f"needs train, selection val, and the table test: {draw}make the cache again with all three"
    )


@pytest.mark.parametrize(("code", "name"), [(0, "train"), (1, "val")])
def test_a_task_needs_readable_training_and_validation_rows(code, name):
    with pytest.raises(CalibrationError) as error:
        replace(TASK, valid=TASK.splits != code)
    assert str(error.value) == no_rows(code, name)


@pytest.mark.parametrize(("code", "name"), [(0, "train"), (1, "val"), (2, "test")])
def test_the_task_of_a_cache_needs_readable_rows_of_every_split(code, name):
    cache = replace(cache_of(TASK), valid=TASK.splits != code)
    with pytest.raises(CalibrationError) as error:
        Task.from_cache(cache)
    assert str(error.value) == no_rows(code, name)


def test_a_task_may_have_no_test_rows():
    task = replace(TASK, valid=TASK.splits != 2)
    assert len(task.rows("test")) == 0
    with pytest.raises(CalibrationError) as error:
        task.require_rows("val", "test")
    assert str(error.value) == no_rows(2, "test")


def test_training_needs_two_classes():
    with pytest.raises(CalibrationError) as error:
        replace(TASK, valid=(TASK.splits != 0) | (TASK.labels == 2))
    assert str(error.value) == (
        "the training split holds only class 'class 2', expected rows of at least two classes: "
        "check the labels that the cache was made from"
    )
