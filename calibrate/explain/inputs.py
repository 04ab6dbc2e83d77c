"""The arrays that an explanation needs, from a run folder, its cache and words."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32

from clip_cfr.cache.class_prompts import list_prompt_sets, with_prompt_set
from clip_cfr.cache.errors import CacheError, FieldError, error_context
from clip_cfr.cache.format.schema import FeatureCache, Texts
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.cache.runs.apply_head import CHUNK, embed
from clip_cfr.cache.runs.cache_of_run import find_cache_of_run
from clip_cfr.cache.runs.heads import NAME_ONE, parse_head_name
from clip_cfr.cache.runs.run import PREDICTIONS, Run, read_run
from clip_cfr.cache.words.files import read_words
from clip_cfr.cache.words.words import IMPORTED, Words, check_same_model, words_of_cache


@dataclass(frozen=True)
class Images:
    """The images of a split with the predictions of a run, in the order of the run.

    Attributes:
        ids: id of each image.
        labels: class index of each image.
        subjects: number of each image's subject; None if all images are independent.
        embeddings: unit-length embeddings under CLIP's own projection.
        predicted: predicted class index of each image, by method, of one seed.
        probability: probability of the true class under the explained method.
    """

    ids: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    subjects: Int32[np.ndarray, " n"] | None
    embeddings: Float32[np.ndarray, "n embedding"]
    predicted: Mapping[str, Int[np.ndarray, " n"]]
    probability: Float64[np.ndarray, " n"]

    def wrong(self, method: str) -> Bool[np.ndarray, " n"]:
        """Return whether each image is misclassified by a method."""
        return self.predicted[method] != self.labels


@dataclass(frozen=True)
class Inputs:
    """All that an explanation is computed from.

    Attributes:
        cache_path: the cache file.
        dataset: name of the data set.
        images: the images of the split.
        texts: names and embeddings of the classes, of the prompts that the run used.
        words: the words; None if there are none.
        seed: seed of the explained predictions.
        is_imported: whether the cache has imported features, of which no text tower is known.
    """

    cache_path: Path
    dataset: str
    images: Images
    texts: Texts
    words: Words | None
    seed: int
    is_imported: bool


def read_inputs(
    directory: Path,
    method: str,
    split: str,
    words: str | Path | None = None,
    cache: str | Path | None = None,
) -> Inputs:
    """Read and check a run, its cache and the words; see `explain_run`.

    Raises:
        CacheError: as in `explain_run`.
    """
    run = read_run(directory)
    with error_context(directory, NAME_ONE):
        seeds = choose_seeds(run)
        check_method(seeds, method)
    rows = rows_of_split(directory, run, split)
    path = find_cache_of_run(directory, run, cache)
    with open_cache(path) as opened:
        prompts = run.config.get("prompts")
        prompts = prompts if prompts in list_prompt_sets(opened) else None
        opened = with_prompt_set(opened, prompts)
        images = read_images(opened, run, rows, seeds, method)
        found = read_words_for(opened, path, words)
    imported = opened.provenance.get("model") == IMPORTED
    return Inputs(path, opened.dataset, images, opened.texts, found, seeds[method], imported)


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
        name: class_indices(table[column_name(name, seed)], names)[rows]
        for name, seed in seeds.items()
    }
    column = column_name(method, seeds[method])
    probabilities = np.stack([table[f"{column}_p{label}"][rows] for label in range(len(names))])
    subjects = cache.rows.subjects
    return Images(
        ids=tuple(cache.rows.ids[row] for row in cache_rows),
        labels=labels,
        subjects=None if subjects is None else subjects[cache_rows],
        embeddings=read_embeddings(cache, cache_rows),
        predicted=predicted,
        probability=probabilities[labels, np.arange(len(rows))].astype(np.float64),
    )


def class_indices(column: np.ndarray, names: tuple[str, ...]) -> Int[np.ndarray, " n"]:
    """Return the class index of each predicted name in a column of a CSV table.

    If all names in a column are numbers, it was read as numbers.

    Raises:
        FieldError: a name is not that of a class.
    """
    as_read = str if column.dtype == object else float
    known = {}
    for index, name in enumerate(names):
        try:
            known[as_read(name)] = index
        except ValueError:  # A name that is no number is not in a column of numbers.
            continue
    try:
        return np.array([known[as_read(each)] for each in column], np.int64)
    except KeyError as error:
        raise FieldError(PREDICTIONS, "names of classes of the cache", error) from error


def read_embeddings(
    cache: FeatureCache, rows: Int[np.ndarray, " rows"]
) -> Float32[np.ndarray, "rows embedding"]:
    """Return the unit-length embeddings of rows under CLIP's own projection.

    Args:
        cache: an open cache, with its features in memory or on disk.
        rows: ascending row indices, at least one.
    """
    head = {"projection": cache.head.projection}
    if cache.head.bias is not None:
        head["bias"] = cache.head.bias
    parts = [
        embed(head, cache.features[rows[start : start + CHUNK]].astype(np.float64))
        for start in range(0, len(rows), CHUNK)
    ]
    return np.concatenate(parts).astype(np.float32)


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
