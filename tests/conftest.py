"""Fixtures that several packages' tests use."""

from pathlib import Path

import pytest


def save_small_clip(folder: Path) -> Path:
    """A CLIP of random weights, 32 pixels and 24 features, saved as transformers saves one."""
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
    for part in (model, processor, tokenizer):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small CLIP; tests that change it work on a copy."""
    return save_small_clip(tmp_path_factory.mktemp("small_clip"))
