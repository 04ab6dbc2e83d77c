"""Times the stages of training in this process: ERM, CFR, and CFR's compiled loop alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import mean

import jax
import jax.numpy as jnp
import numpy as np

from clip_cfr.calibrate.bench.sizes import Sizes
from clip_cfr.calibrate.bench.synthetic import synthetic_task
from clip_cfr.calibrate.bench.timing import Turn, seconds
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import Prepared, prepare
from clip_cfr.calibrate.core.segments import Segment, evaluation_steps
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.train import Trained, train
from clip_cfr.calibrate.methods import cfr, fit

PRODUCT_ROWS = 4096
PRODUCTS = 10
# As in a stage of 4,000 steps with 100 evaluations.
STEPS_AN_EVALUATION = 40


@dataclass(frozen=True)
class Training:
    """A task, the settings that it is trained with, and how much of that is timed."""

    sizes: Sizes
    prepared: Prepared
    settings: Settings

    def experiment(self) -> Experiment:
        """One whose ERM stage has not run."""
        return Experiment(self.prepared, self.settings, seed=0)

    def cfr_segment(self, experiment: Experiment) -> Segment:
        """The CFR stage with all rows drawn and on the device."""
        [segment] = cfr.make_segments(experiment)
        return segment._replace(stage=jax.device_put(segment.stage))

    def run(self, segment: Segment) -> Trained:
        """What the compiled loop makes of a segment."""
        return train(cfr.make_objective(self.settings), [segment])

    def measure(self) -> Turn:
        """Seconds of a step of each stage and of CFR's loop alone, and of matrix products.

        Products are timed before and after each run, and a mean is taken of them as of the steps:
        what slows a shared machine for a while slows both.
        """
        turn, products = {}, [seconds_of_product(self.sizes)]
        for name, times, run in self.runs():
            steps, before = [], len(products) - 1
            for _ in range(times):
                steps.append(seconds(run) * times / self.sizes.steps)
                products.append(seconds_of_product(self.sizes))
            turn |= {name: mean(steps), f"{name}_product": mean(products[before:])}
        return turn | {"product": mean(products)}

    def runs(self) -> Iterator[tuple[str, int, Callable[[], object]]]:
        """What is timed: the name of its seconds, and how many runs come to all steps."""
        experiment, sizes = self.experiment(), self.sizes
        yield "erm_step", 1, lambda: experiment.erm.last
        yield "cfr_step", 1, lambda: fit("cfr", experiment).history["loss"]
        segment = self.cfr_segment(experiment)
        piece = segment._replace(eval_steps=evaluation_steps(sizes.steps // sizes.loop_pieces, 1))
        yield "loop_step", sizes.loop_pieces, lambda: self.run(piece)
        evaluated = segment._replace(
            eval_steps=evaluation_steps(sizes.steps, sizes.many_evaluations)
        )
        yield "evaluated_step", 1, lambda: self.run(evaluated)


def set_up(sizes: Sizes) -> Training:
    """Synthetic data on the device, and the default settings with fewer steps."""
    steps = sizes.steps
    evaluations = max(1, steps // STEPS_AN_EVALUATION)
    settings = Settings(steps=steps, erm_steps=steps, evaluations=evaluations)
    task = synthetic_task(sizes.rows, sizes.dim, sizes.embedding)
    return Training(sizes, prepare(task), settings)


def first_losses(training: Training, segment: Segment, steps: int) -> np.ndarray:
    """The loss of each of the first steps, without dropout."""
    hyperparameters = segment.stage.hyperparameters._replace(dropout_rate=jnp.float32(0))
    stage = segment.stage._replace(hyperparameters=hyperparameters)
    trained = training.run(
        segment._replace(stage=stage, eval_steps=np.arange(steps + 1, dtype=np.int32))
    )
    return np.asarray(trained.info.logged["loss"])


def seconds_of_product(sizes: Sizes) -> float:
    """Mean seconds of a product in float32, (4096, dim) by (dim, embedding), of a few."""
    keys = jax.random.split(jax.random.key(0))
    left = jax.random.normal(keys[0], (PRODUCT_ROWS, sizes.dim))
    right = jax.random.normal(keys[1], (sizes.dim, sizes.embedding))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(left, right))
    return mean(seconds(lambda: product(left, right)) for _ in range(PRODUCTS))
