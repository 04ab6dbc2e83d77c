"""Write an image tower with a head as an ONNX model, and compare it with torch."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.export.selected_head import Arrays, SelectedHead

ONNX_FILE = "model.onnx"
PREPROCESSING_FILE = "preprocessor_config.json"
# Largest difference of probabilities; float32 rounds at 1e-7, times the logit scale.
TOLERANCE = 1e-3


class Classifier(nn.Module):
    """An image tower with a head: pixels (n, 3, side, side) to logits and probabilities.

    Args:
        tower: returns features (n, dim).
        arrays: the arrays of a head, as `apply_head` takes them.
    """

    def __init__(self, tower: nn.Module, arrays: Arrays):
        super().__init__()
        self.tower = tower
        self.names = frozenset(arrays)
        for name, array in arrays.items():
            self.register_buffer(name, torch.tensor(array, dtype=torch.float32))

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (log-odds for a head of DFR) and probabilities, both (n, classes)."""
        features = self.tower(pixel_values)
        if "linear_weight" in self.names:
            scores = features @ self.linear_weight + self.linear_bias
            odds = torch.sigmoid(scores)
            return scores, odds / odds.sum(dim=1, keepdim=True)
        logits = self.logits(features)
        return logits, torch.softmax(logits, dim=1)

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits of features (n, dim)."""
        inputs = self.embed(features) if "projection" in self.names else features
        if "logits_weight" in self.names:
            return inputs @ self.logits_weight + self.logits_bias
        if "adapter_down" in self.names:
            hidden = torch.relu(inputs @ self.adapter_down)
            inputs = normalize(inputs + hidden @ self.adapter_up, dim=1)
        return self.logit_scale * (inputs @ self.class_embeddings.T)

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """Return the unit-length embeddings (n, embedding) of features."""
        projected = features @ self.projection
        return normalize(projected + self.bias if "bias" in self.names else projected, dim=1)


def write_onnx(folder: Path, encoder: Encoder, head: SelectedHead) -> None:
    """Write `model.onnx` and the configuration of the image processor.

    The input is `pixel_values` (n, 3, side, side) in float32, preprocessed; the outputs are
    `logits` and `probabilities`. Both files together hold all that classifies an image.

    Raises:
        ExtractError: the image tower cannot be exported, or ONNX Runtime computes other
            probabilities than torch.
    """
    model = Classifier(encoder.tower.network, head.arrays).eval()
    side = encoder.preprocessing.side
    pixels = torch.rand((2, 3, side, side), generator=torch.Generator().manual_seed(0))
    path = folder / ONNX_FILE
    export_model(model, pixels, path, head.model["model"])
    check_equal(model, pixels, path, head.model["model"])
    text = json.dumps(head.model["image_processor"]["configuration"], indent=2) + "\n"
    (folder / PREPROCESSING_FILE).write_text(text, encoding="utf-8")


def export_model(model: nn.Module, pixels: torch.Tensor, path: Path, name: str) -> None:
    """Export a model for batches of any size; raise ExtractError if it has an unknown operator."""
    try:
        with silence_exporter():
            torch.onnx.export(
                model,
                (pixels,),
                path,
                input_names=["pixel_values"],
                output_names=["logits", "probabilities"],
                dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch")}},
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        raise ExtractError(
            f"model {name}: its image tower cannot be written as ONNX ({first_line}); use "
            "--format safetensors for the head alone"
        ) from error


@contextmanager
def silence_exporter() -> Iterator[None]:
    """Suppress Python warnings, and log messages up to warnings, in the block.

    torch warns of each operator of a torchvision that is not installed.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def check_equal(model: nn.Module, pixels: torch.Tensor, path: Path, name: str) -> None:
    """Raise ExtractError if ONNX Runtime computes other probabilities than torch."""
    import onnxruntime

    with torch.inference_mode():
        expected = model(pixels)[1].numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"pixel_values": pixels.numpy()})
    difference = float(np.abs(found - expected).max())
    if not difference < TOLERANCE:
        raise ExtractError(
            f"model {name}: ONNX Runtime computes probabilities that differ from those of torch by "
            f"{difference:.1g}, expected less than {TOLERANCE:g}; use --format safetensors"
        )
