"""A world with a hidden attribute, and a run folder on it."""

from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.format.schema import FeatureCache, Head, Rows
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.runs.run import Run, write_run
from clip_cfr.cache.words.files import write_words
from clip_cfr.cache.words.words import Words, model_of_cache
from clip_cfr.cache.write.writer import write_cache
from tests.calibrate.explain.worlds import make_world

METHODS = ("erm", "cfr")


@pytest.fixture(scope="session")
def world():
    """Images, texts and words; the head `erm` follows a hidden attribute."""
    return make_world(0)


@pytest.fixture(scope="session")
def folder(tmp_path_factory, world) -> Path:
    """A folder with the cache `world.h5` without words, `words.h5`, and the run `run`."""
    root = tmp_path_factory.mktemp("explained")
    images, texts, words = world
    write_world(root, images, texts, words)
    return root


def write_world(root: Path, images, texts, words) -> None:
    """Write `world.h5`, `words.h5` and `run`; all images are in val."""
    cache = world_cache(images, texts)
    write_cache(root / "world.h5", cache)
    digest = words_model(cache)
    write_words(root / "words.h5", Words(words.words, words.embeddings, ("{}",), digest))
    write_run(root / "run", world_run(root / "world.h5", cache, images))


def world_cache(images, texts) -> FeatureCache:
    """Return an imported cache whose projection is the identity."""
    count, dim = images.embeddings.shape
    return FeatureCache(
        dataset="world",
        rows=Rows(
            images.ids,
            images.labels.astype(np.int32),
            np.zeros(count, np.int32),
            np.ones(count, np.int8),
            images.subjects,
        ),
        valid=np.ones(count, bool),
        features=images.embeddings,
        head=Head(np.eye(dim, dtype=np.float32), None, 100.0),
        texts=texts,
        provenance={"model": "imported"},
    )


def words_model(cache: FeatureCache) -> dict[str, str]:
    """Return the provenance of words that fit a cache."""
    return model_of_cache(cache).entries


def world_run(path: Path, cache: FeatureCache, images) -> Run:
    """Return a run with the predictions of `METHODS` on val, for one seed."""
    names = np.array(cache.texts.class_names)
    columns = {
        "row": list(range(len(images.ids))),
        "id": list(images.ids),
        "split": ["val"] * len(images.ids),
        "label": names[images.labels].tolist(),
    }
    for method in METHODS:
        predicted = images.predicted[method]
        columns[f"{method}_seed0"] = names[predicted].tolist()
        right = np.where(predicted == images.labels, images.probability, 1 - images.probability)
        for label in range(len(names)):
            values = np.where(images.labels == label, right, 1 - right)
            columns[f"{method}_seed0_p{label}"] = values.tolist()
    return Run(
        config={"cache": str(path), "methods": list(METHODS), "seeds": [0], "prompts": None},
        provenance={"cache_sha256": content_digest(path)},
        metrics={},
        predictions=columns,
    )
