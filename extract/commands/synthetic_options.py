"""Options of synthetic features, one for each field of `SyntheticWorld`."""

from collections.abc import Callable
from dataclasses import Field, fields

import click
from click.core import ParameterSource
from click_option_group import optgroup

from clip_cfr.extract.datasets.common.options import flag
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.importing.synthetic.world import SyntheticWorld

# `--seed` is an option of imported lists, too.
OWN_FIELDS = tuple(each for each in fields(SyntheticWorld) if each.name != "seed")
# Options of `import` that go with features from files and with synthetic ones.
SHARED = ("synthetic", "dataset", "seed", "out", "overwrite", "as_json")


def synthetic_options(command: Callable) -> Callable:
    """Add --synthetic and the options of a `SyntheticWorld`, except --seed, to a command."""
    for each in reversed(OWN_FIELDS):
        command = synthetic_option(each)(command)
    command = optgroup.option(
        "--synthetic",
        is_flag=True,
        help="Draw random features of a world whose best worst-group accuracy is known "
        "(docs/data.md), instead of reading --features.",
    )(command)
    return optgroup.group("Synthetic features")(command)


def synthetic_option(each: Field) -> Callable[[Callable], Callable]:
    """Return a decorator that adds the option of a field; the range is checked by the class."""
    return optgroup.option(
        flag(each.name),
        type=int if isinstance(each.default, int) else float,
        default=each.default,
        show_default="1 / attributes" if each.default is None else True,
        help=describe_parameter(each),
    )


def describe_parameter(each: Field) -> str:
    """Return the help text of a field with its range."""
    text, low, high = (each.metadata[key] for key in ("help", "low", "high"))
    return f"{text.removesuffix('.')}, from {low:g} to {high:,.15g}."


def check_given(context: click.Context) -> None:
    """Raise OptionError if options of synthetic features and of files are given together.

    Also if neither --synthetic nor --features is given.
    """
    is_synthetic = context.params["synthetic"]
    own = {each.name for each in OWN_FIELDS}
    for param in context.command.params:
        name = param.name
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in SHARED and (name in own) != is_synthetic:
            reason = "does not go with" if is_synthetic else "goes with"
            raise OptionError(f"{param.opts[0]} {reason} --synthetic")
    if not is_synthetic and not context.params["features"]:
        raise OptionError("give --features, or draw synthetic features with --synthetic")
