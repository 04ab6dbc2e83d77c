"""A CLIP of transformers: pixels and sentences in, numpy arrays out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
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
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.encoders.transformers_clip.image_processor import load_processor
from clip_cfr.extract.encoders.transformers_clip.loading import (
    ATTENTION,
    load_network,
    load_tokenizer,
)
from clip_cfr.extract.encoders.transformers_clip.model_files import ModelFiles, locate_model
from clip_cfr.extract.encoders.transformers_clip.preprocessing import (
    describe_processor,
    make_preprocessing,
)
from clip_cfr.extract.encoders.versions import encoder_versions
from clip_cfr.extract.errors import ExtractError

TEXT_BATCH_SIZE = 64


@dataclass(frozen=True)
class ClipEncoder(ImageTowerMixin):
    """An `Encoder` with the two towers of a CLIP; create it with `load`.

    The text tower computes in float32, whatever the image tower computes in.

    Attributes:
        files: the model on disk.
        network: the whole model in float32, but linear and convolution layers of the image tower in
            its compute type.
        tower: the image tower, which returns the pooled output before the projection.
        image_processor: class and configuration of the image processor that the preprocessing
            reproduces.
        tokenizer: the tokenizer of transformers.
    """

    files: ModelFiles
    network: transformers.PreTrainedModel
    tower: ImageTower
    image_processor: dict[str, Any]
    tokenizer: Any

    @classmethod
    def load(cls, spec: EncoderSpec) -> "ClipEncoder":
        """Load an encoder from a hub id, a local folder or a weights file.

        The model is moved to its device. This sets TF32 and the number of threads of the process
        (see `disable_tf32` and `limit_threads`).

        Raises:
            ExtractError: the model, device or compute type does not exist, the weights are damaged,
                the model is not a CLIP, or its preprocessing is not supported.
        """
        device = choose_device(spec.device, spec.dtype)
        disable_tf32()
        files = locate_model(spec.model, spec.revision)
        network = load_network(files).to(device)
        limit_threads(network.num_parameters())
        settings = choose_settings(spec, device, network.num_parameters())
        processor = load_processor(files, network.config)
        preprocessing = make_preprocessing(files, processor, network.config.vision_config)
        tokenizer = load_tokenizer(files, network.config.text_config)
        pooled = PooledImageTower(cast_weights(network.vision_model, settings.dtype))
        tower = ImageTower.from_network(pooled, preprocessing, settings)
        return cls(files, network, tower, describe_processor(processor), tokenizer)

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.network.visual_projection.in_features

    @torch.inference_mode()
    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "n embedding"]:
        """Return the unit-length embeddings of sentences.

        Raises:
            ExtractError: a sentence has more tokens than the text tower takes.
        """
        starts = range(0, len(sentences), TEXT_BATCH_SIZE)
        batches = [list(sentences[start : start + TEXT_BATCH_SIZE]) for start in starts]
        return np.concatenate([self.embed_text_batch(batch) for batch in batches])

    def embed_text_batch(self, sentences: list[str]) -> Float32[np.ndarray, "n embedding"]:
        """Return the unit-length embeddings of sentences, computed as one batch of the text tower.

        Raises:
            ExtractError: a sentence has more tokens than the text tower takes.
        """
        self.check_lengths(sentences)
        tokens = self.tokenizer(sentences, padding=True, return_tensors="pt").to(self.device)
        embeddings = self.network.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output
        return torch.nn.functional.normalize(embeddings, dim=-1).cpu().numpy()

    def check_lengths(self, sentences: list[str]) -> None:
        """Raise ExtractError if a sentence has more tokens than the text tower takes."""
        limit = max_text_tokens(self.network.config.text_config)
        for sentence, ids in zip(sentences, self.tokenizer(sentences)["input_ids"], strict=True):
            if len(ids) > limit:
                raise ExtractError(
                    f"the prompt {sentence!r} has {len(ids)} tokens; {self.files.model} takes "
                    f"{limit}: shorten it"
                )

    def head(self) -> Head:
        """Return the projection (dim, embedding) without bias, and the logit scale as a factor."""
        weight = self.network.visual_projection.weight.cpu().numpy()
        scale = self.network.logit_scale.exp().item()
        return Head(projection=np.ascontiguousarray(weight.T), bias=None, logit_scale=scale)

    def find_bad_weight(self) -> str | None:
        """Return the name of the first weight that holds NaN or infinity; None if there is none."""
        return find_bad_weight(self.network)

    def provenance(self) -> dict[str, Any]:
        """Return, in JSON types, all settings that determine the bits of the features.

        They are model, hub commit, digest of the weights (a second per gigabyte), architecture,
        image processor, compute settings, and versions of the libraries.
        """
        return {
            "model": self.files.model,
            "revision": self.files.commit,
            "weights_sha256": self.files.weights_sha256(),
            "architecture": describe_architecture(self.network),
            "image_processor": self.image_processor,
            **self.tower.settings.provenance(),
            "versions": encoder_versions("transformers"),
        }


def max_text_tokens(config: transformers.PreTrainedConfig) -> int:
    """Return the largest number of tokens of a sentence, with start and end, in a text tower."""
    # RoBERTa, AltCLIP's text tower, starts counting positions after the index of the padding token.
    unused = config.pad_token_id + 1 if config.model_type == "altclip_text_model" else 0
    return config.max_position_embeddings - unused


class PooledImageTower(torch.nn.Module):
    """An image tower that returns its pooled output (batch, dim), one module for torch.compile."""

    def __init__(self, tower: torch.nn.Module):
        super().__init__()
        self.tower = tower

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.tower(pixel_values=images).pooler_output


def describe_architecture(network: transformers.PreTrainedModel) -> dict[str, Any]:
    """Return the class of the model, its attention implementation, and settings of the image tower.

    The settings are sizes, numbers of layers and heads, activation and epsilon, by their names in
    the configuration.
    """
    config = network.config.vision_config
    names = (
        "image_size",
        "patch_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "hidden_act",
        "layer_norm_eps",
    )
    shape = {name: getattr(config, name) for name in names}
    return {"class": type(network).__name__, "attention": ATTENTION} | shape
