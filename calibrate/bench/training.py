"""Time the training stages in this process: ERM, CFR, and CFR's compiled loop alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import mean

import jax
import jax.numpy as jnp
import numpy as np

from clip_cfr.calibrate.bench.sizes import Sizes
from clip_cfr.calibrate.bench.synthetic import synthetic_task
from clip_cfr.calibrate.bench.timing import Repeat, time_call
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import Prepared, prepare
from clip_cfr.calibrate.core.segments import Segment, evaluation_steps
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.train import Trained, train
from clip_cfr.calibrate.methods import cfr, fit

PRODUCT_ROWS = 4096
NUM_PRODUCTS = 10
# As with the default settings: 100 evaluations in 4,000 steps.
STEPS_PER_EVALUATION = 40


@dataclass(frozen=True)
class TrainingBenchmark:
    """A task and the settings to train it with.

    Attributes:
        sizes: sizes of the task, and the numbers of steps to time.
        prepared: the task.
        settings: settings of the timed stages.
    """

    sizes: Sizes
    prepared: Prepared
    settings: Settings

    def make_experiment(self) -> Experiment:
        """Return an experiment whose ERM stage is not trained yet."""
        return Experiment(self.prepared, self.settings, seed=0)

    def make_cfr_segment(self, experiment: Experiment) -> Segment:
        """Return the whole CFR stage as one segment, with its drawn rows on the device."""
        [segment] = cfr.make_segments(experiment)
        return segment._replace(stage=jax.device_put(segment.stage))

    def train_segment(self, segment: Segment) -> Trained:
        """Run the compiled loop on a segment."""
        return train(cfr.make_objective(self.settings), [segment])

    def time_minibatch_pool(self, experiment: Experiment) -> Callable[[], object]:
        """Return a run of the compiled loop with `--negative-pool minibatch`, as `loop_step`'s."""
        settings = replace(self.settings, negative_pool="minibatch")
        segment = self.make_cfr_segment(experiment.with_settings(settings))
        segment = segment._replace(eval_steps=self.loop_eval_steps())
        return lambda: train(cfr.make_objective(settings), [segment])

    def loop_eval_steps(self) -> np.ndarray:
        """Return the evaluation steps of one of the segments that the loop is timed in."""
        return evaluation_steps(self.sizes.steps // self.sizes.loop_segments, 1)

    def measure(self) -> Repeat:
        """Return the seconds per step of both stages and of CFR's loop, and of matrix products.

        Products are timed before and after each run and averaged, as the runs are. A slowdown of a
        shared machine then affects steps and products alike.
        """
        repeat, products = {}, [time_matrix_product(self.sizes)]
        for name, num_runs, run in self.timed_runs():
            steps, before = [], len(products) - 1
            for _ in range(num_runs):
                steps.append(time_call(run) * num_runs / self.sizes.steps)
                products.append(time_matrix_product(self.sizes))
            repeat |= {name: mean(steps), f"{name}_product": mean(products[before:])}
        return repeat | {"product": mean(products)}

    def timed_runs(self) -> Iterator[tuple[str, int, Callable[[], object]]]:
        """Yield (name of the step time, number of runs, run); the runs together take all steps."""
        experiment, sizes = self.make_experiment(), self.sizes
        yield "erm_step", 1, lambda: experiment.erm.last
        yield "cfr_step", 1, lambda: fit("cfr", experiment).history["loss"]
        segment = self.make_cfr_segment(experiment)
        part = segment._replace(eval_steps=self.loop_eval_steps())
        yield "loop_step", sizes.loop_segments, lambda: self.train_segment(part)
        yield "minibatch_step", sizes.loop_segments, self.time_minibatch_pool(experiment)
        evaluated = segment._replace(
            eval_steps=evaluation_steps(sizes.steps, sizes.many_evaluations)
        )
        yield "evaluated_step", 1, lambda: self.train_segment(evaluated)


def make_benchmark(sizes: Sizes) -> TrainingBenchmark:
    """Return a benchmark of a synthetic task with the default settings, but fewer steps."""
    steps = sizes.steps
    evaluations = max(1, steps // STEPS_PER_EVALUATION)
    settings = Settings(steps=steps, erm_steps=steps, evaluations=evaluations)
    task = synthetic_task(sizes.rows, sizes.dim, sizes.embedding)
    return TrainingBenchmark(sizes, prepare(task), settings)


def compute_first_losses(benchmark: TrainingBenchmark, segment: Segment, steps: int) -> np.ndarray:
    """Return the losses of the first steps of a segment, without dropout."""
    hyperparameters = segment.stage.hyperparameters._replace(dropout_rate=jnp.float32(0))
    stage = segment.stage._replace(hyperparameters=hyperparameters)
    trained = benchmark.train_segment(
        segment._replace(stage=stage, eval_steps=np.arange(steps + 1, dtype=np.int32))
    )
    return np.asarray(trained.info.logged["loss"])


def time_matrix_product(sizes: Sizes) -> float:
    """Return the mean seconds of a float32 product of (4096, dim) and (dim, embedding)."""
    keys = jax.random.split(jax.random.key(0))
    left = jax.random.normal(keys[0], (PRODUCT_ROWS, sizes.dim))
    right = jax.random.normal(keys[1], (sizes.dim, sizes.embedding))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(left, right))
    return mean(time_call(lambda: product(left, right)) for _ in range(NUM_PRODUCTS))
