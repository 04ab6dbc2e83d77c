"""The command grid."""

from functools import partial
from pathlib import Path

import click

from clip_cfr.cache.console import PATH, Command, emit, exit_on_interrupt
from clip_cfr.calibrate.commands.options import given_settings, make_settings, training_options
from clip_cfr.calibrate.methods import METHODS


@click.command(cls=Command)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="NAME=VALUES",
    help="A setting to vary: VALUE,VALUE,.. or, to sample from, LOW:HIGH, on a log scale where "
    "numbers that are not whole begin above 0 and span tenfold. May be given several times.",
)
@click.option("--settings", "file", type=PATH, help="YAML or JSON: setting to value or list.")
@click.option("--method", type=click.Choice(METHODS), default="cfr", help="What to fit.")
@click.option(
    "--sampler",
    type=click.Choice(["grid", "tpe", "random"]),
    default="grid",
    help="Every combination, or --trials points that Optuna proposes.",
)
@click.option("--trials", type=click.IntRange(min=1), help="Points to propose (tpe, random).")
@click.option("--prune", is_flag=True, help="Stop points that the first seed shows to be hopeless.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes that fit.")
@click.option("--storage", metavar="URL", help="Optuna storage; by default OUT/study.db.")
@click.option("--out", type=PATH, help="The grid's folder; by default runs/NAME-grid-DIGEST.")
@click.option("--overwrite", is_flag=True, help="Start anew where OUT/study.db is.")
@training_options
@click.pass_context
def grid(
    ctx,
    path,
    sets,
    file,
    method,
    sampler,
    trials,
    prune,
    workers,
    storage,
    out,
    overwrite,
    seeds,
    seed,
    device,
    hold_rows,
    preset,
    as_json,
    **values,
):
    """Fit every combination of settings, and rank them by the validation split.

    Killed or interrupted, the same command goes on from where it was; finished, it shows the
    leaderboard again. Processes and machines that share a --storage share the work.

    \b
    Example:
      clip-cfr grid --cache celeba.h5 --set lr=1e-4,1e-3 --set positive=dps,rps --seeds 3
      clip-cfr grid --cache celeba.h5 --set lr=1e-5:1e-2 --sampler tpe --trials 50 --prune
    """
    settings = make_settings(ctx, preset, values)

    from clip_cfr.cache.format.shard import check_not_shard
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.runs.grid import STUDY, make_grid_folder, refuse_other_grid, write_grid
    from clip_cfr.calibrate.grid.leaderboard import columns, leaderboard
    from clip_cfr.calibrate.grid.plan import Plan
    from clip_cfr.calibrate.grid.result import refuse_no_result, summarise
    from clip_cfr.calibrate.grid.run import run_grid
    from clip_cfr.calibrate.grid.space import read_space
    from clip_cfr.calibrate.grid.study import OWN_STUDY, check_url, shown, url_of_file
    from clip_cfr.calibrate.grid.table import render
    from clip_cfr.calibrate.open_task import load_prepared
    from clip_cfr.calibrate.runtime.resident_rows import rows_to_hold

    space = read_space(sets, file, settings, given_settings(ctx), method)
    if storage:
        check_url(storage)
        if overwrite:
            raise click.UsageError("--overwrite removes OUT/study.db alone; leave out --storage")
    found = read_info(path)
    shape, dtype = found["features"]["shape"], found["features"]["dtype"]
    check_not_shard(path, found["provenance"], shape[0])
    seed_range = tuple(range(seed, seed + seeds))
    held = rows_to_hold(hold_rows, shape, dtype)
    fitting = {"seeds": seed_range, "method": method, "prune": prune, "hold_rows": held}
    plan = Plan(found["sha256"], space, settings, **fitting, sampler=sampler, trials=trials)
    out = out or Path("runs") / f"{path.stem}-grid-{plan.digest}"
    make_grid_folder(out, overwrite)
    if storage:
        refuse_other_grid(out, plan.digest)
    url, name = (storage, out.resolve().name) if storage else (url_of_file(out / STUDY), OWN_STUDY)
    kept = f"{out}: interrupted; what is finished is kept, and the same command goes on from there"
    with exit_on_interrupt(kept):
        load = partial(load_prepared, path, device, held)
        done = run_grid(plan, url, name, load, workers)
    rows = leaderboard(plan, done)
    result = {
        "cache": str(path),
        "cache_sha256": plan.cache,
        "dataset": found["dataset"],
        "model": found["provenance"]["model"],
        "digest": plan.digest,
        **summarise(plan, rows, str(path), shown(url), name),
    }
    write_grid(out, result, columns(plan, rows))
    emit(result, as_json, render)
    if result["best"] and not as_json:  # In one piece, so that it can be pasted.
        click.echo(f"Calibrate with the best point:\n{result['best']['command']}")
    click.echo(f"grid written to {out}", err=True)
    refuse_no_result(result)
