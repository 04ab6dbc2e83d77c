"""The command grid."""

import shlex

import click
from click_option_group import optgroup

from clip_cfr.cache.console import PATH, Command, echo, program_name
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.calibrate.commands.options import (
    METHOD_NAMES,
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
        help="A setting to vary, with its values, such as lr=1e-4,1e-3. May be given several "
        "times. --sampler tpe and random also take a range, LOW:HIGH. Floats are sampled on a log "
        "scale if the range starts above 0 and spans a factor of 10.",
    ),
    optgroup.option(
        "--settings",
        "file",
        type=PATH,
        help="YAML or JSON file with settings to fix (a value) or to vary (a list).",
    ),
    optgroup.option(
        "--method",
        "methods",
        multiple=True,
        type=click.Choice(ALL_METHODS),
        metavar="NAME",
        default=("cfr",),
        help="A method to fit. May be given several times; each varies those settings of --set "
        f"that it depends on. {METHOD_NAMES}",
    ),
    optgroup.option(
        "--sampler",
        type=click.Choice(["grid", "tpe", "random"]),
        default="grid",
        help="Choice of the points. grid: every combination of values. tpe: --trials points near "
        "the best ones so far (Optuna's TPE sampler). random: --trials random points.",
    ),
    optgroup.option(
        "--trials",
        type=click.IntRange(min=1),
        metavar="N",
        help="Number of points of each method, with --sampler tpe or random.",
    ),
    optgroup.option(
        "--prune",
        is_flag=True,
        help="Stop points of cfr during their first seed if their validation accuracy is behind.",
    ),
    optgroup.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        default=1,
        help="Fit the points in N processes.",
    ),
    optgroup.option(
        "--storage",
        metavar="URL",
        help="Database of Optuna that keeps the points, such as one that several machines share. "
        "By default the file study.db in the folder of --out.",
    ),
)
@run_options(
    optgroup.option(
        "--out", type=PATH, help="Grid folder to write; by default runs/NAME-grid-DIGEST."
    ),
    optgroup.option(
        "--overwrite", is_flag=True, help="Remove an earlier grid in the folder of --out first."
    ),
    format_option(optgroup.option),
)
@named_options()
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

    A point is one combination. Zero-shot and ERM with the settings that are not varied are shown
    beside the points, as references.

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
