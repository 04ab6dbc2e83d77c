"""Classes whose embeddings are equal."""

import numpy as np

from clip_cfr.extract.equal_classes import find_equal_rows, warn_of_equal_classes


def unit_rows(n: int) -> np.ndarray:
    rows = np.random.default_rng(1).normal(size=(n, 16)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_finds_rows_that_are_equal_up_to_rounding():
    rows = unit_rows(2000)
    rows[1500], rows[7], rows[900] = rows[3] + 1e-7, rows[3], rows[4] + 1e-3
    assert find_equal_rows(unit_rows(2000)) == []
    assert {index for pair in find_equal_rows(rows) for index in pair} == {3, 7, 1500}


def test_names_equal_classes_once():
    names = ("cat", "Cat", "dog", "hound")
    rows = unit_rows(4)
    rows[1], rows[3] = rows[0], rows[2]
    assert warn_of_equal_classes("mine", names, rows) == (
        "mine: the class embeddings of 'dog' and 'hound' are equal, so zero-shot cannot tell them "
        "apart; give them other names or prompts, or merge the classes",
    )
    assert warn_of_equal_classes("mine", names, unit_rows(4)) == ()
