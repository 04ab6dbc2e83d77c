"""A small CLIP and a small data set, written in the layouts of real ones."""

from pathlib import Path

import numpy as np
from PIL import Image

SPLIT_CYCLE = ("train", "train", "train", "val", "test")


def save_small_clip(folder: Path) -> Path:
    """Save a transformers CLIP with random weights, 32-pixel images and 24 features.

    Return `folder`.
    """
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{x}</w>" for x in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[])
    tower = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    config = CLIPConfig(
        projection_dim=16,
        vision_config={**tower, "hidden_size": 24, "image_size": 32, "patch_size": 8},
        text_config={
            **tower,
            "hidden_size": 20,
            "vocab_size": len(words),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIPModel(config)
    side = config.vision_config.image_size
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    for each in (model, processor, tokenizer):
        each.save_pretrained(folder)
    return folder


def save_photos(root: Path, num_photos: int) -> Path:
    """Write noise images and a metadata.csv with two classes, two attributes and three splits.

    Return `root`.
    """
    rng = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    lines = ["filename,label,attribute,split"]
    for number in range(num_photos):
        pixels = rng.integers(0, 256, (36, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number:04}.png")
        label, attribute = ("cat", "dog")[number % 2], ("in", "out")[number // 2 % 2]
        split = SPLIT_CYCLE[number // 4 % 5]
        lines.append(f"{number:04}.png,{label},{attribute},{split}")
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root
