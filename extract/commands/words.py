"""The command words."""

import click

from clip_cfr.cache.console import PATH, Command, emit, json_option, overwrite_option
from clip_cfr.cache.device_option import DeviceName
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.extract.commands.texts import MODEL, REVISION
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.words.vocabulary import DEFAULT_TEMPLATES

CACHE = "Cache whose model embeds the words. If --model is given, too, it must be the same model."
WORDS = (
    "Text file (UTF-8) with a word or phrase in each line; lines that begin with # are comments. A "
    "line that ends with a full stop is a complete sentence, without template. By default about "
    "1,700 words that this package includes."
)
WORD = "A word, phrase or sentence, instead of a file. May be given several times."
TEMPLATE = (
    "Sentence into which each word is put, at {}. May be given several times; the embeddings are "
    "averaged."
)


@click.command(cls=Command)
@click.option("--cache", type=PATH, help=CACHE)
@click.option("--model", help=MODEL)
@click.option("--revision", help=REVISION)
@click.option("--words", type=PATH, help=WORDS)
@click.option("--word", "single_words", multiple=True, metavar="TEXT", help=WORD)
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    default=DEFAULT_TEMPLATES,
    help=TEMPLATE,
)
@click.option("--device", type=DeviceName("cuda"), default="auto", help="Where the model runs.")
@click.option("--out", type=PATH, required=True, help="Words file to write.")
@overwrite_option
@json_option
def words(cache, model, revision, words, single_words, templates, device, out, overwrite, as_json):
    """Embed words with the text tower of a model, to compare them with images.

    The words file goes to --words of explain, calibrate, grid, report or import. It records the
    model: caches of other models refuse it.

    \b
    Example:
      clip-cfr words --cache celeba.h5 --out words.h5
      clip-cfr words --cache celeba.h5 --words mine.txt --out words.h5
      clip-cfr words --cache birds.h5 --word 'on water' --word 'on land' --out places.h5
      clip-cfr words --model openai/clip-vit-base-patch32 --out words.h5
    """
    from clip_cfr.cache.words.table import render_words_info
    from clip_cfr.extract.words.embed_words import embed_words

    if words is not None and single_words:
        raise OptionError("--words and --word exclude each other; give one of them")
    with exit_on_interrupt(f"{out}: interrupted; nothing was written"):
        result = embed_words(
            out,
            words or single_words or None,
            model=model,
            revision=revision,
            cache=cache,
            templates=templates,
            device=device,
            overwrite=overwrite,
        )
    emit(result, as_json, render_words_info)
