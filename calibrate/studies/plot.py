"""The plot of a study: accuracies of all seeds, and differences with their intervals.

Matplotlib is imported when a plot is drawn: it is an extra, and it loads Pillow.
"""

from io import BytesIO
from typing import TYPE_CHECKING

from clip_cfr.calibrate.studies.result import CacheAnswer, StudyResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, ROW_HEIGHT, MARGIN = 10.0, 0.32, 1.5
COLOR, NOISE_COLOR = "#1f5fa8", "#8a8a8a"
DPI = 150


def plot_study(result: StudyResult) -> bytes:
    """Return the plot of a study as a PNG file, with two panels for each cache.

    The left one has the accuracy of each seed and the lowest accuracy of the means; the right one
    the difference from the reference with its interval, grey if within noise.

    Raises:
        ModuleNotFoundError: matplotlib is not installed (extra `report`).
    """
    import matplotlib
    from matplotlib.figure import Figure

    sizes = [len(answer.data.fitted()) for answer in result.answers]
    heights = [MARGIN + ROW_HEIGHT * size for size in sizes]
    with matplotlib.rc_context({"font.size": 9, "svg.hashsalt": "study"}):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.4), layout="constrained")
        figure.suptitle(result.question)
        panels = figure.subplots(
            len(sizes), 2, squeeze=False, height_ratios=heights, width_ratios=(1, 1)
        )
        for (left, right), answer in zip(panels, result.answers, strict=True):
            draw_accuracies(left, answer)
            draw_differences(right, answer)
        data = BytesIO()
        figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()


def draw_accuracies(axes: "Axes", answer: CacheAnswer) -> None:
    """Draw the test accuracy of each seed as a ring, the lowest mean of a group as a dot.

    The dot may be above all rings, if the seeds differ in their worst group.
    """
    data = answer.data
    labels = data.fitted()
    for row, label in enumerate(labels):
        seeds = 100 * data.seed_accuracies(label)
        axes.plot(seeds, [row] * len(seeds), "o", mfc="none", color=NOISE_COLOR, ms=5)
        axes.plot(100 * data.accuracy(label), row, "o", color=COLOR, ms=6)
    set_rows(axes, labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel(f"{data.measure} (%)\nring: a seed, dot: mean of seeds")
    axes.set_title(answer.dataset, fontsize=9)


def draw_differences(axes: "Axes", answer: CacheAnswer) -> None:
    """Draw the difference of each point from the reference with its interval."""
    labels = answer.data.fitted()
    for row, label in enumerate(labels):
        gain = answer.gains.get(label)
        if gain is None:
            continue
        color = COLOR if gain.is_beyond_noise else NOISE_COLOR
        axes.plot([100 * gain.low, 100 * gain.high], [row, row], "-", color=color, lw=2)
        axes.plot(100 * gain.margin, row, "o", color=color, ms=6)
    axes.axvline(0, color="black", lw=0.8)
    set_rows(axes, labels)
    axes.set_yticks(range(len(labels)), [""] * len(labels))
    axes.set_xlabel(f"difference from {answer.reference}\n(points), 95 % interval")
    axes.set_title("blue: beyond noise, grey: within noise", fontsize=9)


def set_rows(axes: "Axes", labels: list[str]) -> None:
    """Set the range of the rows, the first one at the top, with light lines."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="both", color="#e6e6e6", lw=0.6)
    axes.set_axisbelow(True)
