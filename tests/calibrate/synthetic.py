"""Synthetic tasks with a core direction and a spurious one for each class, and quick settings."""

import numpy as np

from clip_cfr.cache.format.schema import FeatureCache, Head, Rows, Texts
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task


def unit(vectors):
    """Vectors of unit length along the last axis."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def make_task(
    seed: int = 0,
    *,
    sizes: tuple[int, int, int] = (1000, 240, 400),
    classes: int = 2,
    dim: int = 24,
    embedding: int = 12,
    agreement: tuple[float, float, float] = (0.95, 0.5, 0.5),
    core: float = 3.0,
    spurious: float = 6.0,
    dtype: type = np.float32,
    bias: bool = False,
    unreadable: int = 0,
    rows_per_subject: int | None = None,
) -> Task:
    """Features are core[label] + spurious[attribute] + noise; there are as many attributes as
    classes, and `agreement` is the share of rows of each split whose attribute equals the label.

    Args:
        sizes: rows of train, val and test.
        core, spurious: lengths of the two directions, over the noise's deviation in each dimension.
        unreadable: so many rows of each split are zeros and not valid.
        rows_per_subject: so many neighbouring rows are of one subject.
    """
    rng = np.random.default_rng(seed)
    count, splits = sum(sizes), np.repeat(np.arange(3, dtype=np.int8), sizes)
    labels = rng.integers(classes, size=count)
    agrees = rng.random(count) < np.asarray(agreement)[splits]
    attributes = np.where(agrees, labels, (labels + rng.integers(1, classes, size=count)) % classes)
    core_directions = core * unit(rng.normal(size=(classes, dim)))
    spurious_directions = spurious * unit(rng.normal(size=(classes, dim)))
    noise = rng.normal(size=(count, dim))
    features = core_directions[labels] + spurious_directions[attributes] + noise
    projection = rng.normal(size=(dim, embedding)) / np.sqrt(dim)
    texts = (core_directions + 0.7 * spurious_directions) @ projection
    valid = np.ones(count, bool)
    for code in range(3):
        valid[np.flatnonzero(splits == code)[:unreadable]] = False
    return Task(
        features=(features * valid[:, None]).astype(dtype),
        valid=valid,
        labels=labels.astype(np.int32),
        attributes=attributes.astype(np.int32),
        splits=splits,
        class_names=tuple(f"class {number}" for number in range(classes)),
        attribute_names=tuple(f"attribute {number}" for number in range(classes)),
        projection=projection.astype(np.float32),
        bias=rng.normal(size=embedding).astype(np.float32) if bias else None,
        logit_scale=100.0,
        class_embeddings=unit(texts + 0.3 * rng.normal(size=texts.shape)).astype(np.float32),
        subjects=None
        if rows_per_subject is None
        else (np.arange(count) // rows_per_subject).astype(np.int32),
    )


def cache_of(task: Task) -> FeatureCache:
    """Return a feature cache with the rows, the head and the class embeddings of a task."""
    ids = tuple(f"images/{row}.png" for row in range(len(task.labels)))
    return FeatureCache(
        dataset="synthetic",
        rows=Rows(ids, task.labels, task.attributes, task.splits, task.subjects),
        valid=task.valid,
        features=task.features,
        head=Head(task.projection, task.bias, task.logit_scale),
        texts=Texts(
            class_names=task.class_names,
            attribute_names=task.attribute_names,
            class_prompts=(),
            attribute_prompts=(),
            class_embeddings=task.class_embeddings,
            class_prompt_embeddings=np.zeros((0, task.class_embeddings.shape[1]), np.float32),
        ),
        provenance={"model": "none", "manifest_sha256": "0" * 64},
    )


def quick_settings(**changes) -> Settings:
    """Settings that train in a moment; sizes are the same everywhere, so that programs are.

    What a default is measured for is set, so that another measurement changes no test.
    """
    quick = {
        "lr": 1e-3,
        "identification_lr": 1e-3,
        "erm_lr": 1e-3,
        "temperature": 0.1,
        "holistic_weight": 1.0,
        "init": "identification",
        "cross_entropy": "both",
        "steps": 60,
        "identification_steps": 60,
        "erm_steps": 60,
        "evaluations": 6,
        "batch_size": 32,
        "calibration_batch_size": 24,
        "num_positives": 4,
        "num_negatives": 4,
        "positive_pool": 64,
        "negative_pool": 256,
        "calibration_minimum": 1,
        "dfr_subsamples": 3,
        "patience": 0,
        "precision": "float32",
    }
    return Settings(**{**quick, **changes})
