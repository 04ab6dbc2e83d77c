"""Shared by all commands: options, output as tables or JSON, benchmark tables."""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}
# Arguments that start this program in another process.
COMMAND_LINE = (sys.executable, str(Path(__file__).parents[1] / "cli.py"))
# Width of a table if standard output is not a terminal.
PIPE_WIDTH = 160
# Control characters but tabs and line feeds, marks that change the direction of the text or end a
# line, and lone surrogates, which no terminal can show.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Begins the examples in the docstring of a command; click does not rewrap the lines below it.
EXAMPLES = "\b\nExample:"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace the output if it already exists."
)


class UserPath(click.Path):
    """Click type of a path: converts to `Path`, and expands a `~` at its start.

    Shells do not expand it after `=`, as in `--out=~/run`. A `~name` without such a user stays as
    it is. Neither existence nor permissions are checked.
    """

    def __init__(self):
        # Click would report an unreadable file as wrong usage (exit code 2); here it is code 1.
        super().__init__(path_type=Path, readable=False)

    def convert(self, value, param, ctx) -> Path:
        """Return the path with `~` expanded."""
        path = super().convert(value, param, ctx)
        try:
            return path.expanduser()
        except RuntimeError:  # No user is called so: then the file is.
            return path


PATH = UserPath()


class Command(click.Command):
    """A click command whose help ends with the examples of its docstring.

    The part of the docstring from `EXAMPLES` on becomes the epilog. In it, the name of the program
    is replaced as in `insert_program_name`.
    """

    def __init__(self, *args, help: str | None = None, **kwargs):
        kwargs["context_settings"] = CONTEXT | (kwargs.get("context_settings") or {})
        text, _, examples = cleandoc(help or "").partition(EXAMPLES)
        super().__init__(*args, help=text, epilog=EXAMPLES + examples, **kwargs)

    def get_help(self, ctx: click.Context) -> str:
        """Return the help text, with examples that can be pasted."""
        return insert_program_name(ctx, super().get_help(ctx))


def insert_program_name(ctx: click.Context, text: str) -> str:
    """Return a help text with `clip-cfr` replaced by the program name of the call.

    Only the name after two spaces is replaced, which is the start of an example. The new name is
    the `info_name` of the root context, such as `cli.py`.
    """
    return text.replace("  clip-cfr ", f"  {ctx.find_root().info_name} ")


def program_name() -> str:
    """Return the start of a command to paste: `python cli.py` if called so, else `clip-cfr`."""
    called = Path(sys.argv[0]).name
    return "python cli.py" if called == "cli.py" else "clip-cfr"


def emit(result: dict[str, Any], as_json: bool, render: Callable[[dict[str, Any]], Any]) -> None:
    """Print a result on standard output, as tables or as one line of JSON.

    Args:
        result: the result as JSON values.
        as_json: whether to print one JSON object instead of tables.
        render: returns the tables of the result as a rich renderable. Control characters in them
            are escaped. They are as wide as the terminal, or `PIPE_WIDTH` characters if standard
            output is not a terminal.
    """
    from rich.console import Console

    if as_json:
        click.echo(json.dumps(result))
    else:
        width = None if Console().is_terminal else PIPE_WIDTH
        Console(width=width).print(EscapedRenderable(render(result)))


def escape_controls(text: str) -> str:
    """Return a text with control characters as in a Python string: ESC becomes `\\x1b`.

    Names, ids and paths come from files, and could otherwise move the cursor or change colours.
    Marks of the text direction, line separators and lone surrogates are escaped, too. Line feeds
    and tabs stay.
    """
    return CONTROLS.sub(lambda match: ascii(match.group())[1:-1], text)


def echo(text: str, err: bool = False) -> None:
    """Print a text and a line feed, with control characters escaped.

    Args:
        text: the text.
        err: whether to print on standard error instead of standard output.
    """
    click.echo(escape_controls(text), err=err)


class EchoHandler(logging.Handler):
    """Logging handler that prints records on standard error, with control characters escaped."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the formatted record as one line."""
        echo(self.format(record), err=True)


@contextmanager
def print_log() -> Iterator[None]:
    """Print the log records of this package on standard error while the block runs.

    In a nested block each record is still printed once.
    """
    logger = logging.getLogger(__name__.partition(".")[0])
    if any(isinstance(each, EchoHandler) for each in logger.handlers):
        yield
        return
    handler = EchoHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class EscapedRenderable:
    """A rich renderable whose text has its control characters escaped; colours stay."""

    def __init__(self, renderable: Any):
        self._renderable = renderable

    def __rich_console__(self, console, options):
        for segment in console.render(self._renderable, options):
            text = segment.text if segment.control else escape_controls(segment.text)
            yield segment._replace(text=text)


def benchmark_table(
    rows: Sequence[tuple[str, str, str, int]],
    title: Callable[[dict], str],
    result: dict[str, Any],
):
    """Return the table of a benchmark as a rich renderable, with notes below it.

    The columns are `figure`, `value` and `what it is`; a value that is None is shown as `-`. Below
    the table is a line `NAME: not measured: REASON` for each missing value, then a line
    `NAME: NOTE` for each note.

    Args:
        rows: (name, meaning, unit, decimals) of each value, in the order of the table. Values are
            in seconds if the unit is `ms`, otherwise in the unit.
        title: returns the title of the table for `result`.
        result: values by name; `not_measured` has a reason for each missing value, the optional
            `notes` a note on others.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=title(result))
    table.add_column("figure")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("what it is")
    for name, meaning, unit, decimals in rows:
        table.add_row(name, _format_value(result[name], unit, decimals), meaning)
    reasons = [f"{name}: not measured: {why}" for name, why in result["not_measured"].items()]
    notes = [f"{name}: {note}" for name, note in result.get("notes", {}).items()]
    return Group(table, "\n".join([*reasons, *notes]))


def _format_value(value: float | None, unit: str, decimals: int) -> str:
    if value is None:
        return "-"
    scaled = value * 1e3 if unit == "ms" else value
    return f"{scaled:.{decimals}f} {unit}".rstrip()


def report_measuring(what: str) -> None:
    """Print `measuring WHAT` on standard error."""
    click.echo(f"measuring {what}", err=True)
