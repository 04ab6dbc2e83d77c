"""Reads batches in threads, ahead of whoever uses them."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

BATCHES_AHEAD = 2


def batches(
    read: Callable[[int], Item], rows: range, batch_size: int, workers: int
) -> Iterator[list[Item]]:
    """What `read` gives for each row, in batches and in the order of the rows.

    `workers` threads read the next batches while the caller works on this one. Close the iterator
    to stop them early.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    pending = deque()
    try:
        for start in range(rows.start, rows.stop, batch_size):
            stop = min(start + batch_size, rows.stop)
            pending.append([pool.submit(read, row) for row in range(start, stop)])
            if len(pending) > BATCHES_AHEAD:
                yield [future.result() for future in pending.popleft()]
        while pending:
            yield [future.result() for future in pending.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)
