"""Tables of the summary of a cache."""

import json
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from clip_cfr.cache.format.shard import Shard
from clip_cfr.cache.format.synthetic import SYNTHETIC_KEY
from clip_cfr.cache.read.virtual import MERGED_KEY

# Maximum number of names, prompts or files in a cell; `--json` has all.
MAX_SHOWN = 5


def render_info(info: dict[str, Any]) -> Group:
    """Return the tables of a result of `read_info`: contents, rows per group, provenance.

    A cell lists at most `MAX_SHOWN` prompts, images or shards, and the number of the others.
    """
    return Group(_contents_table(info), _groups_table(info), _provenance_table(info))


def _contents_table(info: dict[str, Any]) -> Table:
    num_rows, dim = info["features"]["shape"]
    table = two_columns(info["cache"])
    add_row(table, "format", f"version {info['version']}, {info['bytes']:,} bytes")
    add_row(table, "sha256", info["sha256"])
    add_row(table, "data set", info["dataset"])
    if info["shard"]:
        add_row(table, "part", str(Shard(**info["shard"])))
    add_row(table, "features", f"{num_rows:,} x {dim:,} {info['features']['dtype']}")
    if info["sources"]:
        add_row(table, "features in", _join(info["sources"]))
    unreadable = [f"row {each['row']} {each['id']}" for each in info["invalid_rows"]]
    add_row(table, "unreadable images", _join(unreadable))
    add_row(table, "head", _describe_head(info["head"]))
    for kind in ("class", "attribute"):
        names = info["texts"][f"{kind}_names"]
        prompts = info["texts"][f"{kind}_prompts"] or [[]] * len(names)
        for name, sentences in zip(names, prompts, strict=True):
            add_row(table, f"{kind} {name}", _join(sentences, "no prompts"))
    if words := info["texts"]["words"]:
        add_row(table, "words", f"{words['n']:,} in the templates {_join(words['templates'])}")
    return table


def _describe_head(head: dict[str, Any]) -> str:
    shape = " x ".join(map(str, head["projection"]))
    bias = "with bias" if head["bias"] else "no bias"
    return f"{shape}, {bias}, logit scale {head['logit_scale']:.4g}"


def _groups_table(info: dict[str, Any]) -> Table:
    """Return a table with the number of rows of each group and split, and totals."""
    splits = info["splits"]
    table = Table(title="rows")
    for name in ("class", "attribute"):
        table.add_column(name)
    for name in splits:
        table.add_column(name, justify="right")
    for groups in zip(*(split["groups"] for split in splits.values()), strict=True):
        names = Text(groups[0]["class_name"]), Text(groups[0]["attribute_name"] or "-")
        table.add_row(*names, *(f"{group['n']:,}" for group in groups))
    table.add_section()
    for key, title in (("n", "all"), ("invalid", "unreadable images"), ("subjects", "subjects")):
        if splits["train"][key] is not None:
            table.add_row(title, "", *(f"{split[key]:,}" for split in splits.values()))
    return table


def _provenance_table(info: dict[str, Any]) -> Table:
    table = two_columns("provenance")
    add_provenance(table, info["provenance"])
    return table


def add_provenance(table: Table, provenance: dict[str, Any]) -> None:
    """Add a row for each entry of a provenance; texts as they are, other values as JSON."""
    for key, value in provenance.items():
        if key == MERGED_KEY:
            value = f"{len(value):,} shards: {_join([shard['file'] for shard in value])}"
        if key == SYNTHETIC_KEY and isinstance(value, dict):
            value = "\n".join(f"{name}: {_list_values(part)}" for name, part in value.items())
        add_row(table, key, value if isinstance(value, str) else json.dumps(value))


def _list_values(values: Any) -> str:
    """Return an object as `name value, ...` with four digits and without null; others as JSON."""
    if not isinstance(values, dict):
        return json.dumps(values)
    shown = {
        name: f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }
    return ", ".join(f"{name} {text}" for name, text in shown.items())


def two_columns(title: str) -> Table:
    """Return an empty table of two columns without a header."""
    return Table(title=Text(title), show_header=False)


def add_row(table: Table, key: str, value: str) -> None:
    """Add a row of two cells to a table of two columns."""
    # As Text, because rich would read brackets in names and ids as markup.
    table.add_row(Text(key), Text(value))


def _join(values: list[str], if_empty: str = "none") -> str:
    """Return the first values as text, and the number of the others."""
    shown = ", ".join(values[:MAX_SHOWN]) or if_empty
    remaining = len(values) - MAX_SHOWN
    return f"{shown} and {remaining:,} more" if remaining > 0 else shown
