"""The result of a comparison as a table for people: accuracies in per cent."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

OTHERS = {
    "average": "average",
    "train_weighted_average": "train-weighted",
    "group_mean": "mean over groups",
    "worst_class": "worst class",
}
ROWS = (
    "group labels used",
    "worst group",
    "  its 95 % interval",
    *OTHERS.values(),
    "worst group, oracle",
)
ORACLE = "oracle: the head that validation worst-group accuracy selects, which needs group labels."
NAMES = {"zeroshot": "zero-shot", "erm": "ERM", "cfr": "CFR", "dfr": "DFR"}


def per_cent(metrics: dict[str, Any], key: str) -> str:
    """A metric in per cent, with its standard deviation over seeds where there is one."""
    value = metrics[key]
    if value is None:
        return "-"
    spread = metrics.get(f"{key}_std")
    return f"{100 * value:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")


def method_column(method: dict[str, Any]) -> list[str]:
    """The column of a method, in the order of `ROWS`."""
    test = method["test"]
    low, high = test["worst_group_interval"]
    return [
        method["group_labels"],
        per_cent(test, "worst_group"),
        f"[{100 * low:.1f}, {100 * high:.1f}]",
        *(per_cent(test, key) for key in OTHERS),
        per_cent(method["by_selection"]["worst-group"]["test"], "worst_group"),
    ]


def methods_table(result: dict[str, Any]) -> Table:
    """Test accuracies: a column for each method, so that it fits a narrow terminal."""
    oracle = " (an oracle)" if result["selection"] == "worst-group" else ""
    seeds = len(result["seeds"])
    over = "" if seeds == 1 else f"\nmean ± standard deviation over {seeds} seeds"
    table = Table(
        box=SIMPLE_HEAD,
        title=f"{result['dataset']}: accuracy on the test split, in per cent\n"
        f"heads selected by val {result['selection']}{oracle}{over}",
    )
    table.add_column("")
    for name in result["methods"]:
        table.add_column(NAMES[name], justify="right", no_wrap=True)
    columns = [method_column(method) for method in result["methods"].values()]
    for cells in zip(ROWS, *columns, strict=True):
        table.add_row(*cells)
    return table


def groups_table(result: dict[str, Any]) -> Table:
    """Test accuracy of every method in every group."""
    methods = result["methods"]
    table = Table(box=SIMPLE_HEAD, title="accuracy by group, on the test split, in per cent")
    for name in ("class", "attribute"):
        table.add_column(name)
    table.add_column("n", justify="right")
    for name in methods:
        table.add_column(NAMES[name], justify="right")
    columns = [method["test"]["groups"] for method in methods.values()]
    for cells in zip(*columns, strict=True):
        values = [per_cent(cell, "accuracy") for cell in cells]
        table.add_row(cells[0]["label"], cells[0]["attribute"], str(cells[0]["n"]), *values)
    return table


def advice(result: dict[str, Any]) -> str:
    """The recommendation in one sentence."""
    found = result["recommendation"]
    if found is None:
        return "Recommendation: none, there are no two methods without group labels to compare."
    low, high = (f"{100 * bound:+.1f}" for bound in found["interval"])
    oracle = ", an oracle" if found["criterion"] == "worst-group" else ""
    return (
        f"Recommendation: {NAMES[found['method']]}; {found['reason']} "
        f"({100 * found['margin']:+.1f} points of {found['criterion']} accuracy{oracle} over "
        f"{NAMES[found['over']]}, 95 % interval [{low}, {high}])."
    )


def calibration_line(result: dict[str, Any]) -> str | None:
    """Size and composition of the calibration set."""
    found = result["calibration_set"]
    if found is None:
        return None
    return (
        f"Calibration set: {found['size']} rows; per class {found['per_class']}, "
        f"per group {found['per_group']}."
    )


def prompt_line(found: dict[str, Any]) -> str:
    """The prompts of a class, in short."""
    first, *others = found["prompts"]
    more = f" and {len(others)} more" if others else ""
    return f"Prompts of {found['class']!r}: {first}{more}"


def render(result: dict[str, Any]) -> Group:
    """The whole result: tables, calibration set, and the recommendation last."""
    lines = [ORACLE, calibration_line(result), *map(prompt_line, result["prompts"])]
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in result["seconds"].items())
    tail = [*filter(None, lines), f"Seconds: {seconds}", advice(result)]
    return Group(methods_table(result), groups_table(result), "\n".join(tail))
