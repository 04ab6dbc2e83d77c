"""CLIPs of true size and random weights: as fast as trained ones."""

from pathlib import Path

import torch
from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessorPil, CLIPModel

from clip_cfr.extract.bench.sizes import Tower
from clip_cfr.extract.encoders.transformers_clip.loading import quieten

TINY_CLIP = Path(__file__).parents[1] / "tiny_clip"


def save_random_clip(folder: Path, tower: Tower) -> Path:
    """The folder, with a CLIP of this image tower in it as transformers saves one.

    Its text tower is that of the tiny CLIP: no sentence is in what is timed.
    """
    quieten()
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
