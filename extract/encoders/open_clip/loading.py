"""Load the network and the tokenizer of an open_clip model."""

from typing import Any

import torch

from clip_cfr.extract.encoders.load_errors import convert_load_errors
from clip_cfr.extract.encoders.open_clip.library import import_open_clip, silence_open_clip
from clip_cfr.extract.encoders.open_clip.model_files import OpenClipFiles
from clip_cfr.extract.errors import ExtractError


def load_model(files: OpenClipFiles) -> torch.nn.Module:
    """Load the model in float32, in evaluation mode and without gradients.

    Raises:
        ExtractError: if the configuration or the weights are damaged or do not match.
    """
    open_clip, folder = import_open_clip(), files.weights.parent
    with silence_open_clip(), convert_load_errors(files.model, "configuration", folder):
        model = open_clip.create_model(
            files.name,
            # With True, open_clip chooses the file itself and downloads parts of the model.
            load_weights=False,
            pretrained_text=False,
            force_quick_gelu=files.quick_gelu,
            force_preprocess_cfg=files.preprocessing,
        )
    with silence_open_clip(), convert_load_errors(files.model, "weights", folder):
        # After a TypeError, open_clip tries again with torch's own default of weights_only. That
        # is True as of torch 2.6, which the extra requires.
        open_clip.load_checkpoint(model, files.weights, strict=True, weights_only=True)
    return model.eval().requires_grad_(False)


def load_tokenizer(files: OpenClipFiles) -> Any:
    """Load the tokenizer: sentences to token ids (n, context length), padded and truncated.

    Raises:
        ExtractError: if the tokenizer is damaged or missing.
    """
    with silence_open_clip(), convert_load_errors(files.model, "tokenizer", files.weights.parent):
        return import_open_clip().get_tokenizer(files.name)


def check_lengths(files: OpenClipFiles, tokenizer: Any, sentences: list[str]) -> None:
    """Raise ExtractError if a sentence has more tokens than the text tower takes.

    The tokenizer truncates silently. Here it is given one token more than the tower takes: a
    sentence is too long if its last token is not padding.
    """
    limit = tokenizer.context_length
    *last_tokens, padding = tokenizer([*sentences, ""], context_length=limit + 1)[:, -1]
    for sentence, token in zip(sentences, last_tokens, strict=True):
        if token != padding:
            raise ExtractError(
                f"the prompt {sentence!r} has more than {limit} tokens, the maximum of "
                f"{files.model}: shorten it"
            )
