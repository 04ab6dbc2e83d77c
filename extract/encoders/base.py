"""What extraction asks of a model, whichever library it comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from clip_cfr.cache.format.schema import Head
from clip_cfr.extract.images.preprocessing import View

Pixels = UInt8[np.ndarray, "batch side side 3"] | UInt8[torch.Tensor, "batch side side 3"]
Features = Float32[np.ndarray, "batch dim"]


# What the journal of a job calls the settings that decide its bits.
RECORDED = {"dtype": "compute_dtype", "compile": "compile", "channels_last": "channels_last"}


@dataclass(frozen=True)
class EncoderSpec:
    """Which model to load and how it computes; picklable, so that any process can load it.

    Attributes:
        model: a hub id or a local folder of a transformers model; or `open-clip:` and an
            architecture with a tag or a weights file, or a folder.
        revision: branch, tag or commit of a hub id.
        device: `auto`, `cpu` or `cuda`.
        dtype: what the image tower computes in: `auto`, `float32`, `bfloat16` or `float16`.
        compile: translate the image tower by torch.compile; None does not.
        channels_last: keep the three colours of a pixel side by side in memory; None does not.
    """

    model: str
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    compile: bool | None = None
    channels_last: bool | None = None


def settled(spec: EncoderSpec, job: dict[str, Any]) -> EncoderSpec:
    """The spec with what it leaves open taken from the job of the same model that is gone on with.

    `job` is what the journal holds, empty where nothing is gone on with.
    """
    if job.get("model") != spec.model:
        return spec
    open_settings = {name for name in RECORDED if getattr(spec, name) in ("auto", None)}
    found = {name: job[RECORDED[name]] for name in open_settings if RECORDED[name] in job}
    if spec.device == "auto":
        found["device"] = job["device"].split()[0]
    return replace(spec, **found)


class Model(Protocol):
    """A model whose image head is one linear map, wherever its image tower runs.

    Attributes:
        view: how an image becomes the pixels that the image tower takes.
        dim: the width of the features.
        device: where the image tower runs.
    """

    view: View
    dim: int
    device: torch.device

    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "n embedding"]:
        """Unit-length embeddings of sentences.

        Raises:
            ExtractError: a sentence is longer than the text tower takes.
        """

    def head(self) -> Head:
        """The linear map from features to embeddings, and the logit scale."""

    def provenance(self) -> dict[str, Any]:
        """All that decides the bits of the features, in JSON types."""


class Encoder(Model, Protocol):
    """A model in this process, ready to encode."""

    def encode(self, pixels: Pixels) -> Features:
        """Pooled image features, before the head and not normalised."""

    def launch(self, pixels: Pixels) -> Callable[[], Features]:
        """Starts what `encode` does; the features come from a call of the result.

        On a GPU the next batch can be launched before the features of this one are fetched.

        Raises:
            torch.OutOfMemoryError: the batch is too large; also from the call of the result.
        """
