"""The tables of the study `cost`, with the answer below them."""

import numpy as np

from clip_cfr.calibrate.comparison.formats import for_terminal
from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.studies.cost.measure import OPTIMIZER
from clip_cfr.calibrate.studies.cost.result import LABELS, CostResult


def render_cost(result: CostResult):
    """Return a renderable of rich with the tables of a result, and its answer below."""
    tables = [cost_table(result), accuracy_table(result), paper_table(result)]
    return for_terminal(tables, [result.question, " ".join(result.sentences)])


def cost_table(result: CostResult) -> Table:
    """Return the table of the measured costs."""
    return Table(
        title=(
            f"{result.dataset}: cost on this machine, seeds: {len(result.seeds)}",
            f"{OPTIMIZER['name']}, learning rate {OPTIMIZER['lr']:g}, batches of "
            f"{OPTIMIZER['batch_size']}, {result.epochs} epochs; seconds without imports, CPU "
            "seconds of calibration with them",
        ),
        header=("step", "seconds", "CPU seconds", "peak memory (MB)"),
        rows=tuple(
            (name, f"{each.seconds:.1f}", f"{each.cpu_seconds:.1f}", f"{each.rss_mb:,.0f}")
            for name, each in result.costs.items()
        ),
        text_columns=1,
    )


def accuracy_table(result: CostResult) -> Table:
    """Return the table of the test accuracies, in per cent."""
    return Table(
        title=("test accuracy in per cent, mean over seeds; selected by val worst-class accuracy",),
        header=("", result.measure, "average"),
        rows=tuple(
            (LABELS[name], *(format_per_cent(np.mean(x)) for x in (each.worst, each.average)))
            for name, each in result.measured.accuracies.items()
        ),
        text_columns=1,
    )


def paper_table(result: CostResult) -> Table:
    """Return the table of the FLOPs of larger models."""
    return Table(
        title=(f"FLOPs on paper, {result.epochs} epochs of full fine-tuning, one seed",),
        header=("model", "images", "forward", "fine-tuning", "extraction", "calibration", "ratio"),
        rows=tuple(
            (
                each.model,
                f"{each.images:,}",
                f"{each.forward:.2g}",
                f"{each.fine_tuning:.2g}",
                f"{each.extraction:.2g}",
                f"{each.calibration:.2g}",
                f"{each.ratio:.1f}",
            )
            for each in result.paper
        ),
        text_columns=1,
    )
