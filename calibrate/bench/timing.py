"""Timing on a noisy machine: measurements are interleaved, and ratios taken within a repeat."""

from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter

import jax

# Values measured in one repeat, by name.
Repeat = dict[str, float]


def time_call(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes, including the JAX computations of its result."""
    start = perf_counter()
    jax.block_until_ready(function())
    return perf_counter() - start


def measure_interleaved(measures: Iterable[Callable[[], Repeat]], repeats: int) -> list[Repeat]:
    """Call all measures in turn once per repeat; return the merged values of each repeat.

    A slowdown of the machine that lasts longer than a repeat affects all values of the repeat
    equally and cancels in their ratios.
    """
    measures = list(measures)
    return [{k: v for measure in measures for k, v in measure().items()} for _ in range(repeats)]


def median_of(repeats: list[Repeat], name: str) -> float:
    """Return the median of a value over the repeats."""
    return median(values[name] for values in repeats)


def median_ratio(repeats: list[Repeat], numerator: str, denominator: str) -> float:
    """Return the median over the repeats of `numerator / denominator`, both names of values."""
    return median(values[numerator] / values[denominator] for values in repeats)
