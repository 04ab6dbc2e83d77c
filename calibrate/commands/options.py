"""Options that the training commands share: the data, the run, and one for each setting."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import click
from click_option_group import optgroup

from clip_cfr.cache.class_prompts import PROMPT_SETS
from clip_cfr.cache.console import PATH
from clip_cfr.cache.device_option import DeviceName
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.presets import NOT_REPRODUCED, PRESETS
from clip_cfr.calibrate.core.settings import POOL_WORDS, Settings, default_settings, value_type
from clip_cfr.calibrate.methods import ALL_METHODS

Decorator = Callable[[Callable], Callable]

# Help of --words.
PHRASES = "Words file, made by the command words, with values that are not among the cache's words."
# The range of seeds that JAX and scikit-learn accept.
SEED = click.IntRange(0, 2**31 - 1)
FIELDS = {each.name: each for each in fields(Settings)}
# Line below the first group of settings.
KEEP = "The defaults of all settings are meant to be kept: docs/defaults.md."
# Help of an option for a method; the names would fill its line otherwise.
METHOD_NAMES = f"Methods (docs/methods.md): {', '.join(ALL_METHODS)}."
# Every setting in one group of the help, the most used ones first.
SETTING_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Settings: selection of heads": ("selection", "evaluations", "patience"),
    "Settings: CFR": (
        *("lr", "steps", "temperature", "cross_entropy", "init", "alpha", "alpha_schedule"),
        *("holistic", "holistic_weight", "supcon_temperature", "calibration_batch_size"),
    ),
    "Settings: ERM": ("erm_lr", "erm_steps"),
    "Settings: all stages of training": (
        *("batch_size", "momentum", "weight_decay", "dropout", "logit_scale"),
        "freeze_logit_scale",
    ),
    "Settings, rarely needed: positives and negatives of CFR": (
        *("positive", "negative", "num_negatives", "negative_pool", "nns_pool"),
        *("num_positives", "positive_source", "positive_pool"),
        *("dps_source", "dps_momentum", "dps_weighting"),
    ),
    "Settings, rarely needed: calibration set": (
        *("identification_lr", "identification_steps"),
        *("calibration_source", "calibration_size", "calibration_subset"),
        *("calibration_minimum", "calibration_fallback"),
    ),
    "Settings, rarely needed: training rows and numerics": ("resample", "precision"),
    "Settings, rarely needed: other methods": (
        "dfr_subsamples",
        "jtt_upweight",
        "group_dro_step",
        "cnc_weight",
        "cnc_temperature",
        "adapter_dim",
        "adapter_temperature",
    ),
}


def option_group(title: str, *options: Decorator, text: str | None = None) -> Decorator:
    """Return a decorator that adds options to a command, in order, under a heading of the help.

    Args:
        title: the heading.
        options: decorators of `optgroup.option`.
        text: line below the heading; None for none.
    """

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return optgroup.group(title, help=text)(command)

    return decorate


def data_options(*options: Decorator, several: bool = False) -> Decorator:
    """Return a decorator that adds the options of the data to a command.

    They are --cache (parameter `path`, or `paths` with `several`), then `options`, --prompts and
    --hold-rows.
    """
    name, text = ("paths", "; may be given several times.") if several else ("path", ".")
    return option_group(
        "Data",
        optgroup.option(
            "--cache",
            name,
            type=PATH,
            required=True,
            multiple=several,
            help=f"Cache file that extract or import wrote{text}",
        ),
        *options,
        optgroup.option(
            "--prompts",
            type=click.Choice(PROMPT_SETS),
            help="Class prompts, with which zero-shot and all heads compare an image. name: the "
            "class name alone. simple: 'a photo of a {}.'. imagenet: CLIP's 80 for ImageNet. By "
            "default those of extract --templates.",
        ),
        optgroup.option(
            "--hold-rows",
            type=click.IntRange(min=1),
            metavar="N",
            help="Keep only N images' features in memory at a time, for caches larger than the "
            "memory. By default all of them, if they fit in half of the memory.",
        ),
    )


def named_options(words: str = PHRASES) -> Decorator:
    """Return a decorator that adds the options that name attributes in words.

    They are the parameters of `named_arguments`; `words` is the help of --words.
    """
    return option_group(
        "Attributes named in words",
        optgroup.option(
            "--attribute",
            "values_in_words",
            multiple=True,
            metavar="WORDS",
            help="One value of an attribute, such as 'on water'. Give the option once for each "
            "value, at least twice. Each image gets the value that it is most similar to; each "
            "class with each value is a group.",
        ),
        optgroup.option(
            "--attributes",
            "attributes_file",
            type=PATH,
            help='JSON file with the values of several attributes, such as {"light": ["at '
            'night", "by day"]}. A value may have several phrases: see docs/groups-in-words.md.',
        ),
        optgroup.option(
            "--attribute-margin",
            type=float,
            default=0.0,
            help="Smallest lead of the most similar value over the next one, in cosine similarity. "
            "Images with a smaller lead get no value.",
        ),
        optgroup.option("--words", type=PATH, help=words),
    )


def named_arguments(
    values: Sequence[str], file: Path | None, margin: float, words: Path | None
) -> dict[str, Any]:
    """Return the arguments of the Python function of a command for `named_options`.

    Raises:
        SettingsError: both --attribute and --attributes are given.
    """
    if values and file is not None:
        raise SettingsError("--attribute and --attributes exclude each other; give one of them")
    return {"attributes": values or file, "attribute_margin": margin, "words": words}


def run_options(*options: Decorator, seeds: int = 1) -> Decorator:
    """Return a decorator that adds options of a run: the first of `options`, --seeds, the others.

    Then come --seed, --device, --preset and --json. The parameter of --json is `as_json`, the
    default of --seeds is `seeds`.
    """
    first, *others = options
    return option_group(
        "Run",
        first,
        optgroup.option(
            "--seeds",
            type=click.IntRange(1, 10_000),
            metavar="N",
            default=seeds,
            help="Train with N seeds, and show means and deviations over them.",
        ),
        *others,
        optgroup.option(
            "--seed", type=SEED, metavar="N", default=0, help="First seed; the others follow it."
        ),
        optgroup.option(
            "--device",
            type=DeviceName("gpu"),
            default="auto",
            help="Device to train on. auto: a GPU if JAX finds one.",
        ),
        optgroup.option(
            "--preset",
            type=click.Choice(sorted(PRESETS)),
            help="Use other defaults. release: those of the authors' code. Settings given as "
            "options are kept.",
        ),
        optgroup.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    )


def tracking_options(command: Callable) -> Callable:
    """Add the options --log-dir and --mlflow to a command, which log the finished result."""
    return option_group(
        "Tracking",
        optgroup.option(
            "--log-dir",
            type=PATH,
            metavar="DIR",
            help="Log the finished result into DIR for TensorBoard. Needs the extra track of the "
            "package (docs/tracking.md).",
        ),
        optgroup.option(
            "--mlflow",
            metavar="URI",
            help="Log the finished result to MLflow at URI, such as sqlite:///mlflow.db or "
            "http://localhost:5000. Needs the extra mlflow of the package (docs/tracking.md).",
        ),
    )(command)


def setting_options(command: Callable) -> Callable:
    """Add one option for each field of `Settings` to a command, grouped as in `SETTING_GROUPS`."""
    for title, names in reversed(SETTING_GROUPS.items()):
        options = (setting_option(FIELDS[name]) for name in names)
        text = KEEP if title == next(iter(SETTING_GROUPS)) else None
        command = option_group(title, *options, text=text)(command)
    return command


def setting_option(field: Field) -> Decorator:
    """Return a decorator that adds the option of one setting; its help ends with its `source`.

    A bool is a pair `--NAME/--no-NAME`. Type, choices and default are those of the field.
    """
    name = field.name.replace("_", "-")
    text = f"{field.metadata['help']} {field.metadata['source']}".strip()
    if field.type is bool:
        return optgroup.option(f"--{name}/--no-{name}", default=field.default, help=text)
    choices = field.metadata["choices"]
    kind = click.Choice(choices) if choices else value_type(field)
    pool = [*POOL_WORDS[field.name], "N"] if field.name in POOL_WORDS else []
    return optgroup.option(
        f"--{name}", type=kind, metavar="|".join(pool) or None, default=field.default, help=text
    )


def make_settings(
    ctx: click.Context, preset: str | None, values: Mapping, has_named: bool = False
) -> Settings:
    """Return the settings of a command line; options override the preset, which overrides defaults.

    With a preset, print on standard error the parts of the release that it does not reproduce.

    Args:
        ctx: context of the command, which tells the options that were given.
        preset: a name of `PRESETS`, or None.
        values: the values of all settings as click parsed them, defaults included.
        has_named: whether attributes are named in words, which changes the default selection.

    Raises:
        SettingsError: a value is out of its range.
    """
    given = given_settings(ctx)
    if preset:
        click.echo(f"preset {preset}: {NOT_REPRODUCED[preset]}", err=True)
    defaults = {"selection": default_settings(has_named).selection, **PRESETS.get(preset, {})}
    return Settings(**values | {k: v for k, v in defaults.items() if k not in given})


def given_settings(ctx: click.Context) -> set[str]:
    """Return the field names of the settings given on the command line, not by default."""
    given = click.core.ParameterSource.COMMANDLINE
    return {name for name in FIELDS if ctx.get_parameter_source(name) == given}
