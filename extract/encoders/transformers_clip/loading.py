"""Load the network, image processor and tokenizer of a CLIP with transformers."""

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

from clip_cfr.extract.encoders.load_errors import convert_load_errors
from clip_cfr.extract.encoders.transformers_clip.model_files import ModelFiles
from clip_cfr.extract.errors import ExtractError

# The files are in a local folder by now: do not contact the hub again.
LOCAL_FILES = {"local_files_only": True, "trust_remote_code": False}
# Requested by name, so that loading fails if a tower does not have it.
ATTENTION = "sdpa"
TOKENIZER_FILES = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("sentencepiece.bpe.model",),
)


def load_network(files: ModelFiles) -> PreTrainedModel:
    """Load the model in float32, in evaluation mode and without gradients.

    Raises:
        ExtractError: if the weights are damaged, incomplete or of another shape.
    """
    silence_transformers()
    with convert_load_errors(files.model, "weights", files.folder):
        network, report = AutoModel.from_pretrained(
            files.folder,
            dtype=torch.float32,
            attn_implementation=ATTENTION,
            use_safetensors=files.weights[0].suffix == ".safetensors",
            weights_only=True,
            # transformers initialises missing weights at random and, with this option, those of
            # another shape too. The report lists both, and both are refused below.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **LOCAL_FILES,
        )
    unusable = sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])])
    if unusable:
        raise ExtractError(
            f"model {files.model}: {len(unusable)} weights are missing or have another shape than "
            f"in config.json, the first is {unusable[0]}; expected a complete CLIP"
        )
    return network.eval().requires_grad_(False)


def load_processor(files: ModelFiles) -> Any:
    """Load the image processor that uses Pillow and numpy, to read its configuration.

    Its backend is requested by name: transformers prefers torchvision if that is installed, which
    resizes differently.

    Raises:
        ExtractError: if the image processor is damaged or missing.
    """
    with convert_load_errors(files.model, "image processor", files.folder):
        return AutoImageProcessor.from_pretrained(files.folder, backend="pil", **LOCAL_FILES)


def load_tokenizer(files: ModelFiles, tower: PreTrainedConfig) -> Any:
    """Load the tokenizer and check that it belongs to the text tower.

    Raises:
        ExtractError: if the tokenizer is damaged, missing or belongs to another model.
    """
    # Without these files transformers creates a tokenizer with an empty vocabulary.
    if not any(all((files.folder / name).exists() for name in names) for names in TOKENIZER_FILES):
        raise ExtractError(
            f"model {files.model} has no tokenizer: expected tokenizer.json, or vocab.json and "
            f"merges.txt, in {files.folder}"
        )
    with convert_load_errors(files.model, "tokenizer", files.folder):
        tokenizer = AutoTokenizer.from_pretrained(files.folder, **LOCAL_FILES)
        end_token = tokenizer("")["input_ids"][-1]
    expected_end = pooled_token(tower)
    if len(tokenizer) > tower.vocab_size or expected_end not in (None, end_token):
        pooling = "" if expected_end is None else f" and pools at token {expected_end}"
        raise ExtractError(
            f"model {files.model}: its tokenizer has {len(tokenizer)} tokens and ends with "
            f"{end_token}, its text tower has {tower.vocab_size}{pooling}; replace the tokenizer "
            "by the one that the model was trained with"
        )
    return tokenizer


def pooled_token(tower: PreTrainedConfig) -> int | None:
    """Return the token at which a text tower pools; None if it pools at the first position."""
    if tower.model_type == "clip_text_model" and tower.eos_token_id == 2:
        return tower.vocab_size - 1  # In old configurations, 2 means the token of highest index.
    causal = ("clip_text_model", "metaclip_2_text_model")
    return tower.eos_token_id if tower.model_type in causal else None


def silence_transformers() -> None:
    """Turn off the progress bars of transformers and its log messages below errors."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
