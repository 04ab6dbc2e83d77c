"""Validation rows that share the training correlation."""

from dataclasses import replace

import numpy as np

from clip_cfr.calibrate.studies.val_rows import correlated_counts, with_val


def test_own_val_is_the_task(task):
    assert with_val(task, "own") is task


def test_kept_rows_share_the_correlation_and_are_as_many_as_possible(task):
    changed = with_val(task, "train-correlation")
    train, before = (task.group_counts(each).reshape(2, 2) for each in ("train", "val"))
    kept = changed.group_counts("val").reshape(2, 2)
    for label in range(2):
        majority = label
        assert kept[label, majority] == before[label, majority]  # the majority limits nothing else
        share = kept[label] / kept[label].sum()
        assert np.abs(share - train[label] / train[label].sum()).max() < 1 / kept[label].sum()
    assert set(changed.rows("val")) < set(task.rows("val"))
    for split in ("train", "test"):
        np.testing.assert_array_equal(changed.rows(split), task.rows(split))


def test_the_same_rows_are_drawn_each_time(task):
    first, second = (with_val(task, "train-correlation").rows("val") for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_group_of_both_splits_keeps_a_row_and_a_missing_one_none(task):
    """The counts of a class are those of val, reduced to the proportions of train."""
    train, val = [500, 1, 0, 400], [30, 10, 10, 10]
    groups = np.concatenate([np.repeat(np.arange(4), each) for each in (train, val)])
    few = replace(
        task,
        features=np.ones((len(groups), 24), np.float32),
        valid=np.ones(len(groups), bool),
        labels=(groups // 2).astype(np.int32),
        attributes=(groups % 2).astype(np.int32),
        splits=np.repeat([0, 1], [sum(train), sum(val)]).astype(np.int8),
    )
    np.testing.assert_array_equal(correlated_counts(few), [30, 1, 0, 10])
