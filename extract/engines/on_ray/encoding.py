"""The Ray actor that encodes: an encoder in a process that Ray restarts when it dies."""

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
from clip_cfr.extract.engines.batch_size import choose_batch_size
from clip_cfr.extract.engines.microbatches import MicrobatchEncoder
from clip_cfr.extract.engines.on_ray.decoding import enter_folder
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import Preprocessing


@dataclass(frozen=True)
class EncoderInfo:
    """What the driver needs to know about an encoder.

    Attributes:
        preprocessing, dim, device, head, provenance: as in `Model`.
        host: host name of the encoder's process.
        pid: process id on that host.
    """

    preprocessing: Preprocessing
    dim: int
    device: torch.device
    head: Head
    provenance: dict[str, Any]
    host: str
    pid: int


class EncodingActor:
    """An encoder that is loaded by the first call that needs it.

    Every method may be that call, and then raises ExtractError if the model cannot be loaded.

    Args:
        spec: the model and its compute settings.
        working_folder: the driver's working folder.
    """

    def __init__(self, spec: EncoderSpec, working_folder: str):
        self.spec, self.working_folder = spec, working_folder

    @cached_property
    def encoder(self) -> Encoder:
        """Encoder of the spec, loaded on first access.

        The process enters the working folder of the driver first, if this host has it.

        Raises:
            ExtractError: the model cannot be loaded; the message names this host.
        """
        enter_folder(self.working_folder)
        try:
            return load_encoder(self.spec)
        except ExtractError as error:
            raise ExtractError(
                f"{error} (reported by {socket.gethostname()}: every node of a Ray cluster must "
                "reach the model)"
            ) from error

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Provenance of the encoder; computing it hashes the weights."""
        return self.encoder.provenance()

    def describe(self) -> EncoderInfo:
        """Load the encoder and return its properties, with this process's host and id.

        Raises:
            ExtractError: the model cannot be loaded; the message names this host.
        """
        encoder = self.encoder
        return EncoderInfo(
            preprocessing=encoder.preprocessing,
            dim=encoder.dim,
            device=encoder.device,
            head=encoder.head(),
            provenance=self.provenance,
            host=socket.gethostname(),
            pid=os.getpid(),
        )

    def choose_batch_size(self) -> int:
        """Return a batch size that fits the memory of this encoder's device.

        Raises:
            ExtractError: the model cannot be loaded.
        """
        return choose_batch_size(self.encoder)

    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "n embedding"]:
        """Return the unit-length embeddings of sentences, in their order.

        Raises:
            ExtractError: a sentence has more tokens than the text tower takes, or the model cannot
                be loaded.
        """
        return self.encoder.embed_texts(sentences)

    def find_bad_weight(self) -> str | None:
        """Return the name of a weight that holds NaN or infinity; None if there is none.

        Raises:
            ExtractError: the model cannot be loaded.
        """
        return self.encoder.find_bad_weight()

    def encode(
        self,
        pixels: UInt8[np.ndarray, "n side side 3"],
        microbatch_size: int,
        expected: dict[str, Any],
    ) -> tuple[Features, int, list[str]]:
        """Encode a batch.

        Args:
            pixels: the pixels, which are copied.
            microbatch_size: images that pass through the encoder together.
            expected: provenance that the encoder must have. It may have been loaded again since the
                last call, on another host.

        Returns:
            The features, the micro-batch size that they were encoded in, and messages for the user.

        Raises:
            ExtractError: the encoder cannot be loaded or has another provenance, or memory does
                not hold a single image.
        """
        check_provenance(expected, self.provenance, socket.gethostname())
        messages: list[str] = []
        pin_memory = self.encoder.device.type == "cuda"
        # Copy, because Ray's arrays are read-only and torch warns about those.
        writable = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=pin_memory)
        writable.numpy()[...] = pixels
        encoder = MicrobatchEncoder(self.encoder, microbatch_size, messages.append)
        features, used_size = encoder.launch(writable).fetch()
        return features, used_size, messages


def check_provenance(expected: dict[str, Any], found: dict[str, Any], host: str) -> None:
    """Raise ExtractError if an encoder's provenance is not the expected one; names what differs.

    Its features would then differ in their bits from those of the other encoders.
    """
    if found != expected:
        changes = ", ".join(describe_changes(expected, found))
        raise ExtractError(
            f"the encoder on {host} differs from the first one of this job: {changes}; all "
            "features of a file must come from one kind of device and one set of versions: use "
            "Ray nodes of one kind"
        )
