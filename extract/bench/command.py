"""The command bench extract."""

import click

from clip_cfr.cache.console import (
    COMMAND_LINE,
    Command,
    benchmark_table,
    emit,
    json_option,
    report_measuring,
)


@click.command("extract", cls=Command)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    metavar="N",
    default=3,
    help="Time everything N times, and show means.",
)
@click.option("--quick", is_flag=True, help="Use tiny sizes, to test the benchmark itself.")
@json_option
def extract(repeats, quick, as_json):
    """Time extraction on this machine, beside its model alone and a loop over transformers.

    The benchmark also counts the images that a killed extraction loses, and measures time, memory
    and file size from 1,000 to 100,000 images.

    \b
    Example:
      clip-cfr bench extract
      clip-cfr bench extract --repeats 1 --json
    """
    from clip_cfr.extract.bench.run import bench_extract
    from clip_cfr.extract.bench.sizes import FULL, QUICK

    result = bench_extract(COMMAND_LINE, QUICK if quick else FULL, repeats, report_measuring)
    emit(result, as_json, render)


def render(result):
    """Return the table of figures and the scaling table of a result, for rich to print."""
    from rich.console import Group

    from clip_cfr.extract.bench.table import ROWS, figures_title, render_scaling

    return Group(benchmark_table(ROWS, figures_title, result), render_scaling(result))
