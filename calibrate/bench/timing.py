"""Timing on a noisy machine: all is measured in turns, and ratios are taken within a turn."""

from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter

import jax

# What was measured in one turn, by name.
Turn = dict[str, float]


def seconds(function: Callable[[], object]) -> float:
    """Seconds until the result of a call is there."""
    start = perf_counter()
    jax.block_until_ready(function())
    return perf_counter() - start


def take_turns(measures: Iterable[Callable[[], Turn]], turns: int) -> list[Turn]:
    """What all measure, turn by turn.

    What slows the machine for longer than a turn slows all of them, and leaves their ratios.
    """
    measures = list(measures)
    return [{k: v for measure in measures for k, v in measure().items()} for _ in range(turns)]


def middle(turns: list[Turn], name: str) -> float:
    """Median over the turns."""
    return median(turn[name] for turn in turns)


def ratio(turns: list[Turn], over: str, under: str) -> float:
    """Median over the turns of a ratio."""
    return median(turn[over] / turn[under] for turn in turns)
