"""A CLIP that transformers loads: pixels and sentences in, numpy arrays out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
from jaxtyping import Float32

from clip_cfr.cache.format.schema import Head
from clip_cfr.extract.encoders.devices import (
    chosen_device,
    chosen_dtype,
    device_name,
    limit_threads,
)
from clip_cfr.extract.encoders.image_tower import ImageTower, ThroughTower, lowered
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.encoders.transformers_clip.loading import (
    load_network,
    load_processor,
    load_tokenizer,
)
from clip_cfr.extract.encoders.transformers_clip.model_files import ModelFiles, locate
from clip_cfr.extract.encoders.transformers_clip.preprocessing import described, view_for
from clip_cfr.extract.encoders.versions import versions
from clip_cfr.extract.errors import ExtractError

TEXT_BATCH = 64


@dataclass(frozen=True)
class ClipEncoder(ThroughTower):
    """The two towers of a CLIP, an `Encoder`; `load` makes one.

    Sentences are few, and embedded in float32 whatever the image tower computes in.

    Attributes:
        image_processor: class and configuration of the one whose pixels the view gives.
    """

    files: ModelFiles
    network: transformers.PreTrainedModel
    tower: ImageTower
    image_processor: dict[str, Any]
    tokenizer: Any

    @classmethod
    def load(cls, spec: EncoderSpec) -> "ClipEncoder":
        """An encoder from a hub id or a local folder.

        Raises:
            ExtractError: no such model, device or type; damaged weights; no CLIP; images are
                prepared in a way that is not reproduced.
        """
        device = chosen_device(spec.device, spec.dtype)
        files = locate(spec.model, spec.revision)
        network = load_network(files).to(device)
        limit_threads(network.num_parameters())
        dtype = chosen_dtype(spec.dtype, device, network.num_parameters())
        processor = load_processor(files)
        view = view_for(files, processor, network.config.vision_config)
        tokenizer = load_tokenizer(files, network.config.text_config)
        pooled = PooledFeatures(lowered(network.vision_model, dtype))
        tower = ImageTower.make(
            pooled, view, device, dtype, bool(spec.compile), bool(spec.channels_last)
        )
        return cls(files, network, tower, described(processor), tokenizer)

    @property
    def dim(self) -> int:
        """The width of the features."""
        return self.network.visual_projection.in_features

    @torch.inference_mode()
    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "n embedding"]:
        """Unit-length embeddings of sentences.

        Raises:
            ExtractError: a sentence is longer than the text tower takes.
        """
        batches = [sentences[i : i + TEXT_BATCH] for i in range(0, len(sentences), TEXT_BATCH)]
        return np.concatenate([self.embed_batch(list(batch)) for batch in batches])

    def embed_batch(self, sentences: list[str]) -> Float32[np.ndarray, "n embedding"]:
        """Unit-length embeddings of sentences that go through the text tower together."""
        self.check_lengths(sentences)
        tokens = self.tokenizer(sentences, padding=True, return_tensors="pt").to(self.device)
        embeddings = self.network.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output
        return torch.nn.functional.normalize(embeddings, dim=-1).cpu().numpy()

    def check_lengths(self, sentences: list[str]) -> None:
        """Raises ExtractError where a sentence is longer than the text tower takes."""
        limit = longest_text(self.network.config.text_config)
        for sentence, ids in zip(sentences, self.tokenizer(sentences)["input_ids"], strict=True):
            if len(ids) > limit:
                raise ExtractError(
                    f"the prompt {sentence!r} has {len(ids)} tokens; {self.files.model} takes "
                    f"{limit}: shorten it"
                )

    def head(self) -> Head:
        """The projection that turns image features into embeddings, and the logit scale."""
        weight = self.network.visual_projection.weight.cpu().numpy()
        scale = self.network.logit_scale.exp().item()
        return Head(projection=np.ascontiguousarray(weight.T), bias=None, logit_scale=scale)

    def provenance(self) -> dict[str, Any]:
        """All that decides the bits of the features, in JSON types."""
        return {
            "model": self.files.model,
            "revision": self.files.commit,
            "weights_sha256": self.files.weights_sha256(),
            "architecture": architecture(self.network),
            "image_processor": self.image_processor,
            **self.tower.provenance(),
            "device": device_name(self.device),
            "versions": versions("transformers"),
        }


def longest_text(config: transformers.PreTrainedConfig) -> int:
    """How many tokens a text tower takes."""
    # RoBERTa's, which AltCLIP has, counts places from behind the number of the filling.
    skipped = config.pad_token_id + 1 if config.model_type == "altclip_text_model" else 0
    return config.max_position_embeddings - skipped


class PooledFeatures(torch.nn.Module):
    """What an image tower pools, as a module of its own that torch.compile can take whole."""

    def __init__(self, tower: torch.nn.Module):
        super().__init__()
        self.tower = tower

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.tower(pixel_values=images).pooler_output


def architecture(network: transformers.PreTrainedModel) -> dict[str, Any]:
    """The class of the model, the shape of its image tower, and how that attends."""
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
    return {"class": type(network).__name__, "attention": config._attn_implementation} | shape
