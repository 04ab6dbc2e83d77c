"""Compute the figures of `bench train` from its repeats, as medians and medians of ratios."""

from statistics import median

from clip_cfr.calibrate.bench.sizes import Sizes
from clip_cfr.calibrate.bench.timing import Repeat, median_of, median_ratio
from clip_cfr.calibrate.bench.training import PRODUCT_ROWS, STEPS_PER_EVALUATION
from clip_cfr.calibrate.core.settings import Settings, pool_rows

GIGA = 1e9


def training_figures(sizes: Sizes, settings: Settings, repeats: list[Repeat]) -> dict[str, float]:
    """Return step times, rates of matrix products, and the rate of CFR relative to them.

    Keys are those of `table.ROWS` from `gemm_gflops` to `validation_fraction`; times are in
    seconds, rates in GFLOP/s. The fractions count 4 * rows * dim * embedding operations per CFR
    step: the product of the projected rows with the projection, and its gradient. `gemm_fraction`
    is timed on the compiled loop alone, `gemm_fraction_stage` on the whole stage, which also draws
    rows, computes centroids and evaluates every 40 steps.

    Args:
        settings: settings of the timed stages.
        repeats: values of `TrainingBenchmark.measure`, one dictionary for each repeat.
    """
    rows = settings.batch_size + settings.calibration_batch_size
    rows += pool_rows(settings, "negative_pool") or 0
    area = sizes.dim * sizes.embedding
    product_flops, step_flops = 2 * PRODUCT_ROWS * area, 4 * rows * area

    def rate(product: str) -> float:
        return product_flops / GIGA / median_of(repeats, product)

    def fraction(step: str) -> float:
        return step_flops / product_flops * median_ratio(repeats, f"{step}_product", step)

    return {
        "gemm_gflops": rate("loop_step_product"),
        "bfloat16_gemm_gflops": rate("bfloat16_step_product"),
        "erm_step_seconds": median_of(repeats, "erm_step"),
        "cfr_step_seconds": median_of(repeats, "cfr_step"),
        "cfr_loop_step_seconds": median_of(repeats, "loop_step"),
        "minibatch_loop_step_ratio": median_ratio(repeats, "minibatch_step", "loop_step"),
        "bfloat16_loop_step_ratio": median_ratio(repeats, "bfloat16_step", "loop_step"),
        "bfloat16_minibatch_loop_step_ratio": median_ratio(
            repeats, "bfloat16_minibatch_step", "loop_step"
        ),
        "gemm_fraction": fraction("loop_step"),
        "bfloat16_gemm_fraction": fraction("bfloat16_step"),
        "gemm_fraction_stage": fraction("cfr_step"),
        "validation_fraction": median(validation_fraction(sizes, values) for values in repeats),
    }


def validation_fraction(sizes: Sizes, values: Repeat) -> float:
    """Return the time of evaluations divided by that of steps, at 1 evaluation in 40 steps.

    Two loops with equally many steps are compared: one with an evaluation per segment, one with
    `many_evaluations`. Their difference is the time of the additional evaluations; noise can make
    the result negative.

    Args:
        values: seconds per step, `loop_step` and `evaluated_step`, of one repeat.
    """
    more = (sizes.many_evaluations - sizes.loop_segments) / sizes.steps
    evaluation = (values["evaluated_step"] - values["loop_step"]) / more
    step = values["loop_step"] - evaluation * sizes.loop_segments / sizes.steps
    return evaluation / (STEPS_PER_EVALUATION * step)


def pytorch_figures(names: list[str], repeats: list[Repeat]) -> dict[str, float]:
    """Return the step time of each PyTorch loop, and the speed-up of the compiled loop over it.

    The keys are `NAME_step_seconds` and `speedup_vs_NAME`. No loop is charged for drawing rows: all
    read indices drawn in advance. The time of the compiled loop includes its evaluations.

    Args:
        names: names of the PyTorch loops.
        repeats: seconds per step of these loops and of the compiled one, `loop_step`.
    """
    return {
        key: value
        for name in names
        for key, value in (
            (f"{name}_step_seconds", median_of(repeats, name)),
            (f"speedup_vs_{name}", median_ratio(repeats, name, "loop_step")),
        )
    }
