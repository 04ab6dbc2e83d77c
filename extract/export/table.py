"""An export as tables, for the terminal and for the model card."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from clip_cfr.extract.export.card_tables import prompt_cells, prompt_columns
from clip_cfr.extract.export.export import Export
from clip_cfr.extract.export.other_prompts import PromptAccuracy


def render_export(export: Export) -> Group:
    """Return the folder, its head and the accuracies with other prompts as a rich renderable."""
    summary = Table(title=export.out, show_header=False)
    summary.add_row("format", export.form)
    summary.add_row("head", f"{export.method}, seed {export.seed}")
    summary.add_row("files", ", ".join(export.files))
    summary.add_row("model card", str(Path(export.out) / "README.md"))
    return (
        Group(summary, render_prompts(export.prompts, export.worst_of))
        if export.prompts
        else Group(summary)
    )


def render_prompts(prompts: Sequence[PromptAccuracy], unit: str) -> Table:
    """Return the accuracies with each set of prompts, in per cent, as a rich table.

    Args:
        prompts: the accuracies.
        unit: `group`, or `class` if the images have no attribute.
    """
    title = "zero-shot accuracy before -> after calibration, in per cent"
    table = Table(title=title, box=SIMPLE_HEAD)
    for index, name in enumerate(prompt_columns(unit)):
        table.add_column(name, justify="right" if index else "left")
    for each in prompts:
        table.add_row(*prompt_cells(each))
    return table
