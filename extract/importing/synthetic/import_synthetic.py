"""Write a cache of synthetic features: the Python API of the command `import --synthetic`."""

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from clip_cfr.cache.format.identity import IdentityMatrix
from clip_cfr.cache.format.schema import SPLIT_NAMES, FeatureCache, Head, Rows, Texts
from clip_cfr.cache.format.synthetic import PARAMETERS_KEY, SYNTHETIC_KEY, WORST_GROUP_KEY
from clip_cfr.cache.write.output import check_output
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.projection import LOGIT_SCALE
from clip_cfr.extract.importing.synthetic.accuracies import (
    WorstGroupAccuracies,
    compute_accuracies,
)
from clip_cfr.extract.importing.synthetic.draw import draw_synthetic
from clip_cfr.extract.importing.synthetic.world import SyntheticWorld


def import_synthetic(
    out: str | Path,
    world: SyntheticWorld | None = None,
    *,
    dataset: str = "synthetic",
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write the cache file `out` with synthetic features, whose best worst-group accuracy is known.

    Args:
        out: the cache file.
        world: parameters of the features; by default those of `SyntheticWorld()`.
        dataset: name of the data set, which the cache records.
        overwrite: whether to replace a finished file.

    Returns:
        A note that names the best worst-group accuracy.

    Raises:
        ExtractError: memory runs out.
        CacheError: `out` is finished or not a cache, or is being written by another process.
    """
    world = world or SyntheticWorld()
    check_output(Path(out), overwrite)
    try:
        write_cache(out, make_synthetic_cache(world, dataset), overwrite)
    except MemoryError as error:
        size = 4 * sum(world.rows) * world.dim
        raise ExtractError(
            f"{out}: out of memory for synthetic features of {size / 1e9:.3g} GB; give fewer rows "
            "with --train-rows, --val-rows and --test-rows, or a smaller --dim"
        ) from error
    return (describe_accuracies(compute_accuracies(world)),)


def make_synthetic_cache(world: SyntheticWorld, dataset: str = "synthetic") -> FeatureCache:
    """Return the contents of a cache of synthetic features; only the time in it is not of `world`.

    The head is the identity without bias, with logit scale 100.
    """
    arrays = draw_synthetic(world)
    counts = zip(SPLIT_NAMES, world.rows, strict=True)
    ids = tuple(f"{split}/{row:07}" for split, rows in counts for row in range(rows))
    return FeatureCache(
        dataset=dataset,
        rows=Rows(ids, arrays.labels, arrays.attributes, arrays.splits),
        valid=np.ones(len(ids), bool),
        features=arrays.features,
        head=Head(IdentityMatrix(world.dim), bias=None, logit_scale=LOGIT_SCALE),
        texts=Texts(
            class_names=tuple(f"y{index}" for index in range(world.num_classes)),
            attribute_names=tuple(f"a{index}" for index in range(world.num_attributes)),
            class_prompts=(),
            attribute_prompts=(),
            class_embeddings=arrays.class_embeddings,
            class_prompt_embeddings=np.zeros((0, world.dim), np.float32),
            attribute_embeddings=arrays.attribute_embeddings,
        ),
        provenance=make_synthetic_provenance(world),
    )


def make_synthetic_provenance(world: SyntheticWorld) -> dict[str, Any]:
    """Return the provenance: parameters and known accuracies, time in UTC and versions."""
    versions = {
        "numpy": np.__version__,
        "python": platform.python_version(),
        "scipy": scipy.__version__,
    }
    return {
        "model": "synthetic",
        SYNTHETIC_KEY: {
            PARAMETERS_KEY: world.to_json(),
            WORST_GROUP_KEY: compute_accuracies(world).to_json(),
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
    }


def describe_accuracies(accuracies: WorstGroupAccuracies) -> str:
    """Return the known accuracies as a sentence, in per cent."""
    train_bayes, zeroshot = accuracies.train_bayes, accuracies.zeroshot
    parts = [f"the best worst-group accuracy of any classifier is {100 * accuracies.optimal:.1f} %"]
    if train_bayes is not None:
        parts.append(
            f"the best classifier on the training distribution has {100 * train_bayes:.1f} %"
        )
    if zeroshot is not None:
        parts.append(f"zero-shot has {100 * zeroshot:.1f} %")
    return ", ".join(parts)
