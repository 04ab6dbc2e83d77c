"""The plot of the study `cost`: measured seconds and accuracies, and ratios on paper.

Matplotlib is imported when a plot is drawn: it is an extra, and it loads Pillow.
"""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from clip_cfr.calibrate.studies.cost.result import LABELS, CostResult
from clip_cfr.calibrate.studies.plot import COLOR, DPI, NOISE_COLOR, set_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (10.0, 6.5)


def plot_cost(result: CostResult) -> bytes:
    """Return the plot of a result as a PNG file with three panels.

    Raises:
        ModuleNotFoundError: matplotlib is not installed (extra `report`).
    """
    import matplotlib
    from matplotlib.figure import Figure

    found = result.measured
    with matplotlib.rc_context({"font.size": 9, "svg.hashsalt": "study"}):
        figure = Figure(figsize=SIZE, layout="constrained")
        figure.suptitle(result.question)
        top, middle, bottom = figure.subplots(3, 1, height_ratios=(3, 3, 6))
        draw_bars(top, {name: each.seconds for name, each in result.costs.items()})
        top.set_xlabel(f"seconds on this machine, seeds: {len(result.seeds)}")
        accuracies = {LABELS[name]: each for name, each in found.accuracies.items()}
        draw_bars(middle, {name: 100 * np.mean(each.worst) for name, each in accuracies.items()})
        for row, each in enumerate(accuracies.values()):
            middle.plot(100 * np.array(each.worst), [row] * len(each.worst), "o", color=NOISE_COLOR)
        middle.set_xlabel(f"test {result.measure} accuracy (%); dot: a seed, bar: mean of seeds")
        draw_bars(bottom, {f"{each.model}, {each.images:,}": each.ratio for each in result.paper})
        bottom.set_xlabel("FLOPs of full fine-tuning over those of extraction and calibration")
        data = BytesIO()
        figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()


def draw_bars(axes: "Axes", values: dict[str, float]) -> None:
    """Draw a bar for each value, the first one at the top."""
    axes.barh(range(len(values)), list(values.values()), color=COLOR, height=0.6)
    set_rows(axes, list(values))
    axes.set_yticks(range(len(values)), list(values))
