"""The rows that --limit chooses, against a loop over cells."""

import numpy as np
import pytest

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.manifest.limit import choose_spread_rows
from clip_cfr.extract.manifest.manifest import make_rows


@pytest.fixture
def rows() -> Rows:
    """A thousand rows of cells of very different sizes."""
    rng = np.random.default_rng(0)
    labels = (rng.random(1000) < 0.1).astype(int)
    attributes = labels ^ (rng.random(1000) < 0.05)
    return make_rows(
        [f"{row}" for row in range(1000)], labels, attributes, rng.integers(3, size=1000)
    )


def list_cells(rows: Rows) -> list[tuple[int, ...]]:
    """Return the split, label and attribute of each row."""
    return list(
        zip(
            *(column.tolist() for column in (rows.splits, rows.labels, rows.attributes)),
            strict=True,
        )
    )


def choose_by_loop(rows: Rows, num_rows: int) -> list[int]:
    """The reference: order rows by the share of their cell that precedes them."""
    cells = list_cells(rows)
    shares = [cells[:row].count(cell) / cells.count(cell) for row, cell in enumerate(cells)]
    return sorted(sorted(range(len(cells)), key=lambda row: (shares[row], row))[:num_rows])


@pytest.mark.parametrize("num_rows", [1, 5, 12, 40, 333, 1000])
def test_chooses_the_rows_of_the_loop(rows, num_rows):
    assert choose_spread_rows(rows, num_rows).tolist() == choose_by_loop(rows, num_rows)


def test_every_cell_is_represented(rows):
    cells = list_cells(rows)
    chosen = choose_spread_rows(rows, len(set(cells)))
    assert {cells[row] for row in chosen} == set(cells)
