"""The command grid."""

import shlex

import click
from click_option_group import optgroup

from clip_cfr.cache.console import PATH, Command, echo, program_name
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.calibrate.commands.options import (
    data_options,
    given_settings,
    make_settings,
    named_arguments,
    named_options,
    option_group,
    run_options,
    setting_options,
    tracking_options,
)
from clip_cfr.calibrate.commands.show import format_option, print_grid
from clip_cfr.calibrate.methods import ALL_METHODS
from clip_cfr.calibrate.runtime.environment import import_jax


@click.command(cls=Command)
@data_options()
@option_group(
    "Search",
    optgroup.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="NAME=VALUES",
        help="A setting to vary: VALUE,VALUE,.. or, to sample from, LOW:HIGH. Floats are sampled "
        "on a log scale if the range starts above 0 and spans a factor of 10. May be given "
        "several times.",
    ),
    optgroup.option(
        "--settings", "file", type=PATH, help="YAML or JSON file: setting to value or list."
    ),
    optgroup.option(
        "--method",
        "methods",
        multiple=True,
        type=click.Choice(ALL_METHODS),
        default=("cfr",),
        help="A method to fit; may be given several times. Each varies the settings that it "
        "depends on.",
    ),
    optgroup.option(
        "--sampler",
        type=click.Choice(["grid", "tpe", "random"]),
        default="grid",
        help="Fit every combination, or --trials points that Optuna proposes.",
    ),
    optgroup.option(
        "--trials",
        type=click.IntRange(min=1),
        help="Number of points to propose for each method (tpe, random).",
    ),
    optgroup.option(
        "--prune",
        is_flag=True,
        help="Stop unpromising points of cfr during their first seed.",
    ),
    optgroup.option(
        "--workers",
        type=click.IntRange(min=1),
        default=1,
        help="Number of processes that fit points.",
    ),
    optgroup.option(
        "--storage",
        metavar="URL",
        help="Optuna storage that several machines share; by default OUT/study.db.",
    ),
)
@named_options()
@run_options(
    optgroup.option("--out", type=PATH, help="The grid folder; by default runs/NAME-grid-DIGEST."),
    optgroup.option("--overwrite", is_flag=True, help="Remove an earlier grid in OUT first."),
    format_option(optgroup.option),
)
@tracking_options
@setting_options
@click.pass_context
def grid(
    ctx,
    path,
    hold_rows,
    prompts,
    values_in_words,
    attributes_file,
    attribute_margin,
    words,
    assignments,
    file,
    methods,
    sampler,
    trials,
    prune,
    workers,
    storage,
    out,
    overwrite,
    form,
    seeds,
    seed,
    device,
    preset,
    as_json,
    log_dir,
    mlflow,
    **values,
):
    """Fit every combination of settings, and rank them by the validation split.

    Zero-shot and ERM at the fixed settings are shown beside the points, as references.

    Run the same command again to resume a grid that was interrupted, or to show one that is
    finished. Run it with more values, methods or trials to add points: finished ones are kept. With
    fewer values, only their points are shown. The default folder depends on the cache, the
    fixed settings and the names of the varied ones, not on their values. Processes and machines
    that share a --storage share the work.

    \b
    Example:
      clip-cfr grid --cache celeba.h5 --set lr=1e-4,1e-3 --set positive=dps,rps --seeds 3
      clip-cfr grid --cache celeba.h5 --set lr=1e-5:1e-2 --sampler tpe --trials 50 --prune
    """
    named = named_arguments(values_in_words, attributes_file, attribute_margin, words)
    settings = make_settings(ctx, preset, values, has_named=bool(named["attributes"]))

    import_jax()
    from clip_cfr.calibrate.grid.job import prepare_grid
    from clip_cfr.calibrate.grid.run import run_grid
    from clip_cfr.calibrate.grid.space import read_space
    from clip_cfr.calibrate.tracking.trackers import open_trackers

    # Before the folder is made: an earlier grid stays if a tracker cannot be used.
    trackers = open_trackers(log_dir, mlflow)
    fixed_names = given_settings(ctx)
    job = prepare_grid(
        path,
        read_space(assignments, file, fixed=settings, fixed_names=fixed_names, methods=methods),
        settings,
        methods=methods,
        seeds=range(seed, seed + seeds),
        sampler=sampler,
        trials=trials,
        prune=prune,
        out=out,
        storage=storage,
        overwrite=overwrite,
        hold_rows=hold_rows,
        prompts=prompts,
        **named,
    )
    interrupted = (
        f"{job.directory}: interrupted; finished points are kept, run the same command to resume"
    )
    with exit_on_interrupt(interrupted):
        result = run_grid(job, device=device, workers=workers, trackers=trackers)
    try:
        print_grid(result, as_json, form)
    finally:  # Say where the grid is even if standard output is full.
        echo(f"grid written to {job.directory}", err=True)
    echo(f"next: {program_name()} show {shlex.quote(str(job.directory))}", err=True)
    result.check_any_complete()
