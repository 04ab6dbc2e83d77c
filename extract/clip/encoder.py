"""A CLIP with its image processor and tokenizer: images and sentences in, numpy arrays out."""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL
import torch
import transformers
from jaxtyping import Float32
from PIL import Image

from cache.schema import Head
from extract.clip.devices import chosen_device, device_name, limit_threads
from extract.clip.model_files import ModelFiles, locate
from extract.clip.pretrained import load_network, load_processor, load_tokenizer
from extract.errors import ExtractError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TEXT_BATCH = 64


@dataclass(frozen=True)
class ClipEncoder:
    """The two towers of a CLIP; `load` makes one.

    Parameters are float32 and stay so. `dtype` is what the image tower computes in, by autocast;
    sentences are few, and embedded in float32.
    """

    files: ModelFiles
    network: transformers.CLIPModel
    processor: Any
    tokenizer: Any
    device: torch.device
    dtype: str

    @classmethod
    def load(
        cls, model: str, revision: str | None = None, device: str = "auto", dtype: str = "float32"
    ) -> "ClipEncoder":
        """An encoder from a hub id or a local folder, on `auto`, `cpu` or `cuda`.

        Raises:
            ExtractError: no such model, device or type; damaged weights; no CLIP.
        """
        place = chosen_device(device, dtype)
        files = locate(model, revision)
        network = load_network(files)
        limit_threads(network.num_parameters())
        processor = load_processor(files, network.config.vision_config)
        tokenizer = load_tokenizer(files, network.config.text_config)
        return cls(files, network.to(place), processor, tokenizer, place, dtype)

    @property
    def dim(self) -> int:
        """The width of the features."""
        return self.network.visual_projection.in_features

    def blank(self) -> Image.Image:
        """A black image of the size that the image tower takes."""
        side = self.network.config.vision_config.image_size
        return Image.new("RGB", (side, side))

    def preprocess(self, image: Image.Image) -> Float32[np.ndarray, "3 side side"]:
        """The pixels of an RGB image as the image tower takes them; safe to call in threads."""
        return self.processor(images=image, return_tensors="np")["pixel_values"][0]

    @torch.inference_mode()
    def encode(
        self, pixels: Float32[np.ndarray, "batch 3 side side"]
    ) -> Float32[np.ndarray, "batch dim"]:
        """Pooled image features, before the projection and not normalised."""
        on_device = torch.from_numpy(pixels).to(self.device)
        # Autocast knows no float32: then it stays off.
        dtype = None if self.dtype == "float32" else DTYPES[self.dtype]
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            pooled = self.network.vision_model(pixel_values=on_device).pooler_output
        return pooled.float().cpu().numpy()

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
        pooled = self.network.text_model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output
        embeddings = self.network.text_projection(pooled)
        return torch.nn.functional.normalize(embeddings, dim=-1).cpu().numpy()

    def check_lengths(self, sentences: list[str]) -> None:
        """Raises ExtractError where a sentence is longer than the text tower takes."""
        limit = self.network.config.text_config.max_position_embeddings
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
            "image_processor": {
                "class": type(self.processor).__name__,
                "configuration": json.loads(self.processor.to_json_string()),
            },
            "compute_dtype": self.dtype,
            "device": device_name(self.device),
            "versions": versions(),
        }


def architecture(network: transformers.CLIPModel) -> dict[str, Any]:
    """The class of the model and the shape of its image tower."""
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
    return {"class": type(network).__name__} | {name: getattr(config, name) for name in names}


def versions() -> dict[str, str]:
    """The versions of the libraries that a feature passes through."""
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
