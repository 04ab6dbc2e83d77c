"""Arrays that are read block by block, compared with slices of the same array in memory."""

from collections.abc import Iterator

import numpy as np
import pytest

from clip_cfr.extract.importing.arrays.sources import (
    ConcatenatedRows,
    IteratedRows,
    MaskedRows,
    ReshapedRows,
    SelectedRows,
    iterate_blocks,
)

NUMBERS = np.arange(60, dtype=np.float32).reshape(20, 3)
SLICES = [slice(0, 20), slice(0, 0), slice(3, 4), slice(5, 17), slice(2, 9), slice(15, 40)]


def iterate() -> Iterator[np.ndarray]:
    yield from np.array_split(NUMBERS, [4, 4, 11])


EVEN = np.arange(0, 20, 2)
SOURCES = {
    "iterated": (IteratedRows((20, 3), NUMBERS.dtype, iterate), NUMBERS),
    "concatenated": (
        ConcatenatedRows([NUMBERS[:4], NUMBERS[4:4], NUMBERS[4:11], NUMBERS[11:]]),
        NUMBERS,
    ),
    "reshaped": (ReshapedRows(NUMBERS[:, None, :], (3,)), NUMBERS),
    "all selected": (SelectedRows(NUMBERS, np.arange(20)), NUMBERS),
    "selected": (SelectedRows(NUMBERS, EVEN), NUMBERS[EVEN]),
    "sparsely selected": (SelectedRows(NUMBERS, np.array([0, 1, 19])), NUMBERS[[0, 1, 19]]),
    "masked": (
        MaskedRows(NUMBERS, np.arange(20) % 2 == 0),
        NUMBERS * ~(np.arange(20) % 2)[:, None],
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_slices_equal_those_of_the_array(name: str):
    source, expected = SOURCES[name]
    if name == "masked":
        expected = np.where((np.arange(20) % 2 == 0)[:, None], NUMBERS, 0)
    assert source.shape == expected.shape
    assert source.dtype == expected.dtype
    for rows in SLICES:
        np.testing.assert_array_equal(source[rows], expected[rows], err_msg=f"{rows}")


def test_masked_rows_are_zeros_even_of_nan():
    numbers = np.full((2, 3), np.nan, np.float16)
    found = MaskedRows(numbers, np.zeros(2, bool))[0:2]
    np.testing.assert_array_equal(found, np.zeros((2, 3)))
    assert found.dtype == np.float16


def test_concatenated_rows_have_a_type_that_holds_all():
    parts = [NUMBERS.astype(np.float16), NUMBERS]
    assert ConcatenatedRows(parts).dtype == ConcatenatedRows(parts)[0:5].dtype == np.float32


def test_blocks_follow_one_another():
    numbers = np.zeros((5000, 1000), np.float32)
    blocks = list(iterate_blocks(numbers))
    assert len(blocks) > 1
    assert [start for start, _ in blocks] == np.cumsum(
        [0, *(len(b) for _, b in blocks[:-1])]
    ).tolist()
    assert sum(len(block) for _, block in blocks) == 5000


class Counted:
    """An array that remembers the longest slice that was read."""

    shape, dtype = NUMBERS.shape, NUMBERS.dtype
    longest = 0

    def __getitem__(self, rows: slice) -> np.ndarray:
        self.longest = max(self.longest, rows.stop - rows.start)
        return NUMBERS[rows]


def test_a_sparse_selection_is_read_in_pieces():
    source = Counted()
    SelectedRows(source, np.array([0, 19]))[0:2]
    assert source.longest <= 2
