"""Evaluation steps, and the splitting of a stage into segments."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_cfr.calibrate.core.segments import (
    evaluation_steps,
    evaluations_per_call,
    split_eval_steps,
)


@given(steps=st.integers(1, 5000), evaluations=st.integers(1, 300))
def test_evaluation_steps_are_evenly_spaced_from_zero_to_the_last(steps, evaluations):
    found = evaluation_steps(steps, evaluations)
    gaps = np.diff(found)
    assert (found[0], found[-1]) == (0, steps)
    assert len(gaps) == min(steps, evaluations)
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


@given(count=st.integers(1, 60), evaluations=st.integers(1, 12))
def test_segments_are_consecutive_and_all_but_the_last_have_one_size(count, evaluations):
    found = split_eval_steps(np.arange(count + 1), evaluations)
    assert all(left[-1] == right[0] for left, right in pairwise(found))
    assert (found[0][0], found[-1][-1]) == (0, count)
    assert {len(part) - 1 for part in found[:-1]} <= {evaluations}
    assert 1 <= len(found[-1]) - 1 <= evaluations


@given(evaluations=st.integers(1, 1000), calls=st.integers(1, 30))
def test_a_stage_takes_at_most_the_calls_and_at_least_half_of_them(evaluations, calls):
    size = evaluations_per_call(evaluations, calls)
    found = -(-evaluations // size)
    assert found <= calls
    assert found >= min(calls, evaluations) / 4


@pytest.mark.parametrize(
    ("evaluations", "size"), [(100, 5), (20, 1), (7, 1), (50, 5), (97, 5), (1, 1)]
)
def test_segments_of_one_shape_are_preferred(evaluations, size):
    assert evaluations_per_call(evaluations, 20) == size
