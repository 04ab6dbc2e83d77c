"""What extraction asks of a model, whichever library it comes from."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from clip_cfr.cache.format.schema import Head
from clip_cfr.extract.images.preprocessing import View

Pixels = UInt8[np.ndarray, "batch side side 3"] | UInt8[torch.Tensor, "batch side side 3"]
Features = Float32[np.ndarray, "batch dim"]


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
