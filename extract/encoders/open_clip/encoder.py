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
    choose_device,
    choose_settings,
    disable_tf32,
    limit_threads,
)
from clip_cfr.extract.encoders.image_tower import (
    ImageTower,
    ImageTowerMixin,
    cast_weights,
    find_bad_weight,
)
from clip_cfr.extract.encoders.open_clip.library import import_open_clip, open_clip_versions
from clip_cfr.extract.encoders.open_clip.loading import check_lengths, load_model, load_tokenizer
from clip_cfr.extract.encoders.open_clip.model_files import OpenClipFiles, locate_model
from clip_cfr.extract.encoders.open_clip.preprocessing import parse_transform
from clip_cfr.extract.encoders.open_clip.projection import (
    HeadlessTower,
    Projection,
    detach_projection,
)
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.encoders.versions import encoder_versions
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import Preprocessing

TEXT_BATCH_SIZE = 64


@dataclass(frozen=True)
class OpenClipEncoder(ImageTowerMixin):
    """An `Encoder` of a model whose image tower ends in a linear map; create it with `load`.

    The text tower computes in float32, whatever the image tower computes in.

    Attributes:
        files: the model on disk.
        model: the whole model of open_clip; its image tower returns features.
        projection: the linear map detached from the end of the image tower.
        tower: the image tower with its preprocessing and compute settings.
        tokenizer: converts sentences to token ids (n, context length).
    """

    files: OpenClipFiles
    model: torch.nn.Module
    projection: Projection
    tower: ImageTower
    tokenizer: Any

    @classmethod
    def load(cls, spec: EncoderSpec) -> "OpenClipEncoder":
        """Load the encoder of a model named `open-clip:...`, or of a folder of open_clip.

        The model is moved to its device. This sets TF32 and the number of threads of the process
        (see `disable_tf32` and `limit_threads`).

        Raises:
            ExtractError: the model, device or compute type does not exist, the weights are damaged
                or not finite, the image tower does not end in a linear map, or its preprocessing is
                not supported.
            ModuleNotFoundError: open_clip is not installed.
        """
        device = choose_device(spec.device, spec.dtype)
        disable_tf32()
        files = locate_model(spec.model, spec.revision)
        model = load_model(files).to(device)
        num_parameters = sum(parameter.numel() for parameter in model.parameters())
        limit_threads(num_parameters)
        settings = choose_settings(spec, device, num_parameters)
        preprocessing = make_preprocessing(files, transform_configuration(model))
        projection = require_projection(files, model, preprocessing.side)
        headless = HeadlessTower(cast_weights(model.visual, settings.dtype))
        tower = ImageTower.from_network(headless, preprocessing, settings)
        return cls(files, model, projection, tower, load_tokenizer(files))

    @property
    def dim(self) -> int:
        """Width of the features."""
        return len(self.projection.weight)

    @torch.inference_mode()
    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "n embedding"]:
        """Return the unit-length embeddings of sentences.

        Raises:
            ExtractError: a sentence has more tokens than the text tower takes.
        """
        check_lengths(self.files, self.tokenizer, list(sentences))
        batches = self.tokenizer(list(sentences)).split(TEXT_BATCH_SIZE)
        embeddings = [
            self.model.encode_text(tokens.to(self.device), normalize=True) for tokens in batches
        ]
        return torch.cat(embeddings).float().cpu().numpy()

    def head(self) -> Head:
        """Return the last linear map of the image tower, and the logit scale as a factor.

        A bias of the logits, as in models trained with SigLIP's loss, is left out: it is equal for
        all classes and changes neither their order nor their softmax.
        """
        weight, bias = self.projection.weight.cpu().numpy(), self.projection.bias
        return Head(
            projection=np.ascontiguousarray(weight, dtype=np.float32),
            bias=None if bias is None else bias.cpu().numpy(),
            logit_scale=self.model.logit_scale.exp().item(),
        )

    def find_bad_weight(self) -> str | None:
        """Return the name of a weight that holds NaN or infinity; None if there is none.

        The detached projection is checked first; its bias is not checked.
        """
        if not self.projection.weight.isfinite().all():
            return "the projection of the image tower"
        return find_bad_weight(self.model)

    def provenance(self) -> dict[str, Any]:
        """Return, in JSON types, all settings that determine the bits of the features.

        They are model, hub commit, digest of the weights (a second per gigabyte), architecture,
        image transform, compute settings, and versions of the libraries.
        """
        return {
            "model": self.files.model,
            "revision": self.files.commit,
            "weights_sha256": self.files.weights_sha256(),
            "architecture": {
                "class": describe_classes(self.model),
                "configuration": self.files.configuration(),
            },
            "image_processor": {
                "class": "open_clip.image_transform_v2",
                "configuration": transform_configuration(self.model),
            },
            **self.tower.settings.provenance(),
            "versions": encoder_versions("transformers") | open_clip_versions(),
        }


def require_projection(files: OpenClipFiles, model: torch.nn.Module, side: int) -> Projection:
    """Detach the last linear map of the image tower as `detach_projection` does, and return it.

    Raises:
        ExtractError: the tower does not end in a linear map, or its embeddings are not finite.
    """
    try:
        projection = detach_projection(model, side)
    except ExtractError as error:
        raise ExtractError(f"model {files.model}: {error}") from error
    if projection is None:
        raise ExtractError(
            f"model {files.model}: its image tower, a {describe_classes(model)}, does not end in "
            "one linear map, as RN50 and ViT do; embeddings computed elsewhere can be imported "
            "with the command import"
        )
    return projection


def describe_classes(model: torch.nn.Module) -> str:
    """Return the class names of a model and its image tower, as `CLIP with VisionTransformer`."""
    return f"{type(model).__name__} with {type(model.visual).__name__}"


def transform_configuration(model: torch.nn.Module) -> dict[str, Any]:
    """Return the configuration of the model's image transform, in JSON types."""
    return json.loads(json.dumps(import_open_clip().get_model_preprocess_cfg(model)))


def make_preprocessing(files: OpenClipFiles, configuration: dict[str, Any]) -> Preprocessing:
    """Return the preprocessing of an image transform.

    Args:
        files: the model, for messages.
        configuration: configuration of its transform, as `transform_configuration` returns it.

    Raises:
        ExtractError: the transform has an unsupported step; the message names the model.
    """
    try:
        return parse_transform(configuration)
    except ExtractError as error:
        raise ExtractError(f"model {files.model}: {error}") from error
