"""The Python API of the command `words`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clip_cfr.cache.format.kinds import WORDS
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.cache.wording import count_noun
from clip_cfr.cache.words.files import read_words_info, write_words
from clip_cfr.cache.words.words import IMPORTED, TextModel, Words, model_of_cache
from clip_cfr.cache.write.output import check_output
from clip_cfr.extract.encoders.recorded_model import find_recorded_model
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.import_torch import import_torch
from clip_cfr.extract.progress import LineReporter, ProgressReporter
from clip_cfr.extract.words.vocabulary import (
    DEFAULT_TEMPLATES,
    check_templates,
    load_words,
)


def embed_words(
    out: str | Path,
    words: Sequence[str] | str | Path | None = None,
    *,
    model: str | None = None,
    revision: str | None = None,
    cache: str | Path | None = None,
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    device: str = "auto",
    overwrite: bool = False,
    reporter: ProgressReporter | None = None,
) -> dict[str, Any]:
    """Embed words with the text tower of a model, and write the words file `out`.

    Args:
        out: the words file.
        words: the words, or a text file with a word in each line; by default the vocabulary of this
            package. A word that ends with a full stop is a complete sentence.
        model: hub id, folder or weights file, as for an extraction; by default that of `cache`.
        revision: branch, tag or commit of a hub id.
        cache: a cache, whose model must be the one that embeds the words.
        templates: sentences with the placeholder `{}` for a word.
        device: `auto`, `cpu` or `cuda`.
        overwrite: whether to replace a words file.
        reporter: receives messages; by default lines on standard error.

    Returns:
        The summary of the file, as `read_words_info` returns it.

    Raises:
        OptionError: a word or a template is not usable, or neither model nor cache is given.
        ExtractError: the list of words or the model cannot be used, the model is not that of the
            cache, or a sentence is too long.
        CacheError: `out` exists and may not be replaced, or the cache cannot be read.
    """
    reporter = reporter or LineReporter()
    path = Path(words) if isinstance(words, str | Path) else None
    check_output(Path(out), overwrite, (path, cache and Path(cache)), WORDS)
    templates, listed = check_templates(templates), load_words(words)
    expected = None if cache is None else read_text_model(Path(cache))
    spec = choose_encoder(model, revision, device, expected, cache)
    reporter.message(f"loading {spec.model}")
    import_torch()
    from clip_cfr.extract.encoders.load import load_encoder
    from clip_cfr.extract.words.embed import describe_text_model, embed_vocabulary

    encoder = load_encoder(spec)
    found = describe_text_model(encoder)
    if expected is not None:
        check_model_of_cache(found, expected, Path(cache))
    in_templates = count_noun(len(templates), "template")
    reporter.message(f"embedding {count_noun(len(listed), 'word')} in {in_templates}")
    vocabulary = embed_vocabulary(encoder, listed, templates)
    provenance = found.entries | {
        "versions": encoder.provenance()["versions"],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    embedded = Words(vocabulary.words, vocabulary.embeddings, vocabulary.templates, provenance)
    write_words(out, embedded, overwrite)
    return read_words_info(out)


def read_text_model(path: Path) -> TextModel:
    """Return the model of a cache or of a shard, without reading its features.

    Raises:
        CacheError: the file cannot be read or is not a cache.
    """
    with open_cache(path, allow_shard=True) as cache:
        return model_of_cache(cache)


def choose_encoder(
    model: str | None,
    revision: str | None,
    device: str,
    expected: TextModel | None,
    cache: str | Path | None,
) -> EncoderSpec:
    """Return the model to load: the one given, otherwise that of the cache.

    Raises:
        OptionError: neither is given, or the cache is imported and names no model.
        ExtractError: the model of the cache was local and is gone.
    """
    if model is None and expected is None:
        raise OptionError("give the model with --model, or a cache of that model with --cache")
    # Only the text tower runs, in float32: the image tower is not converted.
    settings = {"device": device, "dtype": "float32"}
    if model is not None:
        return EncoderSpec(model, revision, **settings)
    name = expected.entries["model"]
    if name == IMPORTED:
        raise OptionError(
            f"{cache}: its features were imported and name no model; give the model that computed "
            "them with --model"
        )
    name, recorded = find_recorded_model(Path(cache), expected.entries)
    return EncoderSpec(name, revision or recorded, **settings)


def check_model_of_cache(found: TextModel, expected: TextModel, cache: Path) -> None:
    """Raise ExtractError if a model is not that of a cache; names both."""
    difference = found.find_difference(expected)
    if difference is not None:
        raise ExtractError(
            f"{cache}: expected its model, {expected.describe()}, found {found.describe()}: "
            f"{difference}; name the folder or the --revision of the cache's model with --model"
        )
