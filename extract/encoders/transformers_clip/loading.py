"""Loads a CLIP's parts through transformers, and says in one line what is wrong with one."""

from typing import Any

import torch
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from clip_cfr.extract.encoders.load_errors import explained
from clip_cfr.extract.encoders.transformers_clip.model_files import ModelFiles
from clip_cfr.extract.errors import ExtractError

# `local_files_only`: the files are there, nothing is asked of the hub a second time.
LOCAL = {"local_files_only": True, "trust_remote_code": False}
TOKENIZERS = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("sentencepiece.bpe.model",),
)


def load_network(files: ModelFiles) -> PreTrainedModel:
    """The model in float32, ready for inference.

    Raises:
        ExtractError: the weights are damaged, or some are missing or of another shape.
    """
    quieten()
    with explained(files.model, "weights", files.folder):
        network, report = AutoModel.from_pretrained(
            files.folder,
            dtype=torch.float32,
            attn_implementation="sdpa",
            use_safetensors=files.weights[0].suffix == ".safetensors",
            weights_only=True,
            # Weights that are missing, or of another shape where this is true, become random
            # numbers; the report names both, and both are refused.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **LOCAL,
        )
    lacking = sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])])
    if lacking:
        raise ExtractError(
            f"model {files.model}: {len(lacking)} weights are missing or of another shape than "
            f"config.json says, the first is {lacking[0]}; expected a whole CLIP"
        )
    return network.eval().requires_grad_(False)


def load_processor(files: ModelFiles) -> Any:
    """The image processor in Pillow and numpy, for what it says of itself.

    It is asked for by name because transformers takes torchvision's where that is installed, which
    resizes otherwise.

    Raises:
        ExtractError: it is damaged or missing.
    """
    with explained(files.model, "image processor", files.folder):
        return AutoImageProcessor.from_pretrained(files.folder, backend="pil", **LOCAL)


def load_tokenizer(files: ModelFiles, tower: PreTrainedConfig) -> Any:
    """The tokenizer.

    Raises:
        ExtractError: it is damaged, missing, or not the one that the tower was trained with.
    """
    # Without these files transformers makes a tokenizer that knows no word.
    if not any(all((files.folder / name).exists() for name in names) for names in TOKENIZERS):
        raise ExtractError(
            f"model {files.model} holds no tokenizer: expected tokenizer.json, or vocab.json and "
            f"merges.txt, in {files.folder}"
        )
    with explained(files.model, "tokenizer", files.folder):
        tokenizer = AutoTokenizer.from_pretrained(files.folder, **LOCAL)
        end = tokenizer("")["input_ids"][-1]
    wanted = end_token(tower)
    if len(tokenizer) > tower.vocab_size or wanted not in (None, end):
        looks = "" if wanted is None else f" and looks for {wanted}"
        raise ExtractError(
            f"model {files.model}: its tokenizer has {len(tokenizer)} tokens and ends with {end}, "
            f"its text tower takes {tower.vocab_size}{looks}; put the tokenizer there that the "
            "model was trained with"
        )
    return tokenizer


def end_token(tower: PreTrainedConfig) -> int | None:
    """The token from whose place a text tower takes its output; None where it is the first one."""
    if tower.model_type == "clip_text_model" and tower.eos_token_id == 2:
        return tower.vocab_size - 1  # In old configurations a 2 stands for the highest token.
    causal = ("clip_text_model", "metaclip_2_text_model")
    return tower.eos_token_id if tower.model_type in causal else None


def quieten() -> None:
    """Turns off transformers' progress bars and its log below errors."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
