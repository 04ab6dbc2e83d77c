"""Stages and their segments: the inputs of the compiled training loop."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.features import Data
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.selection import Patience


class SgdSettings(NamedTuple):
    """Hyperparameters of SGD; traced, so that a sweep over them compiles once.

    Attributes:
        lr: learning rate.
        momentum: decay of the velocity.
        weight_decay: factor of the L2 penalty on the projection.
        log_scale_factor: factor of the gradient of the log logit scale; 0 freezes it.
    """

    lr: Float[Array, ""]
    momentum: Float[Array, ""]
    weight_decay: Float[Array, ""]
    log_scale_factor: Float[Array, ""]


class Stage(NamedTuple):
    """Inputs of a training stage besides its objective and the data; all of them traced.

    Attributes:
        head: initial head.
        loss_state: initial state of the objective.
        batches: arrays whose first axis runs over the steps.
        sgd: hyperparameters of the optimizer.
        hyperparameters: hyperparameters of the objective.
        key: random key; each step folds its index in.
        first_step: index of the step that `batches` begins with.
        patience: when to stop before the last step.
    """

    head: Head
    loss_state: Any
    batches: Any
    sgd: SgdSettings
    hyperparameters: Any
    key: Array
    first_step: Int[Array, ""]
    patience: Patience


class Segment(NamedTuple):
    """A part of a stage that runs as one call of the compiled program.

    Attributes:
        stage: inputs of the stage, or of the part of it that draws from the same rows.
        data: arrays of the rows in memory.
        eval_steps: the step at which the segment starts, then the steps after which it evaluates.
    """

    stage: Stage
    data: Data
    eval_steps: Int[np.ndarray, " eval_steps"]


def evaluation_steps(steps: int, evaluations: int) -> Int[np.ndarray, " eval_steps"]:
    """Return 0 and the evenly spaced steps after which to evaluate; the last is `steps`.

    The result is int32, ascending, of length `min(steps, evaluations) + 1`.
    """
    count = min(steps, evaluations) + 1
    return np.round(np.linspace(0, steps, count)).astype(np.int32)


def split_eval_steps(
    eval_steps: Int[np.ndarray, " eval_steps"], evaluations: int
) -> list[Int[np.ndarray, " _"]]:
    """Split into parts of `evaluations` evaluations, the last maybe fewer.

    Each part starts with the step at which the part before it ends.
    """
    bounds = [*range(0, len(eval_steps) - 1, evaluations), len(eval_steps) - 1]
    return [eval_steps[start : stop + 1] for start, stop in pairwise(bounds)]


def split_segments(segments: Iterable[Segment], evaluations: int) -> Iterator[Segment]:
    """Split each segment into segments of `evaluations` evaluations, the last maybe fewer."""
    for segment in segments:
        yield from split_segment(segment, evaluations)
        del segment  # frees its rows before the next segment loads others


def split_segment(segment: Segment, evaluations: int) -> Iterator[Segment]:
    """Split a segment into segments of `evaluations` evaluations, the last maybe fewer."""
    # The batches go to the device once, not with each segment.
    segment = segment._replace(stage=jax.device_put(segment.stage))
    for eval_steps in split_eval_steps(segment.eval_steps, evaluations):
        yield segment._replace(eval_steps=eval_steps)


def evaluations_per_call(evaluations: int, calls: int) -> int:
    """Return how many evaluations a segment needs so that a stage takes about `calls` calls.

    A divisor of `evaluations` is preferred: then all segments have one shape, and one program
    serves them.
    """
    least = -(-evaluations // calls)
    divisors = (each for each in range(least, 2 * least) if evaluations % each == 0)
    return next(divisors, least)
