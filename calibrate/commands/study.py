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
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.runtime.environment import import_jax
from clip_cfr.calibrate.studies import STUDIES
from clip_cfr.calibrate.studies.cost import DEFAULT_EPOCHS, NAME

DEFAULT_SEEDS = 3


@click.command(cls=Command)
@click.argument("name", type=click.Choice([*STUDIES, NAME]), metavar="NAME")
@data_options(several=True)
@run_options(
    optgroup.option(
        "--out", type=PATH, help="Study folder to write; by default runs/study-NAME-DIGEST."
    ),
    optgroup.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        default=1,
        help="Fit the points in N processes.",
    ),
    optgroup.option("--root", type=PATH, help="Folder of the images; for the study cost only."),
    optgroup.option(
        "--epochs",
        type=click.IntRange(min=1),
        metavar="N",
        default=DEFAULT_EPOCHS,
        help="Epochs of full fine-tuning; for the study cost only.",
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
    root,
    epochs,
    seeds,
    seed,
    device,
    preset,
    as_json,
    **values,
):
    """Answer one of the paper's open questions in two sentences, a table and a plot.

    NAME is the question: strategies, calibration-size, dps-uncertainty, negatives,
    calibration-quality, selection or cost; docs/studies.md describes each. A study trains several
    variants of CFR, its points, on each cache with every seed. It selects heads on the validation
    split and compares them on the test split. It says which differences are within noise.

    The study cost trains no points. It compares full fine-tuning of the included tiny CLIP, on the
    images of --root, with extraction and calibration, and computes the FLOPs of larger models.

    Studies have fewer training steps than calibrate, 400 to 2,000, so that one takes about 5
    minutes on two idle cores with 5,000 images of 1,024 features. --steps and the other settings
    override this. Run the same command again to resume an interrupted study.

    \b
    Example:
      clip-cfr study strategies --cache celeba.h5
      clip-cfr study negatives --cache vit.h5 --cache rn50.h5 --seeds 5
      clip-cfr study cost --cache runs/demo/digits.h5 --root runs/demo/images
    """
    import_jax()
    if name == NAME:
        check_cost_options(ctx, paths)
        common = {"out": out, "device": device, "hold_rows": hold_rows, "prompts": prompts}
        settings = make_settings(ctx, preset, values)
        run_and_print(paths[0], root, settings, as_json, epochs, seeds, seed, common)
        return
    check_points_options(ctx, name)
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


def check_cost_options(ctx: click.Context, paths) -> None:
    """Raise SettingsError if several caches or several workers are given for the study cost."""
    if len(paths) > 1:
        raise SettingsError(f"--cache is given {len(paths)} times; the study cost takes one")
    if is_given(ctx, "workers"):
        raise SettingsError("--workers: the study cost fits no points; leave it out")


def check_points_options(ctx: click.Context, name: str) -> None:
    """Raise SettingsError if an option of the study cost is given for another one."""
    for option in ("root", "epochs"):
        if is_given(ctx, option):
            raise SettingsError(f"--{option}: the study {name} fine-tunes nothing; leave it out")


def is_given(ctx: click.Context, parameter: str) -> bool:
    """Return whether an option is given on the command line."""
    return ctx.get_parameter_source(parameter) == click.core.ParameterSource.COMMANDLINE


def run_and_print(path, root, settings, as_json, epochs, seeds, seed, common) -> None:
    """Run the study cost and print its result."""
    from clip_cfr.calibrate.studies.cost.run import run_cost
    from clip_cfr.calibrate.studies.cost.table import render_cost

    result = run_cost(path, root, settings, epochs=epochs, seeds=seeds, seed=seed, **common)
    emit(result.to_json(), as_json, lambda _: render_cost(result))
    echo(f"study written to {result.directory}", err=True)
