"""The command explain."""

import click

from clip_cfr.cache.console import PATH, Command, echo, emit, json_option
from clip_cfr.calibrate.commands.options import named_arguments, named_options
from clip_cfr.calibrate.methods import ALL_METHODS

RUN = "Run folder of calibrate."
WORDS = "Words file of the command words; by default the words of the cache."
CACHE = "Where the cache of the run is now, if it moved."
METHOD = "The method whose errors are explained; by default erm."
SPLIT = "The split; train has the training errors that CFR learns from, and takes no --method."
TOP = "Most words shown of a class, for its wrong and for its right images each."


@click.command(cls=Command)
@click.option("--run", "directory", type=PATH, required=True, help=RUN)
@click.option("--method", type=click.Choice(ALL_METHODS), help=METHOD)
@click.option("--split", type=click.Choice(("val", "test", "train")), default="val", help=SPLIT)
@click.option("--cache", type=PATH, help=CACHE)
@click.option("--top", type=click.IntRange(min=1), default=10, help=TOP)
@named_options(WORDS)
@json_option
def explain(
    directory,
    method,
    split,
    words,
    cache,
    top,
    values_in_words,
    attributes_file,
    attribute_margin,
    as_json,
):
    """Describe what misclassified images have in common: words, and slices of the classes.

    Only words that stand out among all of them are named, with a family-wise error rate of 5 %.
    With attributes named in words, of the run or by --attribute, every method has its accuracy in
    their groups.

    \b
    Example:
      clip-cfr explain --run runs/demo/run
      clip-cfr explain --run runs/demo/run --split train
      clip-cfr explain --run runs/demo/run --method cfr --split test --words words.h5
      clip-cfr explain --run runs/demo/run --attribute 'red digit' --attribute 'green digit'
    """
    from clip_cfr.calibrate.explain.explain import explain_run
    from clip_cfr.calibrate.explain.suggestion import suggested_command
    from clip_cfr.calibrate.explain.table import render_explanation

    named = named_arguments(values_in_words, attributes_file, attribute_margin, words)
    found = explain_run(directory, method, split, cache=cache, top=top, **named)
    command = suggested_command(found)
    result = {**found.to_json(), "command": command}
    emit(result, as_json, lambda _: render_explanation(found))
    if command is not None and not as_json:
        # echo does not wrap lines, so the command can be pasted.
        echo(f"Calibrate with the attribute that the words suggest:\n{command}")
