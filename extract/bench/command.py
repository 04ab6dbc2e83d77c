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
@click.option("--repeats", type=click.IntRange(min=1), default=3, help="Means are over these.")
@click.option("--quick", is_flag=True, help="Tiny sizes, to see that it runs; figures say nothing.")
@json_option
def extract(repeats, quick, as_json):
    """Time extraction next to its encoder alone and to a loop over transformers.

    Also what a kill costs, and how time, memory and file grow from 1,000 to 100,000 images.

    \b
    Example:
      clip-cfr bench extract
      clip-cfr bench extract --repeats 1 --json
    """
    from clip_cfr.extract.bench.run import bench_extract as run
    from clip_cfr.extract.bench.sizes import FULL, QUICK
    from clip_cfr.extract.bench.table import ROWS, render_scale, title

    def render(result):
        from rich.console import Group

        return Group(benchmark_table(ROWS, title, result), render_scale(result))

    emit(run(COMMAND_LINE, QUICK if quick else FULL, repeats, report_measuring), as_json, render)
