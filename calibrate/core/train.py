"""The compiled training loop: `init`, `step`, `run_segment` and `train`, for any objective.

A stage is cut into segments. Each segment is one call of one compiled program, a scan over
evaluations of loops over steps.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from clip_cfr.calibrate.core.features import Data
from clip_cfr.calibrate.core.head import AnyHead, decayed_leaves
from clip_cfr.calibrate.core.memory import convert_memory_errors
from clip_cfr.calibrate.core.segments import Segment, SgdSettings, Stage
from clip_cfr.calibrate.core.selection import (
    Best,
    evaluate,
    has_stopped,
    init_best,
    update_best,
)
from clip_cfr.calibrate.core.settings import CRITERIA

# Called with the number of steps done and the best validation value so far of each criterion.
SegmentCallback = Callable[[int, dict[str, float]], None]
Logged = dict[str, Float[Array, ""]]
# Name of the axis over which stages that run together are mapped.
STAGES = "stages"


@runtime_checkable
class Objective(Protocol):
    """A loss with a state that it carries from step to step; hashable, as it is static."""

    def loss(
        self,
        head: AnyHead,
        loss_state: Any,
        batch: Any,
        data: Data,
        hyperparameters: Any,
        key: Array,
    ) -> tuple[Float[Array, ""], tuple[Any, Logged]]:
        """Return the loss of one step, and the pair of next loss state and values to log by name.

        Args:
            batch: entry of the step in `Stage.batches`.
        """


class TrainState(NamedTuple):
    """The state that is carried from step to step.

    Attributes:
        head: current head.
        opt_state: state of the optimizer.
        loss_state: state of the objective.
    """

    head: AnyHead
    opt_state: Any
    loss_state: Any


class Info(NamedTuple):
    """Values logged at each evaluation; scalars without the leading axis for a single one.

    Attributes:
        step: steps done.
        logged: mean of each logged value over the steps since the previous evaluation.
        logit_scale: factor of the cosine similarities in the logits (not its logarithm).
        group_accuracy: accuracy of each group on the validation split; 0 for a group without rows.
        criteria: validation values of `CRITERIA`, in [0, 1].
        val_correct: whether the prediction of each validation row is right.
    """

    step: Int[Array, " evaluations"]
    logged: dict[str, Float[Array, " evaluations"]]
    logit_scale: Float[Array, " evaluations"]
    group_accuracy: Float[Array, "evaluations groups"]
    criteria: Float[Array, "evaluations criteria"]
    val_correct: Bool[Array, "evaluations val"]


class Trained(NamedTuple):
    """Result of a stage.

    Attributes:
        best: best head by each of `CRITERIA`, with its value and step.
        last: head after the last step that was taken.
        info: the log as NumPy arrays, with one entry for each evaluation that was made.
    """

    best: Best
    last: AnyHead
    info: Info


def train(
    objective: Objective, segments: Iterable[Segment], callback: SegmentCallback | None = None
) -> Trained:
    """Train a head through the segments of a stage, until the last or until its patience ends.

    Args:
        objective: loss to minimize.
        segments: consecutive segments of one stage; the first one's stage gives the initial state.
        callback: called after each segment; an exception that it raises ends the stage.

    Raises:
        MemoryError: a segment does not fit in device memory.
    """
    state, best, infos = None, None, []
    for segment in segments:
        with convert_memory_errors():
            if state is None:
                state, best = init(segment.stage)
            state, best, info = run_segment(objective, segment, state, best)
            # The copy to the host waits for the segment, so that its rows can be freed.
            infos.append(jax.tree.map(np.asarray, info))
            stopped = bool(has_stopped(best, segment.stage.patience))
        del segment
        if callback is not None:
            values = map(float, best.values)
            callback(int(best.step), dict(zip(CRITERIA, values, strict=True)))
        if stopped:
            break
    return Trained(best, state.head, select_evaluations(infos))


def select_evaluations(infos: Sequence[Info]) -> Info:
    """Concatenate the logs of segments, without the entries after the step that a stage stopped at.

    Those repeat that step.
    """
    info = jax.tree.map(lambda *columns: np.concatenate(columns), *infos)
    made = np.diff(info.step, prepend=0) > 0
    return jax.tree.map(itemgetter(made), info)


def train_together(objective: Objective, segments: Sequence[Segment]) -> list[Trained]:
    """Train several heads in one program, whose matrix products become batched products.

    Args:
        objective: loss to minimize.
        segments: one whole stage for each head, of equal shapes, data and evaluation steps.

    Raises:
        MemoryError: the stages do not fit in device memory together.
    """
    with convert_memory_errors():
        stages = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(each.stage for each in segments))
        state, best, info = run_stages(objective, segments[0]._replace(stage=stages))
        trained = Trained(best, state.head, jax.tree.map(np.asarray, info))
    each_trained = [jax.tree.map(itemgetter(index), trained) for index in range(len(segments))]
    return [each._replace(info=select_evaluations([each.info])) for each in each_trained]


@partial(jax.jit, static_argnames=("objective",))
def run_stages(objective: Objective, segment: Segment) -> tuple[TrainState, Best, Info]:
    """Run stages that are stacked along a leading axis, until the patience of all has ended.

    The results are stacked too.
    """
    axes = Segment(stage=0, data=None, eval_steps=None)
    run = jax.vmap(partial(run_stage, objective), in_axes=(axes,), axis_name=STAGES)
    return run(segment)


def run_stage(objective: Objective, segment: Segment) -> tuple[TrainState, Best, Info]:
    """Run one of several stages, each a single segment, from the initial state that it gives.

    Returns:
        The state after the last step, the best heads, and the log with an entry per evaluation.
    """
    return run_evaluations(objective, segment, *init(segment.stage), axis_name=STAGES)


@jax.jit
def init(stage: Stage) -> tuple[TrainState, Best]:
    """Return the state before the first step, and best heads with values of minus infinity."""
    opt_state = make_optimizer(stage.sgd, stage.head).init(stage.head)
    return TrainState(stage.head, opt_state, stage.loss_state), init_best(stage.head)


@partial(jax.jit, static_argnames=("objective",))
def run_segment(
    objective: Objective, segment: Segment, state: TrainState, best: Best
) -> tuple[TrainState, Best, Info]:
    """Run the steps of a segment; evaluate and update the best heads at its evaluation steps.

    Args:
        state, best: state and best heads before the segment.

    Returns:
        State and best heads after it, and the log with one entry per evaluation step. Entries after
        the stage has stopped repeat the step of the last evaluation; see `select_evaluations`.
    """
    return run_evaluations(objective, segment, state, best)


def run_evaluations(
    objective: Objective,
    segment: Segment,
    state: TrainState,
    best: Best,
    axis_name: str | None = None,
) -> tuple[TrainState, Best, Info]:
    """Run a segment; see `run_segment`.

    Args:
        axis_name: axis over which stages are mapped; None if there is one stage.
    """
    run = partial(run_interval, objective, segment.stage, segment.data, axis_name)
    bounds = (segment.eval_steps[:-1], segment.eval_steps[1:])
    (state, best), info = jax.lax.scan(run, (state, best), bounds)
    return state, best, info


def run_interval(
    objective: Objective,
    stage: Stage,
    data: Data,
    axis_name: str | None,
    carry: tuple[TrainState, Best],
    bounds: tuple[Int[Array, ""], Int[Array, ""]],
) -> tuple[tuple[TrainState, Best], Info]:
    """Run the steps between two evaluations, then evaluate; nothing if the stage has stopped.

    A stage that has stopped before others that run with it keeps its results; the step of its log
    stays that of its last evaluation.

    Args:
        axis_name: axis over which stages are mapped; None if there is one stage.
        bounds: number of steps done before the interval, and at its evaluation.
    """
    stopped = has_stopped(carry[1], stage.patience)
    all_stopped = stopped
    if axis_name is not None:
        all_stopped = jax.lax.pmin(stopped.astype(jnp.int32), axis_name) == 1
    moved, info = jax.lax.cond(
        all_stopped,
        partial(skip_interval, objective, stage, data),
        partial(run_steps, objective, stage, data),
        carry,
        bounds,
    )
    carry = jax.tree.map(partial(jnp.where, stopped), carry, moved)
    return carry, info._replace(step=carry[1].step)


def run_steps(
    objective: Objective,
    stage: Stage,
    data: Data,
    carry: tuple[TrainState, Best],
    bounds: tuple[Int[Array, ""], Int[Array, ""]],
) -> tuple[tuple[TrainState, Best], Info]:
    """Run the steps between two evaluations, then evaluate."""
    (state, best), (start, stop) = carry, bounds
    add_step = partial(accumulate_step, objective, stage, data)
    sums = init_sums(objective, stage, data, state)
    state, sums = jax.lax.fori_loop(start, stop, add_step, (state, sums))
    steps = (stop - start).astype(jnp.float32)
    found = evaluate(state.head, data)
    info = Info(
        step=stop,
        logged=jax.tree.map(lambda total: total / steps, sums),
        logit_scale=jnp.exp(state.head.log_scale),
        group_accuracy=found.group_accuracy,
        criteria=found.criteria,
        val_correct=found.correct,
    )
    return (state, update_best(best, state.head, found.criteria, stop, stage.patience)), info


def skip_interval(
    objective: Objective,
    stage: Stage,
    data: Data,
    carry: tuple[TrainState, Best],
    bounds: tuple[Int[Array, ""], Int[Array, ""]],
) -> tuple[tuple[TrainState, Best], Info]:
    """Return `carry` as it is, and a log entry of zeros in the shapes of `run_steps`."""
    _, info = jax.eval_shape(partial(run_steps, objective, stage, data), carry, bounds)
    return carry, jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), info)


def accumulate_step(
    objective: Objective,
    stage: Stage,
    data: Data,
    index: Int[Array, ""],
    carry: tuple[TrainState, Logged],
) -> tuple[TrainState, Logged]:
    """Take a step and add its logged values to their sums."""
    state, sums = carry
    state, logged = step(objective, stage, data, index, state)
    return state, jax.tree.map(jnp.add, sums, logged)


def init_sums(objective: Objective, stage: Stage, data: Data, state: TrainState) -> Logged:
    """Return a zero, of equal shape and type, for each value that a step logs, by name."""
    _, logged = jax.eval_shape(partial(step, objective), stage, data, stage.first_step, state)
    return jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), logged)


def step(
    objective: Objective, stage: Stage, data: Data, index: Int[Array, ""], state: TrainState
) -> tuple[TrainState, Logged]:
    """Take one SGD step; return the next state and the values to log, with the loss as `loss`.

    Args:
        index: index of the step in the stage.
    """
    batch = jax.tree.map(itemgetter(index - stage.first_step), stage.batches)
    key = jax.random.fold_in(stage.key, index)
    (loss, (loss_state, logged)), grads = jax.value_and_grad(objective.loss, has_aux=True)(
        state.head, state.loss_state, batch, data, stage.hyperparameters, key
    )
    grads = grads._replace(log_scale=grads.log_scale * stage.sgd.log_scale_factor)
    optimizer = make_optimizer(stage.sgd, stage.head)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.head)
    head = optax.apply_updates(state.head, updates)
    return TrainState(head, opt_state, loss_state), {"loss": loss, **logged}


def make_optimizer(sgd: SgdSettings, head: AnyHead) -> optax.GradientTransformation:
    """Return SGD with momentum; weight decay acts on projection and bias, not the logit scale."""
    return optax.chain(
        optax.add_decayed_weights(sgd.weight_decay, mask=decayed_leaves(head)),
        optax.sgd(sgd.lr, sgd.momentum),
    )
