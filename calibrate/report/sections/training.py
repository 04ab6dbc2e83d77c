"""Training curves with the selected steps."""

from clip_cfr.calibrate.report.plots.lines import Line, Lines
from clip_cfr.calibrate.report.section import Section, paragraph
from clip_cfr.calibrate.report.source import RunSource
from clip_cfr.calibrate.run_folder import run_name

SHOWN_SEEDS = 3
CURVES = {
    "val inferred-groups": ("validation inferred-groups", 100),
    "val worst-class": ("validation worst-class accuracy", 100),
    "val worst-group": ("validation worst-group accuracy, which needs group labels", 100),
    "val average": ("validation average accuracy", 100),
    "loss": ("training loss", 1),
}


def make(source: RunSource) -> Section | None:
    """Return the section with the training log of every method that has one; None without any."""
    if not source.run.history:
        return None
    seeds = source.result.seeds
    plots = [
        plot_curves(source, column, *titles)
        for column, titles in CURVES.items()
        if any(column in each for each in source.run.history.values())
    ]
    selection = source.result.selection
    note = f"A dot marks the step that validation {selection} selected."
    if len(seeds) > SHOWN_SEEDS:
        note += f" Shown are the first {SHOWN_SEEDS} of {len(seeds)} seeds."
    return Section("training", "Training", (paragraph(note, "note"), *plots))


def plot_curves(source: RunSource, column: str, title: str, factor: int) -> Lines:
    """Return the lines of one column of the training logs, one for each method and seed."""
    lines = {}
    for colour, (name, method) in enumerate(source.result.methods.items()):
        evaluations = method.evaluations(source.result.selection)
        for dash, seed in enumerate(source.result.seeds[:SHOWN_SEEDS]):
            log = source.run.history.get(run_name(name, seed), {})
            if column in log:
                lines[f"{source.title(name)}, seed {seed}"] = Line(
                    x=tuple(log["step"].tolist()),
                    y=tuple((factor * log[column]).tolist()),
                    colour=colour,
                    dash=dash,
                    selected=evaluations[dash].step,
                )
    unit = "per cent" if factor == 100 else "loss"
    return Lines(
        name=f"training-{column.replace(' ', '-')}",
        title=title.capitalize(),
        alt=f"Lines of {title} over the training steps of each method.",
        lines=lines,
        x_title="step",
        y_title=unit,
    )
