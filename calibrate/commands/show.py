"""The command show, and how results are printed."""

import re
import shlex
from collections.abc import Callable, Collection
from pathlib import Path

import click

from clip_cfr.cache.console import PATH, Command, echo, emit, json_option, program_name
from clip_cfr.calibrate.runtime.environment import import_jax

FORMATS = ("table", "markdown", "latex", "csv")


def format_option(option: Callable = click.option) -> Callable:
    """Return a decorator that adds the option --format (parameter `form`), one of `FORMATS`.

    Args:
        option: `click.option`, or `optgroup.option` for an option in a group.
    """
    return option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        help="Form of the tables. csv has one row for each metric, method and seed.",
    )


def print_result(result, as_json: bool, form: str, printed: Collection[str] = ()) -> None:
    """Print the warnings of a `Result` on standard error, and the result on standard output.

    Args:
        result: the result of a calibration.
        as_json: whether to print one JSON object, regardless of `form`.
        form: one of `FORMATS`.
        printed: lines that are on standard error already; a warning among them is shortened.
    """
    from clip_cfr.calibrate.comparison.formats import render

    for warning in result.warnings:
        line = f"warning: {warning}"
        echo(f"warning: {refer_to(warning)}" if line in printed else line, err=True)
    if as_json or form == "table":
        emit(result.to_json(), as_json, lambda _: render(result))
    else:
        echo(render(result, form))
    if result.tuning is not None and not as_json and form == "table":
        from clip_cfr.calibrate.grid.calibrate_command import tuned_commands

        # echo does not wrap lines, so the commands can be pasted.
        echo("\n".join(["Calibrate with the tuned settings:", *tuned_commands(result)]))


def refer_to(warning: str) -> str:
    """Return the first clause of a warning, `the cache has no val (see above)`."""
    return f"{re.split(r'[.:] ', warning, maxsplit=1)[0]} (see above)"


def print_grid(result, as_json: bool, form: str) -> None:
    """Print the leaderboard of a `GridResult` on standard output.

    With the form `table` and without JSON, the command that calibrates with the best point is below
    it, if there is one.

    Args:
        result: the result of a grid.
        as_json: whether to print one JSON object, regardless of `form`.
        form: one of `FORMATS`.
    """
    from clip_cfr.calibrate.grid.table import render_grid

    if as_json or form == "table":
        emit(result.to_json(), as_json, lambda _: render_grid(result))
    else:
        echo(render_grid(result, form))
    if result.best_command and not as_json and form == "table":
        # echo does not wrap lines, so the command can be pasted.
        echo(f"Calibrate with the best point:\n{result.best_command}")


def describe_other(method: str) -> str:
    """Return the end of the line on the head to use where val cannot decide against a method."""
    return f" (val cannot decide: predict and export take another with --method {method})"


def show_next_steps(result, directory: Path) -> None:
    """Print on standard error the run folder, the file of the recommended head, and a next command.

    The head is left out if none is recommended; the next command is `show`.
    """
    from clip_cfr.cache.runs.run import head_file
    from clip_cfr.calibrate.run_folder import run_name

    echo(f"run written to {directory}", err=True)
    if result.recommended_head is not None:
        method, seed = result.recommended_head
        head = directory / head_file(run_name(method, seed))
        other = "" if result.trade is None else describe_other(result.trade.method)
        echo(f"head to use: {head}{other}", err=True)
    echo(f"next: {program_name()} show {shlex.quote(str(directory))}", err=True)


@click.command(cls=Command)
@click.argument("directory", type=PATH, metavar="DIR")
@format_option()
@json_option
def show(directory, form, as_json):
    """Print the tables of a finished run or grid again.

    DIR is the folder that calibrate or grid wrote.

    \b
    Example:
      clip-cfr show runs/demo/run
      clip-cfr show runs/demo/run --format latex
      clip-cfr show runs/celeba-grid-0a1b2c3d
    """
    import_jax()
    from clip_cfr.cache.runs.grid import has_grid_files

    if has_grid_files(directory):
        from clip_cfr.calibrate.grid.result import read_grid_result

        print_grid(read_grid_result(directory), as_json, form)
    else:
        from clip_cfr.calibrate.run_folder import read_result

        print_result(read_result(directory), as_json, form)
