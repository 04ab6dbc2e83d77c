"""Text embeddings of phrases: from a words file, from the cache, or by the command words."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float32

from clip_cfr.cache.console import COMMAND_LINE, program_name
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.packages import is_installed
from clip_cfr.cache.wording import count_noun
from clip_cfr.cache.words.files import read_words
from clip_cfr.cache.words.words import (
    IMPORTED,
    Words,
    check_same_model,
    model_of_cache,
    words_of_cache,
)
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.progress import ProgressReporter

# Packages that the text tower of a model needs.
NEEDED = ("torch", "transformers")
SHOWN_PHRASES = 5


@dataclass(frozen=True)
class Phrases:
    """Phrases with their text embeddings.

    Attributes:
        embeddings: unit-length embedding of each phrase, by the phrase in lower case (casefold).
        templates: sentences with the placeholder `{}` that each phrase was put into.
    """

    embeddings: Mapping[str, Float32[np.ndarray, " embedding"]]
    templates: tuple[str, ...]


def embed_phrases(
    phrases: Sequence[str],
    cache: FeatureCache,
    cache_path: Path,
    words_path: Path | None,
    reporter: ProgressReporter,
) -> Phrases:
    """Return the text embeddings of phrases under the model of a cache.

    They are those of the words file, then those of the vocabulary of the cache if it has the same
    templates. The others are embedded by the command `words`, in a process of its own.

    Raises:
        CacheError: the words file cannot be read, or is of another model.
        CalibrationError: a phrase has no embedding and the text tower cannot be run here; has the
            command that embeds it.
    """
    sources = list_sources(cache, cache_path, words_path)
    templates = sources[0].templates if sources else None
    found: dict[str, np.ndarray] = {}
    for words in sources:
        if words.templates == templates:
            found = index_words(words) | found
    missing = [each for each in phrases if each.casefold() not in found]
    if missing:
        made = embed_missing(missing, templates, cache, cache_path, words_path, reporter)
        found, templates = found | index_words(made), made.templates
    return Phrases({each.casefold(): found[each.casefold()] for each in phrases}, templates)


def list_sources(
    cache: FeatureCache, cache_path: Path, words_path: Path | None
) -> tuple[Words, ...]:
    """Return the words of the words file and of the cache, as far as there are any."""
    given = None if words_path is None else read_words(words_path)
    if given is not None:
        check_same_model(given, words_path, cache, cache_path)
    return tuple(each for each in (given, words_of_cache(cache)) if each is not None)


def index_words(words: Words) -> dict[str, np.ndarray]:
    """Return the embedding of each word, by the word in lower case."""
    keys = (each.casefold() for each in words.words)
    return dict(zip(keys, words.embeddings, strict=True))


def embed_missing(
    phrases: Sequence[str],
    templates: Sequence[str] | None,
    cache: FeatureCache,
    cache_path: Path,
    words_path: Path | None,
    reporter: ProgressReporter,
) -> Words:
    """Embed phrases by the command `words`; its Python has torch, which this process has not.

    Raises:
        CalibrationError: the extra `extract` is not installed, the cache names no model, or the
            command failed.
    """
    options = [*words_options(phrases, templates), "--cache", str(cache_path)]
    problem = f"{cache_path}: no text embedding of {list_phrases(phrases)}"
    if words_path is not None:
        problem += f", and none in {words_path}"
    if model_of_cache(cache).entries["model"] == IMPORTED:
        options += ["--model", "MODEL"]
        raise CalibrationError(
            f"{problem}, and its features were imported and name no model; embed with the model "
            f"that computed them, and add --words words.h5: {paste(options)}"
        )
    if not all(map(is_installed, NEEDED)):
        raise CalibrationError(
            f"{problem}; embed with the extra `extract` (torch and transformers), which is not "
            f"installed here, and add --words words.h5: {paste(options)}"
        )
    number = count_noun(len(phrases), "phrase")
    reporter.message(
        f"embedding {number} with the text tower of {model_of_cache(cache).describe()}"
    )
    with TemporaryDirectory() as folder:
        out = Path(folder) / "words.h5"
        command = [*COMMAND_LINE, "words", *options, "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise CalibrationError(
                f"{problem}; embedding failed: {last.removeprefix('Error: ')}; this command shows "
                f"more, and --words words.h5 uses its output: {paste(options)}"
            )
        return read_words(out)


def words_options(phrases: Sequence[str], templates: Sequence[str] | None) -> list[str]:
    """Return the options of the command `words` that embed phrases; None for its own templates."""
    given = [f"--template={each}" for each in templates or ()]
    return [*(f"--word={each}" for each in phrases), *given]


def paste(options: Sequence[str]) -> str:
    """Return the command `words` with its options and the output `words.h5`, quoted for a shell."""
    return f"{program_name()} words {shlex.join([*options, '--out', 'words.h5'])}"


def list_phrases(phrases: Sequence[str]) -> str:
    """Return the first phrases, quoted, and the number of the others."""
    more = len(phrases) - SHOWN_PHRASES
    listed = ", ".join(map(repr, phrases[:SHOWN_PHRASES]))
    return f"{listed} and {more} more" if more > 0 else listed
