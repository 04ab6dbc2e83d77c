"""The command explain."""

import click

from clip_cfr.cache.console import PATH, Command, echo, emit, json_option
from clip_cfr.calibrate.commands.options import named_arguments, named_options
from clip_cfr.calibrate.methods import ALL_METHODS

RUN = "Run folder that calibrate wrote."
WORDS = "Words file that the command words wrote. By default the words of the cache."
CACHE = "Cache file of the run, if it is no longer where calibrate read it."
METHOD = "Method of the run whose errors are explained; by default erm."
SPLIT = (
    "Split whose misclassified images are explained. train: those that the identification head, a "
    "short ERM, misclassifies; CFR learns from them. It takes no --method."
)
TOP = "Show at most N words for the wrong and N for the right images of each class."


@click.command(cls=Command)
@click.option("--run", "directory", type=PATH, required=True, help=RUN)
@click.option("--method", type=click.Choice(ALL_METHODS), metavar="NAME", help=METHOD)
@click.option("--split", type=click.Choice(("val", "test", "train")), default="val", help=SPLIT)
@click.option("--cache", type=PATH, help=CACHE)
@click.option("--top", type=click.IntRange(min=1), metavar="N", default=10, help=TOP)
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
    """Describe misclassified images by words that they have in common, and by slices.

    A word is named only if it stands out among all words of the cache: with errors that have
    nothing to do with any word, the probability that one is named is at most 5 %. A slice is a
    part of a class whose images are alike and often misclassified. With attributes named in words,
    of the run or by --attribute, a table has the accuracy of every method in their groups. The
    last line is a command that calibrates with the attribute that the words suggest.

    \b
    Example:
      clip-cfr explain --run runs/demo/run
      clip-cfr explain --run runs/demo/run --split train
      clip-cfr explain --run runs/demo/run --method cfr --split test --words words.h5
      clip-cfr explain --run runs/demo/run --attribute 'red digit' --attribute 'green digit'
    """
    from clip_cfr.calibrate.explain.explain import explain_run
    from clip_cfr.calibrate.explain.table import render_explanation

    named = named_arguments(values_in_words, attributes_file, attribute_margin, words)
    found = explain_run(directory, method, split, cache=cache, top=top, **named)
    emit(found.to_json(), as_json, lambda _: render_explanation(found))
    if found.command is not None and not as_json:
        # echo does not wrap lines, so the command can be pasted.
        echo(f"Calibrate with the attribute that the words suggest:\n{found.command}")
