"""Table of the summary of a words file."""

from typing import Any

from rich.table import Table

from clip_cfr.cache.read.info_table import add_provenance, add_row, two_columns


def render_words_info(info: dict[str, Any]) -> Table:
    """Return the table of a result of `read_words_info`: contents and provenance."""
    table = two_columns(info["words_file"])
    add_row(table, "format", f"words, version {info['version']}, {info['bytes']:,} bytes")
    add_row(table, "sha256", info["sha256"])
    add_row(table, "words", f"{info['words']:,}, in {info['dim']:,} numbers each")
    add_row(table, "templates", ", ".join(info["templates"]))
    add_provenance(table, info["provenance"])
    return table
