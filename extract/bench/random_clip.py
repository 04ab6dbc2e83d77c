"""CLIP models of real size with random weights, which are as fast as trained ones."""

from pathlib import Path

import torch
from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessorPil, CLIPModel

from clip_cfr.extract.bench.sizes import Tower
from clip_cfr.extract.encoders.spec import TINY_CLIP
from clip_cfr.extract.encoders.transformers_clip.loading import silence_transformers


def save_random_clip(folder: Path, tower: Tower) -> Path:
    """Save a CLIP with this image tower in a folder, as transformers does; return the folder.

    The weights are random with a fixed seed. The text tower and the tokenizer are those of the tiny
    CLIP: the benchmark does not time texts.
    """
    silence_transformers()
    text = CLIPConfig.from_pretrained(TINY_CLIP, local_files_only=True).text_config
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=tower, projection_dim=tower["projection_dim"]
    )
    side = tower["image_size"]
    crop = {"height": side, "width": side}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIPModel(config)
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=crop)
    tokenizer = AutoTokenizer.from_pretrained(TINY_CLIP, local_files_only=True)
    for part in (model, processor, tokenizer):
        part.save_pretrained(folder)
    return folder
