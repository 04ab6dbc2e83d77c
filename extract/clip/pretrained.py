"""Loads a CLIP's parts through transformers, and says in one line what is wrong with one."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    CLIPModel,
    CLIPTextConfig,
)
from transformers.utils import logging

from extract.clip.model_files import ModelFiles
from extract.errors import ExtractError

# `local_files_only`: the files are there, nothing is asked of the hub a second time.
LOCAL = {"local_files_only": True, "trust_remote_code": False}
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))


def load_network(files: ModelFiles) -> CLIPModel:
    """The model in float32, ready for inference.

    Raises:
        ExtractError: the weights are damaged, or some are missing or of another shape.
    """
    quieten()
    with explained(files, "weights"):
        network, report = CLIPModel.from_pretrained(
            files.folder,
            dtype=torch.float32,
            attn_implementation="sdpa",
            use_safetensors=files.weights[0].suffix == ".safetensors",
            weights_only=True,
            # Weights that are missing, or of another shape where this is true, become random
            # numbers; the report names both, and both are refused.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            local_files_only=True,
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
    with explained(files, "image processor"):
        return AutoImageProcessor.from_pretrained(files.folder, backend="pil", **LOCAL)


def load_tokenizer(files: ModelFiles, tower: CLIPTextConfig) -> Any:
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
    with explained(files, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(files.folder, **LOCAL)
        end = tokenizer("")["input_ids"][-1]
    # The tower takes its output from where the end token stands; a 2, in old configurations,
    # makes it take the place of the highest token.
    wanted = tower.vocab_size - 1 if tower.eos_token_id == 2 else tower.eos_token_id
    if len(tokenizer) > tower.vocab_size or end != wanted:
        raise ExtractError(
            f"model {files.model}: its tokenizer has {len(tokenizer)} tokens and ends with {end}, "
            f"its text tower takes {tower.vocab_size} and looks for {wanted}; put the tokenizer "
            "there that the model was trained with"
        )
    return tokenizer


def quieten() -> None:
    """Turns off transformers' progress bars and its log below errors."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()


@contextlib.contextmanager
def explained(files: ModelFiles, part: str) -> Iterator[None]:
    """Turns what the libraries raise over a damaged file into an ExtractError."""
    try:
        yield
    # transformers, torch, safetensors and tokenizers each have their own, down to bare Exception.
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise ExtractError(
            f"model {files.model}: the {part} in {files.folder} cannot be loaded "
            f"({type(error).__name__}: {first_line}); fetch the model again"
        ) from error
