"""Explain features and embeddings that are not finite: damaged weights, or too narrow a type."""

import numpy as np

from clip_cfr.cache.format.schema import Texts
from clip_cfr.extract.encoders.base import Model
from clip_cfr.extract.errors import ExtractError


def check_head_and_texts(model: Model, texts: Texts) -> None:
    """Raise ExtractError if the projection or an embedding of the prompts is not finite."""
    arrays = {
        "embeddings of the classes": texts.class_embeddings,
        "embeddings of the attributes": texts.attribute_embeddings,
        "numbers of the projection": model.head().projection,
    }
    for name, array in arrays.items():
        if array is not None and not np.isfinite(array).all():
            raise ExtractError(explain_not_finite(model, name))


def explain_not_finite(model: Model, what: str) -> str:
    """Return why a model's output is not finite, and what to do.

    Weights that are not finite are the first reason, a compute type other than float32 the second.

    Args:
        model: the model.
        what: the output, such as `features of a.jpg`.
    """
    provenance = model.provenance()
    start = f"model {provenance['model']}: its {what} hold NaN or infinity"
    if weight := model.find_bad_weight():
        return (
            f"{start}, because its weights do, such as {weight}: the training that made them "
            "failed, or the file is damaged; take another checkpoint"
        )
    if provenance["compute_dtype"] != "float32":
        return (
            f"{start} in {provenance['compute_dtype']}; run again with --dtype float32 --overwrite"
        )
    return f"{start} although its weights are finite and it computes in float32; take another model"
