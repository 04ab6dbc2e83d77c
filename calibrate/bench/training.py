"""Time the training stages in this process: ERM, CFR, and CFR's compiled loops alone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from statistics import mean
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from clip_cfr.calibrate.bench.sizes import Sizes
from clip_cfr.calibrate.bench.synthetic import synthetic_task
from clip_cfr.calibrate.bench.timing import Repeat, time_call
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import Prepared, prepare
from clip_cfr.calibrate.core.segments import Segment, evaluation_steps
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.stage_spec import IDENTIFICATION_STAGE
from clip_cfr.calibrate.core.train import Trained, train
from clip_cfr.calibrate.methods import cfr, fit

PRODUCT_ROWS = 4096
NUM_PRODUCTS = 10
# As with the default settings: 100 evaluations in 4,000 steps.
STEPS_PER_EVALUATION = 40


# Settings of each loop that is timed alone, besides those of the benchmark.
LOOPS: Mapping[str, dict[str, Any]] = {
    "loop_step": {},
    "minibatch_step": {"negative_pool": "minibatch"},
    "bfloat16_step": {"precision": "bfloat16"},
    "bfloat16_minibatch_step": {"precision": "bfloat16", "negative_pool": "minibatch"},
}


class TimedRun(NamedTuple):
    """A part of training that is timed.

    Attributes:
        name: key of the seconds per step.
        count: number of calls of `run`; together they take `sizes.steps` steps.
        run: takes the steps, and returns arrays to wait for.
        precision: `float32` or `bfloat16`, the type of the matrix product to compare with.
    """

    name: str
    count: int
    run: Callable[[], object]
    precision: str


@dataclass(frozen=True)
class TrainingBenchmark:
    """A task and the settings to train it with.

    Attributes:
        sizes: sizes of the task, and the numbers of steps to time.
        prepared: the task, with all rows resident.
        settings: settings of the timed stages.
    """

    sizes: Sizes
    prepared: Prepared
    settings: Settings

    def make_experiment(self) -> Experiment:
        """Return an experiment with seed 0 whose shared stages are not trained yet."""
        return Experiment(self.prepared, self.settings, seed=0)

    def measure(self) -> Repeat:
        """Return the seconds per step of both stages and of CFR's loops, and of matrix products.

        The keys are `erm_step` and `cfr_step` for whole stages, those of `LOOPS` and
        `evaluated_step` for the compiled loop alone, and `NAME_product` for each of them.
        `NAME_product` is the mean time of the products before, between and after the runs of NAME:
        a slowdown of a shared machine then affects steps and products alike.
        """
        repeat: Repeat = {}
        for name, count, run, precision in self.timed_runs():
            steps, products = [], [time_matrix_product(self.sizes, precision)]
            for _ in range(count):
                steps.append(time_call(run) * count / self.sizes.steps)
                products.append(time_matrix_product(self.sizes, precision))
            repeat |= {name: mean(steps), f"{name}_product": mean(products)}
        return repeat

    def timed_runs(self) -> Iterator[TimedRun]:
        """Yield the parts of training to time, which are to run in this order.

        The identification stage is trained before, so that it is not timed.
        """
        experiment, sizes = self.make_experiment(), self.sizes
        train_identification(experiment)
        yield TimedRun("erm_step", 1, lambda: experiment.erm.last, "float32")
        yield TimedRun("cfr_step", 1, lambda: fit("cfr", experiment).history["loss"], "float32")
        eval_steps = evaluation_steps(sizes.steps // sizes.loop_segments, 1)
        for name, changes in LOOPS.items():
            other = experiment.with_settings(replace(self.settings, **changes))
            run = partial(train_segment, other, make_cfr_segment(other), eval_steps)
            yield TimedRun(name, sizes.loop_segments, run, other.settings.precision)
        eval_steps = evaluation_steps(sizes.steps, sizes.many_evaluations)
        run = partial(train_segment, experiment, make_cfr_segment(experiment), eval_steps)
        yield TimedRun("evaluated_step", 1, run, "float32")


def make_benchmark(sizes: Sizes) -> TrainingBenchmark:
    """Return a benchmark of a synthetic task, with default settings but for steps and precision.

    Both stages take `sizes.steps` steps in float32, with an evaluation every 40 steps.
    """
    steps = sizes.steps
    evaluations = max(1, steps // STEPS_PER_EVALUATION)
    settings = Settings(
        steps=steps,
        identification_steps=steps,
        erm_steps=steps,
        evaluations=evaluations,
        negative_pool=256,
        patience=0,
        precision="float32",
    )
    task = synthetic_task(sizes.rows, sizes.dim, sizes.embedding)
    return TrainingBenchmark(sizes, prepare(task), settings)


def train_identification(experiment: Experiment) -> None:
    """Train the identification stage, if it is not cached."""
    experiment.shared_stage(IDENTIFICATION_STAGE)


def make_cfr_segment(experiment: Experiment) -> Segment:
    """Return the whole CFR stage as one segment, with its drawn row indices on the device.

    The identification stage is trained first if it is not cached. All rows must be resident.
    """
    [segment] = cfr.make_segments(experiment)
    return segment._replace(stage=jax.device_put(segment.stage))


def train_segment(
    experiment: Experiment, segment: Segment, eval_steps: Int[np.ndarray, " eval_steps"]
) -> Trained:
    """Run CFR's compiled loop on a segment with other evaluation steps.

    Args:
        eval_steps: the first step, then the steps after which to evaluate; the last one ends the
            loop, at the latest that of the segment.
    """
    objective = cfr.make_objective(experiment.settings)
    return train(objective, [segment._replace(eval_steps=eval_steps)])


def compute_first_losses(
    experiment: Experiment, segment: Segment, steps: int
) -> Float[np.ndarray, " steps"]:
    """Return the loss of each of the first steps of a CFR segment, without dropout, float32."""
    hyperparameters = segment.stage.hyperparameters._replace(dropout_rate=jnp.float32(0))
    segment = segment._replace(stage=segment.stage._replace(hyperparameters=hyperparameters))
    trained = train_segment(experiment, segment, np.arange(steps + 1, dtype=np.int32))
    return np.asarray(trained.info.logged["loss"])


def time_matrix_product(sizes: Sizes, precision: str) -> float:
    """Return the mean seconds of a product of (4096, dim) and (dim, embedding).

    Args:
        sizes: dim and embedding.
        precision: type of the operands, `float32` or `bfloat16`; the result is float32.
    """
    keys = jax.random.split(jax.random.key(0))
    left = jax.random.normal(keys[0], (PRODUCT_ROWS, sizes.dim)).astype(precision)
    right = jax.random.normal(keys[1], (sizes.dim, sizes.embedding)).astype(precision)
    product = jax.jit(partial(jnp.matmul, preferred_element_type=jnp.float32))
    jax.block_until_ready(product(left, right))
    return mean(time_call(lambda: product(left, right)) for _ in range(NUM_PRODUCTS))
