"""Options that the training commands share: the run, and one for each field of `Settings`."""

from dataclasses import fields

import click

from clip_cfr.cache.console import PATH, json_option
from clip_cfr.calibrate.core.settings import NOT_REPRODUCED, PRESETS, Settings

# What JAX and scikit-learn take.
SEED = click.IntRange(0, 2**31 - 1)
DEVICE = "Where JAX runs."
HOLD = "Features to hold in memory at a time, in rows; by default all if half of it holds them."
PRESET = "Start from the values of the authors' release; options given beside it win."


def setting_options(command):
    """One option for each field of `Settings`; its help shows where the default comes from."""
    for each in reversed(fields(Settings)):
        command = setting_option(each)(command)
    return command


def setting_option(each):
    """The option of one field."""
    name, text = each.name.replace("_", "-"), f"{each.metadata['help']} ({each.metadata['source']})"
    if each.type is bool:
        return click.option(f"--{name}/--no-{name}", default=each.default, help=text)
    choices = each.metadata["choices"]
    kind = click.Choice(choices) if choices else float if each.default is None else each.type
    return click.option(f"--{name}", type=kind, default=each.default, help=text)


def make_settings(ctx: click.Context, preset: str | None, values: dict) -> Settings:
    """The settings of a command line: defaults, then the preset, then what was given."""
    given = click.core.ParameterSource.COMMANDLINE
    preset_values = PRESETS.get(preset, {})
    taken = {k: v for k, v in preset_values.items() if ctx.get_parameter_source(k) != given}
    if preset:
        click.echo(f"preset {preset}: {NOT_REPRODUCED[preset]}", err=True)
    return Settings(**{**values, **taken})


def given_settings(ctx: click.Context) -> set[str]:
    """The settings that have a value on the command line."""
    given = click.core.ParameterSource.COMMANDLINE
    return {each.name for each in fields(Settings) if ctx.get_parameter_source(each.name) == given}


def training_options(command):
    """The options of every command that trains on a cache."""
    cache = click.option("--cache", "path", type=PATH, required=True, help="The cache to train on.")
    options = (
        click.option("--seeds", type=click.IntRange(min=1), default=1, help="Seeds to average."),
        click.option("--seed", type=SEED, default=0, help="The first seed."),
        click.option(
            "--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help=DEVICE
        ),
        click.option("--hold-rows", type=click.IntRange(min=1), help=HOLD),
        click.option("--preset", type=click.Choice(sorted(PRESETS)), help=PRESET),
        json_option,
        setting_options,
    )
    for each in reversed(options):
        command = each(command)
    return cache(command)
