"""The command bench train."""

from functools import partial

import click

from clip_cfr.cache.console import (
    COMMAND_LINE,
    Command,
    benchmark_table,
    emit,
    json_option,
    report_measuring,
)
from clip_cfr.calibrate.runtime.environment import import_jax


@click.command("train", cls=Command)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=5,
    metavar="N",
    help="Time everything N times, and show medians.",
)
@click.option("--quick", is_flag=True, help="Use tiny sizes, to test the benchmark itself.")
@json_option
def train(repeats, quick, as_json):
    """Time training on this machine, beside a matrix product and loops in PyTorch.

    The data are random and have the size of Waterbirds.

    \b
    Example:
      clip-cfr bench train
      clip-cfr bench train --repeats 3 --json
    """
    import_jax()
    from clip_cfr.calibrate.bench.run import bench_train
    from clip_cfr.calibrate.bench.sizes import FULL, QUICK
    from clip_cfr.calibrate.bench.table import ROWS, title

    result = bench_train(COMMAND_LINE, QUICK if quick else FULL, repeats, report_measuring)
    emit(result, as_json, partial(benchmark_table, ROWS, title))
