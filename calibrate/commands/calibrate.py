"""The command calibrate."""

from time import perf_counter

import click
from click_option_group import optgroup

from clip_cfr.cache.console import PATH, Command
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.calibrate.commands.options import (
    data_options,
    given_settings,
    make_settings,
    named_arguments,
    named_options,
    run_options,
    setting_options,
    tracking_options,
)
from clip_cfr.calibrate.commands.show import format_option, print_result, show_next_steps
from clip_cfr.calibrate.methods import ALL_METHODS, methods_of
from clip_cfr.calibrate.runtime.environment import import_jax

INTERRUPTED = (
    "interrupted; nothing was written. calibrate always starts from the beginning; grid keeps "
    "finished points"
)
TUNING_INTERRUPTED = (
    "interrupted; no run was written. Finished trials of --tune are kept, run the same command to "
    "resume"
)


COMMANDLINE = click.core.ParameterSource.COMMANDLINE


@click.command(cls=Command)
@data_options(
    optgroup.option(
        "--val-fraction",
        type=float,
        help="If the cache has no val: take this fraction of the training rows, by class.",
    )
)
@named_options()
@run_options(
    optgroup.option(
        "--method",
        "methods",
        multiple=True,
        type=click.Choice((*ALL_METHODS, "all")),
        default=("zeroshot", "erm", "cfr"),
        help="A method to compare, or all of them; may be given several times.",
    ),
    optgroup.option(
        "--versus",
        type=click.Choice(ALL_METHODS),
        help="A method to compare the others with on the test split: which differences are beyond "
        "noise.",
    ),
    optgroup.option(
        "--tune",
        type=click.IntRange(min=1),
        metavar="N",
        help="Tune each method with N trials on the validation split and the first seed, the first "
        "with the given settings. Settings given as options are fixed for all methods.",
    ),
    optgroup.option(
        "--workers",
        type=click.IntRange(min=1),
        default=1,
        help="Number of processes that fit the trials of --tune.",
    ),
    optgroup.option("--out", type=PATH, help="The run folder; by default runs/NAME-TIME."),
    optgroup.option("--overwrite", is_flag=True, help="Replace a finished run."),
    format_option(optgroup.option),
)
@tracking_options
@setting_options
@click.pass_context
def calibrate(
    ctx,
    path,
    hold_rows,
    prompts,
    values_in_words,
    attributes_file,
    attribute_margin,
    words,
    val_fraction,
    methods,
    versus,
    tune,
    workers,
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
    """Train and compare heads on a cache, and recommend one.

    The run folder keeps metrics, predictions, heads and logs; show prints its tables again.

    \b
    Example:
      clip-cfr calibrate --cache celeba.h5
      clip-cfr calibrate --cache celeba.h5 --method erm --method cfr --seeds 5 --lr 1e-4
      clip-cfr calibrate --cache celeba.h5 --method all --seeds 5 --versus erm
      clip-cfr calibrate --cache celeba.h5 --method all --seeds 5 --tune 20
      clip-cfr calibrate --cache birds.h5 --attribute 'on water' --attribute 'on land'
    """
    started = perf_counter()
    if tune is None and ctx.get_parameter_source("workers") == COMMANDLINE:
        raise click.UsageError("--workers is for the trials of --tune; leave it out")
    named = named_arguments(values_in_words, attributes_file, attribute_margin, words)
    settings = make_settings(ctx, preset, values, has_named=bool(named["attributes"]))
    methods = methods_of(bool(named["attributes"])) if "all" in methods else methods

    import_jax()
    from clip_cfr.cache.runs.run import default_run_directory
    from clip_cfr.calibrate.pipeline import calibrate_cache, describe_failures
    from clip_cfr.calibrate.progress import show_progress
    from clip_cfr.calibrate.run_folder import RunNotWritten

    out = out or default_run_directory(path.stem)
    try:
        interrupted = INTERRUPTED if tune is None else TUNING_INTERRUPTED
        with exit_on_interrupt(interrupted), show_progress() as reporter:
            result = calibrate_cache(
                path,
                settings,
                methods=methods,
                seeds=range(seed, seed + seeds),
                device=device,
                hold_rows=hold_rows,
                val_fraction=val_fraction,
                prompts=prompts,
                **named,
                versus=versus,
                tune=tune,
                fixed=given_settings(ctx),
                workers=workers,
                out=out,
                overwrite=overwrite,
                log_dir=log_dir,
                mlflow=mlflow,
                reporter=reporter,
                started=started,
            )
    except RunNotWritten as error:  # Show the result even if the run folder cannot be written.
        print_result(error.result, as_json, form, reporter.messages)
        raise
    try:
        print_result(result, as_json, form, reporter.messages)
    finally:  # Say where the run is even if standard output is full.
        show_next_steps(result, out)
    if result.failures:
        raise click.ClickException(describe_failures(result.failures))
