"""The interface between extraction and a model, whichever library the model comes from."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from clip_cfr.cache.format.schema import Head
from clip_cfr.extract.images.preprocessing import Preprocessing

Pixels = UInt8[np.ndarray, "batch side side 3"] | UInt8[torch.Tensor, "batch side side 3"]
Features = Float32[np.ndarray, "batch dim"]


class Model(Protocol):
    """An image-text model whose image head is linear, in this process or elsewhere.

    Attributes:
        preprocessing: converts an image to the input of the image tower.
        dim: width of the features.
        device: where the image tower runs.
    """

    preprocessing: Preprocessing
    dim: int
    device: torch.device

    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "n embedding"]:
        """Return the unit-length embeddings of sentences, a row for each, in their order.

        Raises:
            ExtractError: a sentence has more tokens than the text tower takes.
        """

    def head(self) -> Head:
        """Return the linear map from features to embeddings, and the logit scale."""

    def provenance(self) -> dict[str, Any]:
        """Return, in JSON types, all settings that determine the bits of the features."""

    def find_bad_weight(self) -> str | None:
        """Return the name of a weight that holds NaN or infinity; None if there is none."""


class Encoder(Model, Protocol):
    """A model in this process, ready to encode images."""

    def encode(self, pixels: Pixels) -> Features:
        """Return the pooled image features of a batch, before the head and not normalized."""

    def launch(self, pixels: Pixels) -> Callable[[], Features]:
        """Start encoding a batch and return a function that waits for its features.

        On a GPU, the next batch can be launched before the features of this one are fetched.

        Raises:
            torch.OutOfMemoryError: the batch is too large; either here or on fetching.
        """
