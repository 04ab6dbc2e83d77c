"""How fast this machine trains, as a share of its own matrix-product rate in the same run."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from calibrate.experiment import Experiment, prepare
from calibrate.methods import fit
from calibrate.settings import Settings
from calibrate.task import Task

DIM, EMBEDDING = 1024, 768
PRODUCT_ROWS = 4096
WATERBIRDS = (4795, 1199, 5794)  # rows of train, val and test


@dataclass(frozen=True)
class Sample:
    """One pass over everything that is measured, in seconds."""

    product: float
    erm: float
    cfr: float


def synthetic_task(sizes: tuple[int, int, int], seed: int = 0) -> Task:
    """Random features of the shape of a data set under CLIP ViT-L/14; half of all labels are noise,
    so that no head fits them and the calibration set is large."""
    rng, count = np.random.default_rng(seed), sum(sizes)
    labels, attributes = rng.integers(2, size=(2, count), dtype=np.int32)
    class_embeddings = rng.normal(size=(2, EMBEDDING))
    class_embeddings /= np.linalg.norm(class_embeddings, axis=1, keepdims=True)
    return Task(
        features=rng.standard_normal((count, DIM), np.float32),
        valid=np.ones(count, bool),
        labels=labels,
        attributes=attributes,
        splits=np.repeat(np.arange(3, dtype=np.int8), sizes),
        class_names=("0", "1"),
        attribute_names=("0", "1"),
        projection=rng.standard_normal((DIM, EMBEDDING), np.float32) / np.float32(DIM**0.5),
        bias=None,
        logit_scale=100.0,
        class_embeddings=class_embeddings.astype(np.float32),
    )


def seconds(function: Callable[[], object]) -> float:
    """Seconds until the result of a call is there."""
    start = perf_counter()
    jax.block_until_ready(function())
    return perf_counter() - start


def matrix_product() -> Callable[[], jax.Array]:
    """The product that the rates are compared with: float32, (4096, 1024) by (1024, 768)."""
    keys = jax.random.split(jax.random.key(0))
    left = jax.random.normal(keys[0], (PRODUCT_ROWS, DIM))
    right = jax.random.normal(keys[1], (DIM, EMBEDDING))
    product = jax.jit(jnp.matmul)
    return lambda: product(left, right)


def bench_train(repeats: int = 5, steps: int = 400) -> dict[str, float]:
    """Medians over repeats, after one pass that compiles.

    `gemm_fraction` counts 4 * rows * D * P operations a step of CFR: the product of the rows with
    the projection and the gradient of it, for the rows that a step must project. The time counts
    the whole stage: drawing rows, centroids, steps, evaluations.
    """
    # One evaluation in 40 steps, as in a stage of 4,000.
    settings = Settings(steps=steps, erm_steps=steps, evaluations=max(1, steps // 40))
    prepared, product = prepare(synthetic_task(WATERBIRDS)), matrix_product()

    def sample() -> Sample:
        experiment = Experiment(prepared, settings, 0)
        erm = seconds(lambda: experiment.erm.last)
        cfr = seconds(lambda: fit("cfr", experiment).history["loss"])
        return Sample(min(seconds(product) for _ in range(20)), erm, cfr)

    samples = [sample() for _ in range(repeats + 1)][1:]
    rows = settings.batch_size + settings.calibration_batch_size + settings.negative_pool
    product_flops, step_flops = 2 * PRODUCT_ROWS * DIM * EMBEDDING, 4 * rows * DIM * EMBEDDING
    rates = [product_flops / each.product / 1e9 for each in samples]
    step_seconds = [each.cfr / steps for each in samples]
    fractions = [
        step_flops / step / 1e9 / rate for step, rate in zip(step_seconds, rates, strict=True)
    ]
    return {
        "gemm_gflops": median(rates),
        "erm_step_seconds": median(each.erm / steps for each in samples),
        "cfr_step_seconds": median(step_seconds),
        "gemm_fraction": median(fractions),
        "steps": steps,
        "repeats": repeats,
    }


def render(result: dict[str, float]) -> Table:
    """The figures as a table of two columns."""
    table = Table(title="training at Waterbirds size", show_header=False)
    table.add_row("matrix product", f"{result['gemm_gflops']:.0f} GFLOP/s")
    table.add_row("ERM step", f"{1e3 * result['erm_step_seconds']:.2f} ms")
    table.add_row("CFR step", f"{1e3 * result['cfr_step_seconds']:.2f} ms")
    table.add_row("CFR step, share of the matrix-product rate", f"{result['gemm_fraction']:.2f}")
    return table
