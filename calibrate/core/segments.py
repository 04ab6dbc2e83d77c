"""Stages and their segments: the inputs of the compiled training loop."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.features import Data
from clip_cfr.calibrate.core.head import AnyHead
from clip_cfr.calibrate.core.selection import Patience


class SgdSettings(NamedTuple):
    """Hyperparameters of SGD; traced, so that a sweep over them compiles once.

    Attributes:
        lr: learning rate.
        momentum: decay of the velocity, in [0, 1].
        weight_decay: factor of the weight and the bias that is added to their gradients.
        log_scale_factor: factor of the gradient of the log logit scale: 1, or 0 to freeze it.
    """

    lr: Float[Array, ""]
    momentum: Float[Array, ""]
    weight_decay: Float[Array, ""]
    log_scale_factor: Float[Array, ""]


class Stage(NamedTuple):
    """Inputs of a training stage besides its objective and the data; all of them traced.

    Attributes:
        head: initial head.
        loss_state: initial state of the objective: class centroids, or None.
        batches: pytree of row indices, and weights, whose first axis runs over the steps; the rows
            of a `CfrBatch` for CFR, one array (steps, rows) for ERM.
        sgd: hyperparameters of the optimizer.
        hyperparameters: hyperparameters of the objective.
        key: random key; each step folds its index in.
        first_step: index, in the stage, of the step that `batches` begins with.
        patience: when to stop before the last step.
    """

    head: AnyHead
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
        stage: inputs of the stage, or of the part of it that belongs to one window.
        data: arrays of the resident rows.
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
    """Split evaluation steps into parts of `evaluations` evaluations, the last maybe fewer.

    Each part starts with the step at which the part before it ends: `[0, 10, 20, 30]` split by 2
    gives `[0, 10, 20]` and `[20, 30]`.
    """
    bounds = [*range(0, len(eval_steps) - 1, evaluations), len(eval_steps) - 1]
    return [eval_steps[start : stop + 1] for start, stop in pairwise(bounds)]


def split_segments(segments: Iterable[Segment], evaluations: int) -> Iterator[Segment]:
    """Yield the parts of all segments in order, each segment split as by `split_segment`."""
    for segment in segments:
        yield from split_segment(segment, evaluations)
        del segment  # frees its rows before the next segment loads others


def split_segment(segment: Segment, evaluations: int) -> Iterator[Segment]:
    """Yield parts of a segment with `evaluations` evaluations each, the last maybe fewer.

    The parts share data and stage, with all its batches; only their `eval_steps` differ. The arrays
    of the stage are put on the device.
    """
    # The batches go to the device once, not with each segment.
    segment = segment._replace(stage=jax.device_put(segment.stage))
    for eval_steps in split_eval_steps(segment.eval_steps, evaluations):
        yield segment._replace(eval_steps=eval_steps)


def evaluations_per_call(evaluations: int, calls: int) -> int:
    """Return the evaluations of a segment with which a stage takes `calls` calls or somewhat fewer.

    That is `evaluations / calls`, rounded up, or preferably the first divisor of `evaluations` from
    there to below twice that: then all segments have one shape, and one program serves them.

    Args:
        evaluations: evaluations of the whole stage.
    """
    least = -(-evaluations // calls)
    divisors = (each for each in range(least, 2 * least) if evaluations % each == 0)
    return next(divisors, least)
