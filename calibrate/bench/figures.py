"""What the turns come to: medians of ratios, by the names that `bench train --json` prints."""

from statistics import median

from clip_cfr.calibrate.bench.sizes import Sizes
from clip_cfr.calibrate.bench.timing import Turn, middle, ratio
from clip_cfr.calibrate.bench.training import PRODUCT_ROWS, STEPS_AN_EVALUATION
from clip_cfr.calibrate.core.settings import Settings

GIGA = 1e9


def training_figures(sizes: Sizes, settings: Settings, turns: list[Turn]) -> dict[str, float]:
    """Rates and shares of the stages of training.

    `gemm_fraction` counts 4 * rows * dim * embedding operations a step of CFR: the product of the
    rows with the projection and the gradient of it, for the rows that a step must project. The
    time counts the compiled loop. `gemm_fraction_stage` counts the whole stage: drawing rows,
    centroids, and an evaluation every 40 steps as well.
    """
    rows = settings.batch_size + settings.calibration_batch_size + settings.negative_pool
    area = sizes.dim * sizes.embedding
    product_flops, step_flops = 2 * PRODUCT_ROWS * area, 4 * rows * area
    share = step_flops / product_flops
    return {
        "gemm_gflops": product_flops / GIGA / middle(turns, "product"),
        "erm_step_seconds": middle(turns, "erm_step"),
        "cfr_step_seconds": middle(turns, "cfr_step"),
        "cfr_loop_step_seconds": middle(turns, "loop_step"),
        "gemm_fraction": share * ratio(turns, "loop_step_product", "loop_step"),
        "gemm_fraction_stage": share * ratio(turns, "cfr_step_product", "cfr_step"),
        "validation_fraction": median(validation_fraction(sizes, turn) for turn in turns),
    }


def validation_fraction(sizes: Sizes, turn: Turn) -> float:
    """Seconds of evaluations over seconds of steps, at 100 evaluations in 4,000 steps.

    Two loops of as many steps differ in their evaluations alone: one a piece, and many.
    """
    more = (sizes.many_evaluations - sizes.loop_pieces) / sizes.steps
    evaluation = (turn["evaluated_step"] - turn["loop_step"]) / more
    step = turn["loop_step"] - evaluation * sizes.loop_pieces / sizes.steps
    return evaluation / (STEPS_AN_EVALUATION * step)


def peer_figures(names: list[str], turns: list[Turn]) -> dict[str, float]:
    """Seconds of a step of other loops, and how many times as fast the compiled one is.

    Both get the rows of every step ready drawn; ours evaluates too.
    """
    return {
        key: value
        for name in names
        for key, value in (
            (f"{name}_step_seconds", middle(turns, name)),
            (f"speedup_vs_{name}", ratio(turns, name, "loop_step")),
        )
    }
