"""The command study."""

import click
from click_option_group import optgroup

from clip_cfr.cache.console import PATH, Command, echo, emit
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.calibrate.commands.options import (
    data_options,
    given_settings,
    make_settings,
    run_options,
    setting_options,
)
from clip_cfr.calibrate.runtime.environment import import_jax
from clip_cfr.calibrate.studies import STUDIES

DEFAULT_SEEDS = 3


@click.command(cls=Command)
@click.argument("name", type=click.Choice(STUDIES), metavar="NAME")
@data_options(several=True)
@run_options(
    optgroup.option(
        "--out", type=PATH, help="The study folder; by default runs/study-NAME-DIGEST."
    ),
    optgroup.option(
        "--workers",
        type=click.IntRange(min=1),
        default=1,
        help="Number of processes that fit points.",
    ),
    seeds=DEFAULT_SEEDS,
)
@setting_options
@click.pass_context
def study(
    ctx,
    name,
    paths,
    hold_rows,
    prompts,
    out,
    workers,
    seeds,
    seed,
    device,
    preset,
    as_json,
    **values,
):
    """Answer one of the paper's open questions in two sentences, a table and a plot.

    NAME is a study: strategies, calibration-size, dps-uncertainty, negatives, calibration-quality
    or selection. Its points are fitted on each cache with every seed. Heads are selected on val and
    compared on test, with intervals over seeds and test rows; a difference within noise is said to
    be one.

    A study takes fewer steps than calibrate: 400 to 2,000 with 3 seeds, chosen for about 5 minutes
    on two idle cores with 5,000 rows of 1,024 features. Options override this budget. Run the same
    command again to resume an interrupted study.

    \b
    Example:
      clip-cfr study strategies --cache celeba.h5
      clip-cfr study negatives --cache vit.h5 --cache rn50.h5 --seeds 5
    """
    import_jax()
    from clip_cfr.calibrate.studies import load_study, run_study
    from clip_cfr.calibrate.studies.run import check_not_varied
    from clip_cfr.calibrate.studies.table import render_study

    given = given_settings(ctx)
    check_not_varied(name, given)
    budget = {k: v for k, v in load_study(name).budget.items() if k not in given}
    with exit_on_interrupt("interrupted; finished points are kept, run the same command to resume"):
        result = run_study(
            name,
            paths,
            make_settings(ctx, preset, {**values, **budget}),
            seeds=range(seed, seed + seeds),
            out=out,
            workers=workers,
            device=device,
            hold_rows=hold_rows,
            prompts=prompts,
        )
    emit(result.to_json(), as_json, lambda _: render_study(result))
    echo(f"study written to {result.directory}", err=True)
