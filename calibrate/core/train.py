"""The compiled training loop: scans over steps and evaluations, and knows nothing of the loss."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.head import Data, Head
from clip_cfr.calibrate.core.memory import memory_errors
from clip_cfr.calibrate.core.selection import (
    Best,
    accuracies,
    criteria_values,
    group_hits,
    keep_best,
    no_best,
)
from clip_cfr.calibrate.core.settings import CRITERIA

# Hears of the steps done and of the best validation value so far by each of `CRITERIA`.
Watch = Callable[[int, dict[str, float]], None]


class SgdSettings(NamedTuple):
    """Hyperparameters of SGD; traced, so that sweeping them compiles nothing.

    `scale_factor` multiplies the gradient of the logit scale: 0 freezes it.
    """

    lr: Float[Array, ""]
    momentum: Float[Array, ""]
    weight_decay: Float[Array, ""]
    scale_factor: Float[Array, ""]


@runtime_checkable
class Objective(Protocol):
    """A loss with what it carries from step to step; hashable, for it is static."""

    def loss(
        self, head: Head, memory: Any, batch: Any, data: Data, weights: Any, key: Array
    ) -> tuple[Float[Array, ""], tuple[Any, dict[str, Float[Array, ""]]]]:
        """The loss of one step, the memory of the next one, and what is logged."""


class Stage(NamedTuple):
    """What a training stage depends on beside its objective and the data; all of it traced.

    Attributes:
        head: where to start.
        memory: what the objective carries from step to step, at the start.
        batches: arrays whose first axis runs over the steps.
        sgd: hyperparameters of the optimizer.
        weights: hyperparameters of the objective.
        key: for what is random inside a step.
        first: the step that the first batch is for.
    """

    head: Head
    memory: Any
    batches: Any
    sgd: SgdSettings
    weights: Any
    key: Array
    first: Int[Array, ""]


class Leg(NamedTuple):
    """A part of a stage, with the rows that are held for it and its points of evaluation."""

    stage: Stage
    data: Data
    points: Int[np.ndarray, " points"]


class State(NamedTuple):
    """What the next step needs."""

    head: Head
    opt_state: Any
    memory: Any


class Progress(NamedTuple):
    """Where a stage stands; it can go on from there."""

    state: State
    best: Best


class Info(NamedTuple):
    """What is logged at each evaluation.

    Attributes:
        step: steps done.
        logged: mean of each logged value over the steps since the last evaluation.
        logit_scale: factor of the logits.
        group_accuracy: on the validation split, 0 for a group without rows.
        criteria: values of `CRITERIA`.
    """

    step: Int[Array, " evaluations"]
    logged: dict[str, Float[Array, " evaluations"]]
    logit_scale: Float[Array, " evaluations"]
    group_accuracy: Float[Array, "evaluations groups"]
    criteria: Float[Array, "evaluations criteria"]


class Trained(NamedTuple):
    """The best heads by each criterion, the last head, and the log."""

    best: Best
    last: Head
    info: Info


def evaluation_steps(steps: int, evaluations: int) -> Int[np.ndarray, " points"]:
    """Evenly spaced numbers of steps after which to evaluate; the first is 0, the last `steps`."""
    points = min(steps, evaluations) + 1
    return np.round(np.linspace(0, steps, points)).astype(np.int32)


def cut(points: Int[np.ndarray, " points"], evaluations: int) -> list[Int[np.ndarray, " of_part"]]:
    """The points in parts of so many evaluations, the last maybe of fewer.

    Each part begins where the one before ends.
    """
    starts = range(0, len(points) - 1, evaluations)
    return [points[start : start + evaluations + 1] for start in starts]


def sgd(settings: SgdSettings, head: Head) -> optax.GradientTransformation:
    """SGD with momentum; weight decay acts on the projection, never on the logit scale."""
    decayed = Head(weight=True, bias=None if head.bias is None else True, log_scale=False)
    return optax.chain(
        optax.add_decayed_weights(settings.weight_decay, mask=decayed),
        optax.sgd(settings.lr, settings.momentum),
    )


def train(objective: Objective, legs: Iterable[Leg], watch: Watch | None = None) -> Trained:
    """Trains a head and evaluates it on the way; each leg is one call of one compiled program.

    Args:
        objective: the loss.
        legs: one after the other; the first says where to start.
        watch: hears of the best validation values after each leg, and may raise to end the stage.

    Raises:
        MemoryError: a leg does not fit into the memory of the device.
    """
    progress, infos = None, []
    for leg in legs:
        with memory_errors():
            progress, info = advance(objective, leg.stage, progress, leg.points, leg.data)
            # Now in numpy: done with the leg, whose rows make room for those of the next one.
            infos.append(jax.tree.map(np.asarray, info))
        del leg
        if watch is not None:
            values = map(float, progress.best.values)
            watch(int(info.step[-1]), dict(zip(CRITERIA, values, strict=True)))
    info = jax.tree.map(lambda *columns: np.concatenate(columns), *infos)
    return Trained(progress.best, progress.state.head, info)


def in_parts(leg: Leg, parts: int) -> Iterator[Leg]:
    """A leg cut into so many, with as many evaluations in all but the last."""
    for points in cut(leg.points, -(-(len(leg.points) - 1) // parts)):
        yield leg._replace(points=points)


def train_together(objective: Objective, legs: Sequence[Leg]) -> list[Trained]:
    """Trains several heads in one program, whose products become batches of products.

    Args:
        objective: the loss.
        legs: one for each head, its whole stage; of equal shapes, on the same data and points.

    Raises:
        MemoryError: together they do not fit into the memory of the device.
    """
    with memory_errors():
        stages = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(leg.stage for leg in legs))
        progress, info = advance_together(objective, stages, legs[0].points, legs[0].data)
        trained = Trained(progress.best, progress.state.head, jax.tree.map(np.asarray, info))
    return [jax.tree.map(itemgetter(number), trained) for number in range(len(legs))]


@partial(jax.jit, static_argnames=("objective",))
def advance_together(
    objective: Objective, stages: Stage, points: Int[Array, " points"], data: Data
) -> tuple[Progress, Info]:
    """Every stage from its start to the last of the points; stages and results are stacked."""
    return jax.vmap(lambda stage: advance(objective, stage, None, points, data))(stages)


@partial(jax.jit, static_argnames=("objective",))
def advance(
    objective: Objective,
    stage: Stage,
    progress: Progress | None,
    points: Int[Array, " points"],
    data: Data,
) -> tuple[Progress, Info]:
    """The stage at the last of the points, from where it stands at the first; None: the start."""
    optimizer = sgd(stage.sgd, stage.head)
    num_groups, num_classes = len(data.group_labels), len(data.class_embeddings)
    counts = jnp.bincount(data.val_groups, length=num_groups)
    gradient = jax.value_and_grad(objective.loss, has_aux=True)

    def step(number, carry):
        state, sums = carry
        batch = jax.tree.map(lambda array: array[number - stage.first], stage.batches)
        key = jax.random.fold_in(stage.key, number)
        (loss, (memory, logged)), grads = gradient(
            state.head, state.memory, batch, data, stage.weights, key
        )
        grads = grads._replace(log_scale=grads.log_scale * stage.sgd.scale_factor)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.head)
        state = State(optax.apply_updates(state.head, updates), opt_state, memory)
        return state, jax.tree.map(jnp.add, sums, {"loss": loss, **logged})

    def stretch(progress, bounds):
        start, stop = bounds
        state, sums = jax.lax.fori_loop(start, stop, step, (progress.state, zeros))
        hits = group_hits(state.head, data, num_groups)
        values = criteria_values(hits, counts, data.group_labels, num_classes)
        logged = jax.tree.map(lambda total: total / (stop - start), sums)
        scale = jnp.exp(state.head.log_scale)
        info = Info(stop, logged, scale, accuracies(hits, counts), values)
        best = keep_best(progress.best, state.head, values, stop)
        return Progress(state, best), info

    if progress is None:
        state = State(stage.head, optimizer.init(stage.head), stage.memory)
        progress = Progress(state, no_best(stage.head))
    first = jax.tree.map(lambda array: array[0], stage.batches)
    _, (_, logged) = jax.eval_shape(
        objective.loss, stage.head, stage.memory, first, data, stage.weights, stage.key
    )
    zeros = {"loss": jnp.zeros(()), **jax.tree.map(lambda x: jnp.zeros(x.shape), logged)}
    return jax.lax.scan(stretch, progress, (points[:-1], points[1:]))
