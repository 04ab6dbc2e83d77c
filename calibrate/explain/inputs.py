"""The arrays that an explanation needs, from a run folder, its cache and words."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from clip_cfr.cache.class_prompts import list_prompt_sets, own_prompt_set, with_prompt_set
from clip_cfr.cache.errors import CacheError, FieldError, error_context
from clip_cfr.cache.format.schema import FeatureCache, Texts
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.cache.runs.cache_of_run import find_cache_of_run
from clip_cfr.cache.runs.encoding import class_indices
from clip_cfr.cache.runs.heads import NAME_ONE, parse_head_name
from clip_cfr.cache.runs.run import DAMAGED, PREDICTIONS, Run, read_run
from clip_cfr.cache.words.files import read_words
from clip_cfr.cache.words.words import IMPORTED, Words, check_same_model, words_of_cache
from clip_cfr.calibrate.explain.images import Chosen, Images, read_embeddings
from clip_cfr.calibrate.explain.named_groups import NamedImages, find_named
from clip_cfr.calibrate.explain.train_errors import choose_train_errors
from clip_cfr.calibrate.named.embedded import prepare_attributes
from clip_cfr.calibrate.named.request import Attributes
from clip_cfr.calibrate.progress import LineReporter, ProgressReporter


@dataclass(frozen=True)
class Inputs:
    """All that an explanation is computed from.

    Attributes:
        cache_path: the cache file.
        dataset: name of the data set.
        images: the images of the split.
        texts: names and embeddings of the classes, of the prompts that the run used.
        words: the words; None if there are none.
        method: the explained method.
        seed: seed of the explained predictions.
        is_imported: whether the cache has imported features, of which no text tower is known.
        named: the attributes named in words; None if none is.
        config: configuration of the run; `prompts` is None if they are those of the cache.
        val_fraction: fraction of the training rows that the run drew as val; None if it drew none.
    """

    cache_path: Path
    dataset: str
    images: Images
    texts: Texts
    words: Words | None
    method: str
    seed: int
    is_imported: bool
    named: NamedImages | None
    config: Mapping[str, Any]
    val_fraction: float | None


def read_inputs(
    directory: Path,
    method: str | None,
    split: str,
    words: str | Path | None = None,
    cache: str | Path | None = None,
    attributes: Attributes | None = None,
    attribute_margin: float = 0.0,
    reporter: ProgressReporter | None = None,
) -> Inputs:
    """Read and check a run, its cache, the words and the attributes; see `explain_run`.

    Raises:
        CacheError, CalibrationError, SettingsError: as in `explain_run`.
    """
    run = read_run(directory)
    choose = choose_train_errors if split == "train" else partial(choose_predictions, split=split)
    chosen = choose(directory, run, method)
    path = find_cache_of_run(directory, run, cache)
    phrases = Path(words) if words and attributes else None
    embedded = prepare_attributes(
        path, attributes, attribute_margin, phrases, reporter or LineReporter()
    )
    with open_cache(path) as opened:
        prompts = run.config.get("prompts")
        if prompts not in list_prompt_sets(opened) or prompts == own_prompt_set(opened):
            prompts = None
        opened = with_prompt_set(opened, prompts)
        images = chosen.read(opened)
        found = read_words_for(opened, path, words)
        with error_context(directory, DAMAGED):
            named = find_named(run, opened, images.rows, split, embedded)
    imported = opened.provenance.get("model") == IMPORTED
    dataset, texts = opened.dataset, opened.texts
    drawn_val = run.metrics.get("drawn_val") or {}
    return Inputs(
        path,
        dataset,
        images,
        texts,
        found,
        chosen.method,
        chosen.seed,
        imported,
        named,
        config={**run.config, "prompts": prompts},
        val_fraction=drawn_val.get("fraction"),
    )


def choose_predictions(directory: Path, run: Run, method: str | None, split: str) -> Chosen:
    """Return the errors of a method, by default `erm`, on val or test.

    Raises:
        CacheError: the run has no predictions of the method or the split.
    """
    method = method or "erm"
    with error_context(directory, NAME_ONE):
        seeds = choose_seeds(run)
        check_method(seeds, method)
    rows = rows_of_split(directory, run, split)
    read = partial(read_images, run=run, rows=rows, seeds=seeds, method=method)
    return Chosen(method, seeds[method], read)


def choose_seeds(run: Run) -> dict[str, int]:
    """Return a seed of each method that has predictions, in the order of the run.

    The seed is that of the recommended head for its method, otherwise the method's first.
    """
    seeds = {
        method: seed
        for method in run.config["methods"]
        for seed in reversed(run.config["seeds"])
        if column_name(method, seed) in run.predictions
    }
    if run.recommended is not None:
        method, seed = parse_head_name(run.recommended)
        seeds |= {method: seed} if method in seeds else {}
    return seeds


def column_name(method: str, seed: int) -> str:
    """Return the column of the predicted classes: `METHOD_seedN`."""
    return f"{method}_seed{seed}"


def check_method(seeds: Mapping[str, int], method: str) -> None:
    """Raise FieldError unless a method has predictions."""
    if not seeds:
        raise FieldError(PREDICTIONS, "predictions of at least one method", "none")
    if method not in seeds:
        raise FieldError("method", f"one with predictions: {', '.join(seeds)}", method)


def rows_of_split(directory: Path, run: Run, split: str) -> Int[np.ndarray, " rows"]:
    """Return the rows of the table of predictions that are of a split.

    Raises:
        CacheError: there are none.
    """
    rows = np.flatnonzero(run.predictions["split"] == split)
    if not len(rows):
        found = ", ".join(dict.fromkeys(map(str, run.predictions["split"]))) or "no rows"
        raise CacheError(
            f"{directory}: {PREDICTIONS}: expected predictions of the split {split}, found {found}"
            "; give another --split"
        )
    return rows


def read_images(
    cache: FeatureCache,
    run: Run,
    rows: Int[np.ndarray, " rows"],
    seeds: Mapping[str, int],
    method: str,
) -> Images:
    """Return the images in some rows of the table of predictions."""
    table, names = run.predictions, cache.texts.class_names
    cache_rows = table["row"][rows]
    labels = cache.rows.labels[cache_rows]
    predicted = {
        name: class_indices(PREDICTIONS, table[column_name(name, seed)], names)[rows]
        for name, seed in seeds.items()
    }
    column = column_name(method, seeds[method])
    probabilities = np.stack([table[f"{column}_p{label}"][rows] for label in range(len(names))])
    subjects = cache.rows.subjects
    return Images(
        rows=cache_rows,
        ids=tuple(cache.rows.ids[row] for row in cache_rows),
        labels=labels,
        subjects=None if subjects is None else subjects[cache_rows],
        embeddings=read_embeddings(cache, cache_rows),
        predicted=predicted,
        probability=probabilities[labels, np.arange(len(rows))].astype(np.float64),
    )


def read_words_for(cache: FeatureCache, path: Path, words: str | Path | None) -> Words | None:
    """Return the words of a file, or those of the cache without one; None if it has none either.

    Raises:
        CacheError: the file cannot be read, or has words of another model than the cache.
    """
    if words is None:
        return words_of_cache(cache)
    found = read_words(words)
    check_same_model(found, Path(words), cache, path)
    return found
