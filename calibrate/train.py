"""The compiled training loop: scans over steps and evaluations, and knows nothing of the loss."""

from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from calibrate.head import Data, Head
from calibrate.selection import accuracies, criteria_values, group_hits, keep_best, no_best


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


class State(NamedTuple):
    """What the next step needs."""

    head: Head
    opt_state: Any
    memory: Any


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
    """Heads by selection criterion, the last head, and the log.

    Attributes:
        best: heads stacked in the order of `CRITERIA`; of equal values the earliest counts.
        best_values: their values on the validation split.
        best_steps: the steps after which they stood.
        last: the head of the last step.
    """

    best: Head
    best_values: Float[Array, " criteria"]
    best_steps: Int[Array, " criteria"]
    last: Head
    info: Info


def evaluation_steps(steps: int, evaluations: int) -> Int[np.ndarray, " points"]:
    """Evenly spaced numbers of steps after which to evaluate; the first is 0, the last `steps`."""
    points = min(steps, evaluations) + 1
    return np.round(np.linspace(0, steps, points)).astype(np.int32)


def sgd(settings: SgdSettings, head: Head) -> optax.GradientTransformation:
    """SGD with momentum; weight decay acts on the projection, never on the logit scale."""
    decayed = Head(weight=True, bias=None if head.bias is None else True, log_scale=False)
    return optax.chain(
        optax.add_decayed_weights(settings.weight_decay, mask=decayed),
        optax.sgd(settings.lr, settings.momentum),
    )


@partial(jax.jit, static_argnames=("objective",))
def train(
    objective: Objective,
    head: Head,
    memory: Any,
    batches: Any,
    points: Int[Array, " points"],
    data: Data,
    sgd_settings: SgdSettings,
    weights: Any,
    key: Array,
) -> Trained:
    """Trains a head and evaluates it at the given points, in one compiled program.

    Args:
        objective: the loss; static.
        head: where to start.
        memory: what the objective carries from step to step, at the start.
        batches: arrays whose first axis runs over the steps.
        points: numbers of steps, from 0 to all, at which to evaluate (0 itself is not evaluated).
        data: features, labels and what to evaluate on.
        sgd_settings, weights: hyperparameters of the optimizer and of the objective; traced.
        key: for what is random inside a step.
    """
    optimizer = sgd(sgd_settings, head)
    num_groups, num_classes = len(data.group_labels), len(data.class_embeddings)
    counts = jnp.bincount(data.val_groups, length=num_groups)
    gradient = jax.value_and_grad(objective.loss, has_aux=True)

    def step(number, carry):
        state, sums = carry
        batch = jax.tree.map(lambda array: array[number], batches)
        step_key = jax.random.fold_in(key, number)
        (loss, (memory, logged)), grads = gradient(
            state.head, state.memory, batch, data, weights, step_key
        )
        grads = grads._replace(log_scale=grads.log_scale * sgd_settings.scale_factor)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.head)
        state = State(optax.apply_updates(state.head, updates), opt_state, memory)
        return state, jax.tree.map(jnp.add, sums, {"loss": loss, **logged})

    def stretch(carry, bounds):
        state, best = carry
        start, stop = bounds
        state, sums = jax.lax.fori_loop(start, stop, step, (state, zeros))
        hits = group_hits(state.head, data, num_groups)
        values = criteria_values(hits, counts, data.group_labels, num_classes)
        logged = jax.tree.map(lambda total: total / (stop - start), sums)
        scale = jnp.exp(state.head.log_scale)
        info = Info(stop, logged, scale, accuracies(hits, counts), values)
        return (state, keep_best(best, state.head, values, stop)), info

    state = State(head, optimizer.init(head), memory)
    first = jax.tree.map(lambda array: array[0], batches)
    _, (_, logged) = jax.eval_shape(objective.loss, head, memory, first, data, weights, key)
    zeros = {"loss": jnp.zeros(()), **jax.tree.map(lambda x: jnp.zeros(x.shape), logged)}
    (state, best), info = jax.lax.scan(stretch, (state, no_best(head)), (points[:-1], points[1:]))
    return Trained(*best, state.head, info)
