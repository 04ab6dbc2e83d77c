"""Load the network and the tokenizer of an open_clip model."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from clip_cfr.cache.wording import agree, count_noun
from clip_cfr.extract.encoders.checkpoints.keys import OPEN_CLIP_ANCHORS, strip_prefix
from clip_cfr.extract.encoders.checkpoints.read import find_state, read_content
from clip_cfr.extract.encoders.load_errors import convert_load_errors
from clip_cfr.extract.encoders.open_clip.library import import_open_clip, silence_open_clip
from clip_cfr.extract.encoders.open_clip.model_files import OpenClipFiles
from clip_cfr.extract.errors import ExtractError


def load_model(files: OpenClipFiles) -> torch.nn.Module:
    """Load the model in float32, in evaluation mode and without gradients, on the CPU.

    Raises:
        ExtractError: the configuration or the weights are damaged or do not match.
    """
    open_clip, folder = import_open_clip(), files.weights.parent
    remedy = "correct open_clip_config.json"
    with silence_open_clip(), convert_load_errors(files.model, "configuration", folder, remedy):
        model = open_clip.create_model(
            files.name,
            # With True, open_clip chooses the file itself and downloads parts of the model.
            load_weights=False,
            pretrained_text=False,
            force_quick_gelu=files.quick_gelu,
            force_preprocess_cfg=files.preprocessing,
        )
    load_weights(files, model)
    return model.eval().requires_grad_(False)


def load_weights(files: OpenClipFiles, model: torch.nn.Module) -> None:
    """Load the weights into the model in place; ignore further ones, such as a classifier's.

    Raises:
        ExtractError: they are damaged, incomplete or of another architecture.
    """
    path = files.weights
    content = read_content(files.model, path)
    tensors = strip_prefix(files.model, find_state(files.model, path, content), OPEN_CLIP_ANCHORS)
    remedy = "name the architecture that the weights were trained with"
    with ExitStack() as stack:
        if not names_in_open_clip(content).issuperset(tensors):
            # open_clip reads files only, and finds weights in few layouts of them.
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            path = Path(folder) / "weights.pt"
            torch.save(tensors, path)
        stack.enter_context(silence_open_clip())
        stack.enter_context(convert_load_errors(files.model, "weights", files.weights, remedy))
        load_checkpoint = import_open_clip().load_checkpoint
        report = load_checkpoint(model, path, strict=False, weights_only=True)
    if report.missing_keys:
        missing = report.missing_keys
        raise ExtractError(
            f"model {files.model}: {count_noun(len(missing), 'weight')} "
            f"{agree(len(missing), 'is', 'are')} missing in {files.weights}, the first is "
            f"{missing[0]}; {remedy}"
        )


def names_in_open_clip(content: dict[str, Any]) -> set[str]:
    """Return the names under which open_clip's own loader would find the weights of a file.

    It looks in `state_dict` or at the top, and removes `module.` if the first name has it.
    """
    state = content.get("state_dict", content)
    prefix = "module." if next(iter(state), "").startswith("module.") else ""
    return {name.removeprefix(prefix) for name in state}


def load_tokenizer(files: OpenClipFiles) -> Any:
    """Load the tokenizer: sentences to token ids (n, context length), padded and truncated.

    Raises:
        ExtractError: the tokenizer is damaged or missing.
    """
    remedy = "copy the tokenizer of the model that it was trained from"
    with (
        silence_open_clip(),
        convert_load_errors(files.model, "tokenizer", files.weights.parent, remedy),
    ):
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
