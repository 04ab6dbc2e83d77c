"""Tables of a model card, as rows of text."""

from collections.abc import Iterable, Sequence

from clip_cfr.extract.export.group_accuracies import GroupAccuracy
from clip_cfr.extract.export.other_prompts import PromptAccuracy

NONE = "-"


def prompt_columns(unit: str) -> tuple[str, ...]:
    """Return the titles of `prompt_cells`; `unit` is that of `unit_of_groups`."""
    return ("prompts", "average", f"worst {unit}", "agreement")


def group_columns(unit: str) -> tuple[str, ...]:
    """Return the titles of `group_cells`."""
    attribute = ("attribute",) if unit == "group" else ()
    return ("class", *attribute, "images", "zero-shot", "this head", "95 % interval")


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; pipes and line breaks in cells are escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(escape_cell, line))} |" for line in lines)


def escape_cell(text: str) -> str:
    """Return the text of a cell without characters that end it."""
    return text.replace("|", "\\|").replace("\n", " ")


def percent(value: float | None) -> str:
    """Return a share as per cent with one decimal; `-` if it is None."""
    return NONE if value is None else f"{100 * value:.1f}"


def prompt_cells(found: PromptAccuracy) -> tuple[str, ...]:
    """Return the cells of a set of prompts, in the order of `prompt_columns`."""
    return (
        found.prompts,
        change(found.average_before, found.average),
        change(found.worst_group_before, found.worst_group),
        percent(found.agreement),
    )


def change(before: float | None, after: float | None) -> str:
    """Return `BEFORE -> AFTER` in per cent; `-` if there is none."""
    return NONE if after is None else f"{percent(before)} -> {percent(after)}"


def group_cells(found: GroupAccuracy, unit: str) -> tuple[str, ...]:
    """Return the cells of a group, in the order of `group_columns`."""
    return (
        found.label,
        *((found.attribute,) if unit == "group" else ()),
        f"{found.count:,}",
        percent(found.zero_shot),
        percent(found.accuracy),
        f"[{percent(found.low)}, {percent(found.high)}]",
    )
