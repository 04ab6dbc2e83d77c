"""Write a CLIP of transformers whose projection of images is a calibrated head."""

import math
from pathlib import Path

import torch

from clip_cfr.extract.encoders.transformers_clip.encoder import ClipEncoder
from clip_cfr.extract.encoders.transformers_clip.image_processor import load_processor
from clip_cfr.extract.export.selected_head import Arrays


def write_transformers(folder: Path, encoder: ClipEncoder, arrays: Arrays) -> None:
    """Write the model, its image processor and its tokenizer with `save_pretrained`.

    The model is changed in place: its `visual_projection` and `logit_scale` become those of the
    head. The weights are stored in float32.

    Args:
        folder: an existing folder.
        encoder: the model that encoded the features, in float32.
        arrays: a head with `projection` (dim, embedding) and `logit_scale`, without `bias`.
    """
    network = encoder.network
    with torch.no_grad():
        network.visual_projection.weight.copy_(torch.from_numpy(arrays["projection"].T.copy()))
        network.logit_scale.fill_(math.log(float(arrays["logit_scale"])))
    network.save_pretrained(folder)
    load_processor(encoder.files, network.config).save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
