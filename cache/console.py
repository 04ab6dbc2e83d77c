"""What the commands of all packages share: options, results on standard output, Ctrl-C, usage."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

# A file that cannot be read is an error of the data (exit code 1), not of usage (2).
PATH = click.Path(path_type=Path, readable=False)
CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}
# Starts this program in another process.
COMMAND_LINE = (sys.executable, str(Path(__file__).parents[1] / "cli.py"))
PIPE_WIDTH = 160

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace a finished file or folder of this program."
)


class Command(click.Command):
    """A command whose help shows examples under the name that the program was called by."""

    def __init__(self, *args, **kwargs):
        kwargs["context_settings"] = CONTEXT | (kwargs.get("context_settings") or {})
        super().__init__(*args, **kwargs)

    def get_help(self, ctx: click.Context) -> str:
        return as_called(ctx, super().get_help(ctx))


def as_called(ctx: click.Context, text: str) -> str:
    """Return a help text whose examples name the program as it was called."""
    return text.replace("  clip-cfr ", f"  {ctx.find_root().info_name} ")


def program_name() -> str:
    """Return the name that this program was called by, for commands to paste."""
    called = Path(sys.argv[0]).name
    return "python cli.py" if called == "cli.py" else "clip-cfr"


def emit(result: dict[str, Any], as_json: bool, render: Callable[[dict[str, Any]], Any]) -> None:
    """Print a result on standard output: as JSON, or as tables of full width off a terminal."""
    from rich.console import Console

    if as_json:
        click.echo(json.dumps(result))
    else:
        Console(width=None if Console().is_terminal else PIPE_WIDTH).print(render(result))


@contextmanager
def interruptible(message: str) -> Iterator[None]:
    """Turn Ctrl-C within the block into a message and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(message, err=True)
        raise SystemExit(130) from None


def figures_table(rows: Sequence[tuple], title: Callable[[dict], str], result: dict[str, Any]):
    """Return the figures of a benchmark as a table, and below it why some are missing.

    Args:
        rows: for each figure its name, meaning, unit and number of decimals.
        title: makes the title of the table.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=title(result))
    table.add_column("figure")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("what it is")
    for name, meaning, unit, decimals in rows:
        value = result[name]
        scaled = value if value is None or unit != "ms" else value * 1e3
        shown = "-" if scaled is None else f"{scaled:.{decimals}f} {unit}"
        table.add_row(name, shown.rstrip(), meaning)
    reasons = [f"{name}: not measured: {why}" for name, why in result["not_measured"].items()]
    notes = [f"{name}: {note}" for name, note in result.get("notes", {}).items()]
    return Group(table, "\n".join([*reasons, *notes]))


def tell_measured(what: str) -> None:
    """Says what is measured now."""
    click.echo(f"measuring {what}", err=True)
