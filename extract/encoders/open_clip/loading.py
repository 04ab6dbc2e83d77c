"""Loads a model of open_clip with its tokenizer, and says in one line what is wrong with one."""

from typing import Any

import torch

from clip_cfr.extract.encoders.load_errors import explained
from clip_cfr.extract.encoders.open_clip.library import open_clip, quiet
from clip_cfr.extract.encoders.open_clip.model_files import OpenClipFiles
from clip_cfr.extract.errors import ExtractError


def load_model(files: OpenClipFiles) -> torch.nn.Module:
    """The model in float32, ready for inference.

    Raises:
        ExtractError: the configuration or the weights are damaged, or do not belong together.
    """
    library = open_clip()
    with quiet(), explained(files.model, "configuration", files.weights.parent):
        model = library.create_model(
            files.name,
            # Its own loading names no file and falls back to fetching parts of the model.
            load_weights=False,
            pretrained_text=False,
            force_quick_gelu=files.quick_gelu,
            force_preprocess_cfg=files.preprocessing,
        )
    with quiet(), explained(files.model, "weights", files.weights.parent):
        # It repeats a load that fails by a TypeError with torch's own default, which is safe as of
        # the 2.6 that the extra asks for.
        library.load_checkpoint(model, files.weights, strict=True, weights_only=True)
    return model.eval().requires_grad_(False)


def load_tokenizer(files: OpenClipFiles) -> Any:
    """The tokenizer: sentences to token numbers (n, context length), filled up and cut off.

    Raises:
        ExtractError: it is damaged or missing.
    """
    with quiet(), explained(files.model, "tokenizer", files.weights.parent):
        return open_clip().get_tokenizer(files.name)


def check_lengths(files: OpenClipFiles, tokenizer: Any, sentences: list[str]) -> None:
    """Raises ExtractError where a sentence is longer than the text tower takes.

    The tokenizer would cut it off without a word: it is asked for one token more, which is then no
    filling.
    """
    limit = tokenizer.context_length
    *beyond, filling = tokenizer([*sentences, ""], context_length=limit + 1)[:, -1]
    for sentence, token in zip(sentences, beyond, strict=True):
        if token != filling:
            raise ExtractError(
                f"the prompt {sentence!r} has more than {limit} tokens, which is what "
                f"{files.model} takes: shorten it"
            )
