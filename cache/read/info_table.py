"""What is in a cache, as tables for people."""

import json
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from clip_cfr.cache.format.shard import Shard
from clip_cfr.cache.read.virtual import KEY as MERGED

# So many names and prompts are shown; `--json` shows all.
MOST_SHOWN = 5


def render(info: dict[str, Any]) -> Group:
    """The result of `read_info`."""
    return Group(_contents(info), _groups(info), _provenance(info))


def _contents(info: dict[str, Any]) -> Table:
    rows, dim = info["features"]["shape"]
    head = info["head"]
    table = _two_columns(info["cache"])
    _add(table, "format", f"version {info['version']}, {info['bytes']:,} bytes")
    _add(table, "sha256", info["sha256"])
    _add(table, "data set", info["dataset"])
    if info["shard"]:
        _add(table, "part", str(Shard(**info["shard"])))
    _add(table, "features", f"{rows:,} x {dim:,} {info['features']['dtype']}")
    if info["sources"]:
        _add(table, "in", _few(info["sources"]))
    _add(table, "not readable", _few([f"row {x['row']} {x['id']}" for x in info["invalid_rows"]]))
    bias = "with bias" if head["bias"] else "no bias"
    shape = " x ".join(map(str, head["projection"]))
    _add(table, "head", f"{shape}, {bias}, logit scale {head['logit_scale']:.4g}")
    for kind in ("class", "attribute"):
        names = info["texts"][f"{kind}_names"]
        prompts = info["texts"][f"{kind}_prompts"] or [[]] * len(names)
        for name, sentences in zip(names, prompts, strict=True):
            _add(table, f"{kind} {name}", _few(sentences, "no prompts"))
    return table


def _groups(info: dict[str, Any]) -> Table:
    """Rows of each group in each split."""
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
    for key, title in (("n", "all"), ("invalid", "not readable"), ("subjects", "subjects")):
        if splits["train"][key] is not None:
            table.add_row(title, "", *(f"{split[key]:,}" for split in splits.values()))
    return table


def _provenance(info: dict[str, Any]) -> Table:
    table = _two_columns("provenance")
    for key, value in info["provenance"].items():
        if key == MERGED:
            value = f"{len(value):,} shards: {_few([shard['file'] for shard in value])}"
        _add(table, key, value if isinstance(value, str) else json.dumps(value))
    return table


def _two_columns(title: str) -> Table:
    return Table(title=Text(title), show_header=False)


def _add(table: Table, key: str, value: str) -> None:
    # As text: names and ids may hold brackets, which rich would take for markup.
    table.add_row(Text(key), Text(value))


def _few(values: list[str], none: str = "none") -> str:
    """The first values, and how many more there are."""
    shown = ", ".join(values[:MOST_SHOWN]) or none
    left = len(values) - MOST_SHOWN
    return f"{shown} and {left:,} more" if left > 0 else shown
