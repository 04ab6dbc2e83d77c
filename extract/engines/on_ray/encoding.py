"""An encoder in a process of its own, which Ray starts anew where it ends."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from clip_cfr.cache.format.nested import describe_changes
from clip_cfr.cache.format.schema import Head
from clip_cfr.extract.encoders.base import Encoder, Features
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.engines.batch_size import Fitting, fitting_batch_size
from clip_cfr.extract.engines.on_ray.decoding import go_home
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import View


@dataclass(frozen=True)
class Card:
    """What the driver has to know of a model.

    Attributes:
        pid: the process on `host` that told it.
    """

    view: View
    dim: int
    device: torch.device
    head: Head
    provenance: dict[str, Any]
    host: str
    pid: int


class EncodingActor:
    """An encoder of a spec; it is loaded by the first call that needs it."""

    def __init__(self, spec: EncoderSpec, home: str):
        self.spec, self.home = spec, home

    @cached_property
    def encoder(self) -> Encoder:
        go_home(self.home)
        try:
            return load_encoder(self.spec)
        except ExtractError as error:
            raise ExtractError(
                f"{error} (so says {socket.gethostname()}: every node of a Ray cluster must reach "
                "the model)"
            ) from error

    @cached_property
    def provenance(self) -> dict[str, Any]:
        return self.encoder.provenance()

    def card(self) -> Card:
        """What is to be known of the encoder, once it is loaded."""
        encoder = self.encoder
        facts = (encoder.view, encoder.dim, encoder.device, encoder.head(), self.provenance)
        return Card(*facts, socket.gethostname(), os.getpid())

    def fitting_batch_size(self) -> int:
        """A size that fits the device here."""
        return fitting_batch_size(self.encoder)

    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "n embedding"]:
        """Unit-length embeddings of sentences."""
        return self.encoder.embed_texts(sentences)

    def encode(
        self, pixels: UInt8[np.ndarray, "n side side 3"], size: int, expected: dict[str, Any]
    ) -> tuple[Features, int, list[str]]:
        """The features; how many images went through together, and what is to be said of that.

        The encoder may have been loaded anew since the last call, on another machine.

        Raises:
            ExtractError: it is not one of the `expected` provenance.
        """
        refuse_other(expected, self.provenance, socket.gethostname())
        said: list[str] = []
        pinned = self.encoder.device.type == "cuda"
        # A copy, since what Ray gives may not be written to, which torch warns of.
        copied = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=pinned)
        copied.numpy()[...] = pixels
        features, used = Fitting(self.encoder, size, said.append).launch(copied)()
        return features, used, said


def refuse_other(expected: dict[str, Any], found: dict[str, Any], host: str) -> None:
    """Raises ExtractError where an encoder would not give the bits that the others give."""
    if found != expected:
        raise ExtractError(
            f"the encoder on {host} is not like the first one of this job: "
            f"{', '.join(describe_changes(expected, found))}; a file holds the features of one "
            "kind of device, with one set of versions: give Ray nodes that are alike"
        )
