import threading
from contextlib import closing

import pytest

from extract.prefetch import BATCHES_AHEAD, batches


def test_batches_come_in_order_and_aligned():
    found = list(batches(str, range(4, 11), batch_size=3, workers=4))
    assert found == [["4", "5", "6"], ["7", "8", "9"], ["10"]]


def test_no_rows_are_no_batches():
    assert list(batches(str, range(5, 5), batch_size=3, workers=1)) == []


def test_only_a_few_batches_are_read_ahead():
    read = []
    with closing(batches(read.append, range(1000), batch_size=2, workers=2)) as found:
        next(found)
    assert len(read) <= 2 * (BATCHES_AHEAD + 1)


def test_it_stops_its_threads_when_it_is_closed():
    before = threading.active_count()
    with closing(batches(str, range(1000), batch_size=2, workers=8)) as found:
        next(found)
    assert threading.active_count() == before


def test_what_a_read_raises_comes_through():
    with pytest.raises(ZeroDivisionError):
        list(batches(lambda row: 1 // row, range(3), batch_size=2, workers=2))
