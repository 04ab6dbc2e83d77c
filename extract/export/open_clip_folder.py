"""Write a model of open_clip whose last linear map of images is a calibrated head."""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

from clip_cfr.extract.encoders.open_clip.encoder import OpenClipEncoder, transform_configuration
from clip_cfr.extract.encoders.open_clip.model_files import CONFIGURATION_FILE, FOLDER_WEIGHTS
from clip_cfr.extract.encoders.open_clip.projection import Projection, projection_weights
from clip_cfr.extract.export.selected_head import Arrays

# Entries of a transform's configuration that open_clip_config.json stores.
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


def write_open_clip(folder: Path, encoder: OpenClipEncoder, arrays: Arrays) -> None:
    """Write `open_clip_config.json`, the weights, and the tokenizer if it is one of transformers.

    open_clip loads the folder as `local-dir:FOLDER`. The weights are stored in float32.

    Args:
        folder: an existing folder.
        encoder: the model that encoded the features, in float32.
        arrays: a head with `projection` (dim, embedding), `logit_scale` and optionally `bias`.
    """
    bias = torch.from_numpy(arrays["bias"]) if "bias" in arrays else None
    projection = Projection(torch.from_numpy(arrays["projection"]), bias)
    weights = {
        **encoder.model.state_dict(),
        **projection_weights(encoder.model.visual, projection),
        "logit_scale": torch.tensor(math.log(float(arrays["logit_scale"]))),
    }
    # safetensors refuses tensors that share memory.
    copies = {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}
    save_file(copies, folder / FOLDER_WEIGHTS[0])
    transform = transform_configuration(encoder.model)
    configuration = {
        "model_cfg": encoder.files.configuration(),
        "preprocess_cfg": {name: transform[name] for name in PREPROCESSING if name in transform},
    }
    text = json.dumps(configuration, indent=2) + "\n"
    (folder / CONFIGURATION_FILE).write_text(text, encoding="utf-8")
    if hasattr(encoder.tokenizer, "save_pretrained"):
        encoder.tokenizer.save_pretrained(folder)
