"""Heads of each kind for the features of a cache, made by hand."""

import numpy as np

from clip_cfr.cache.format.schema import FeatureCache


def make_heads(cache: FeatureCache) -> dict[str, dict[str, np.ndarray]]:
    """Return arrays of a head of each kind, by `METHOD-seedN`."""
    rng = np.random.default_rng(0)
    dim, embedding = cache.head.projection.shape
    classes = len(cache.texts.class_names)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(scale=0.05, size=shape).astype(np.float32)

    bias = {} if cache.head.bias is None else {"bias": cache.head.bias}
    own = {
        "projection": np.asarray(cache.head.projection),
        **bias,
        "logit_scale": np.float32(cache.head.logit_scale),
        "class_embeddings": cache.texts.class_embeddings,
    }
    calibrated = {
        **own,
        **{name: array + draw(embedding) for name, array in bias.items()},
        "projection": own["projection"] + draw(dim, embedding),
        "logit_scale": np.float32(20),
    }
    adapter = {"adapter_down": draw(embedding, 8), "adapter_up": draw(8, embedding)}
    linear = {"logits_weight": draw(dim, classes), "logits_bias": draw(classes)}
    of_embeddings = {"logits_weight": draw(embedding, classes), "logits_bias": draw(classes)}
    return {
        "zeroshot-seed0": own,
        "zeroshot-seed1": own,
        "cfr-seed0": {**calibrated, "logit_scale": np.float32(10)},
        "cfr-seed1": calibrated,
        "erm-adapter-seed0": own | adapter,
        "dfr-seed0": {"linear_weight": draw(dim, classes), "linear_bias": draw(classes)},
        "linear-probe-seed0": linear,
        "afr-seed0": {"projection": own["projection"], **bias, **of_embeddings},
    }
