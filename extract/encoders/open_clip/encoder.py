"""A model of open_clip: pixels and sentences in, numpy arrays out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from clip_cfr.cache.format.schema import Head
from clip_cfr.extract.encoders.devices import (
    chosen_device,
    chosen_dtype,
    device_name,
    limit_threads,
)
from clip_cfr.extract.encoders.image_tower import ImageTower, ThroughTower, lowered
from clip_cfr.extract.encoders.open_clip import library
from clip_cfr.extract.encoders.open_clip.loading import check_lengths, load_model, load_tokenizer
from clip_cfr.extract.encoders.open_clip.model_files import OpenClipFiles, locate
from clip_cfr.extract.encoders.open_clip.preprocessing import view_of
from clip_cfr.extract.encoders.open_clip.projection import Headless, Projection, taken_out
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.encoders.versions import versions
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import View

TEXT_BATCH = 64


@dataclass(frozen=True)
class OpenClipEncoder(ThroughTower):
    """The two towers of a model whose image tower ends in a linear map; `load` makes one.

    Sentences are few, and embedded in float32 whatever the image tower computes in.
    """

    files: OpenClipFiles
    model: torch.nn.Module
    projection: Projection
    tower: ImageTower
    tokenizer: Any

    @classmethod
    def load(cls, spec: EncoderSpec) -> "OpenClipEncoder":
        """An encoder from `open-clip:` and what follows it.

        Raises:
            ExtractError: no such model, device or type; damaged weights; an image tower that does
                not end in a linear map; images are prepared in a way that is not reproduced.
        """
        device = chosen_device(spec.device, spec.dtype)
        files = locate(spec.model, spec.revision)
        model = load_model(files).to(device)
        num_parameters = sum(each.numel() for each in model.parameters())
        limit_threads(num_parameters)
        dtype = chosen_dtype(spec.dtype, device, num_parameters)
        view = view_for(files, preprocessing(model))
        projection = taken_out(model, view.side)
        if projection is None:
            raise ExtractError(
                f"model {files.model}: its image tower, a {kind(model)}, does not end in one "
                "linear map, as that of RN50 or of a ViT does; its embeddings, made elsewhere, can "
                "be taken with the command import"
            )
        headless = Headless(lowered(model.visual, dtype))
        tower = ImageTower.make(
            headless, view, device, dtype, bool(spec.compile), bool(spec.channels_last)
        )
        return cls(files, model, projection, tower, load_tokenizer(files))

    @property
    def dim(self) -> int:
        """The width of the features."""
        return len(self.projection.weight)

    @torch.inference_mode()
    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "n embedding"]:
        """Unit-length embeddings of sentences.

        Raises:
            ExtractError: a sentence is longer than the text tower takes.
        """
        check_lengths(self.files, self.tokenizer, list(sentences))
        tokens = self.tokenizer(list(sentences)).split(TEXT_BATCH)
        embedded = [self.model.encode_text(each.to(self.device), normalize=True) for each in tokens]
        return torch.cat(embedded).float().cpu().numpy()

    def head(self) -> Head:
        """The last linear map of the image tower, and the logit scale.

        A bias of the logits (SigLIP's training has one) is left out: it is the same for all
        classes, and changes neither their order nor their softmax.
        """
        weight, bias = self.projection.weight.cpu().numpy(), self.projection.bias
        return Head(
            projection=np.ascontiguousarray(weight, dtype=np.float32),
            bias=None if bias is None else bias.cpu().numpy(),
            logit_scale=self.model.logit_scale.exp().item(),
        )

    def provenance(self) -> dict[str, Any]:
        """All that decides the bits of the features, in JSON types."""
        return {
            "model": self.files.model,
            "revision": self.files.commit,
            "weights_sha256": self.files.weights_sha256(),
            "architecture": {
                "class": kind(self.model),
                "configuration": self.files.configuration(),
            },
            "image_processor": {
                "class": "open_clip.image_transform_v2",
                "configuration": preprocessing(self.model),
            },
            **self.tower.provenance(),
            "device": device_name(self.device),
            "versions": versions("transformers") | library.versions(),
        }


def kind(model: torch.nn.Module) -> str:
    """The classes of a model and of its image tower."""
    return f"{type(model).__name__} with {type(model.visual).__name__}"


def preprocessing(model: torch.nn.Module) -> dict[str, Any]:
    """What open_clip does to an image for this model, in JSON types."""
    return json.loads(json.dumps(library.open_clip().get_model_preprocess_cfg(model)))


def view_for(files: OpenClipFiles, configuration: dict[str, Any]) -> View:
    """The view of a preprocessing; an ExtractError that names the model where there is none."""
    try:
        return view_of(configuration)
    except ExtractError as error:
        raise ExtractError(f"model {files.model}: {error}") from error
