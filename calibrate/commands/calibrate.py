"""The command calibrate."""

from contextlib import suppress
from time import perf_counter

import click
from click_option_group import optgroup

from clip_cfr.cache.console import PATH, Command
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.cache.terminal import flush_or_discard_output
from clip_cfr.calibrate.commands.options import (
    METHOD_NAMES,
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
from clip_cfr.calibrate.methods import ALL_METHODS, DEFAULT_METHODS, methods_of
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
        help="If the cache has no validation split (val): use this fraction of the training rows "
        "of each class as val.",
    )
)
@run_options(
    optgroup.option(
        "--method",
        "methods",
        multiple=True,
        type=click.Choice((*ALL_METHODS, "all")),
        metavar="NAME",
        default=DEFAULT_METHODS,
        help=f"A method to compare, or all. May be given several times. {METHOD_NAMES}",
    ),
    optgroup.option(
        "--out",
        type=PATH,
        help="Run folder to write; by default runs/NAME-TIME, with the name of the cache.",
    ),
    optgroup.option("--overwrite", is_flag=True, help="Replace a finished run in the run folder."),
    optgroup.option(
        "--tune",
        type=click.IntRange(min=1),
        metavar="N",
        help="Try N settings of each method, and fit it with those of the highest validation "
        "accuracy. The first trial has the given settings. A setting that is given as an option "
        "stays as it is.",
    ),
    optgroup.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        default=1,
        help="Fit the trials of --tune in N processes.",
    ),
    optgroup.option(
        "--versus",
        type=click.Choice(ALL_METHODS),
        metavar="NAME",
        help="Compare every method with this one on the test split, and mark the differences that "
        "are beyond noise.",
    ),
    format_option(optgroup.option),
)
@named_options()
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

    A head maps the image features of the cache to the classes; each method trains one for each
    seed. The run folder keeps metrics, predictions, heads and logs. The command show prints its
    tables again, and predict applies the recommended head to new images.

    The first two groups of options are enough to begin with. The settings at the end have defaults
    that are meant to be kept.

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
        with suppress(OSError):  # Standard output may be on the same full disk.
            print_result(error.result, as_json, form, reporter.messages)
        flush_or_discard_output()
        raise
    try:
        print_result(result, as_json, form, reporter.messages)
    finally:  # Say where the run is even if standard output is full.
        show_next_steps(result, out)
    if result.failures:
        raise click.ClickException(describe_failures(result.failures))
