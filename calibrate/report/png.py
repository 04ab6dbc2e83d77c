"""The plots of a report as PNG files."""

import io
from collections.abc import Iterable

from clip_cfr.calibrate.report.plots.plot import Plot, literal, wrap

INCHES = (8, 4.5)
DPI = 200
TITLE_CHARACTERS = 100


def render_png(plot: Plot) -> bytes:
    """Return a plot as a PNG file, drawn by matplotlib with its title."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    plot.draw(figure)
    title = "\n".join(wrap(plot.title, TITLE_CHARACTERS))
    figure.suptitle(literal(title), fontsize="medium")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def name_files(plots: Iterable[tuple[str, Plot]]) -> dict[str, Plot]:
    """Return plots by file name, such as `groups.png`, or `run-groups.png` with a prefix.

    Args:
        plots: pairs of a prefix, which may be empty, and a plot.
    """
    return {f"{f'{prefix}-' if prefix else ''}{plot.name}.png": plot for prefix, plot in plots}
