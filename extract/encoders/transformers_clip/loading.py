"""Load the network and the tokenizer of a CLIP with transformers."""

import re
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from clip_cfr.cache.wording import agree, count_noun
from clip_cfr.extract.encoders.checkpoints.keys import (
    OPEN_CLIP_ANCHORS,
    TRANSFORMERS_ANCHORS,
    has_anchor,
    has_lora,
    strip_prefix,
)
from clip_cfr.extract.encoders.checkpoints.read import Tensors, read_tensors
from clip_cfr.extract.encoders.load_errors import convert_load_errors
from clip_cfr.extract.encoders.transformers_clip.folders import (
    LINEAR_HEADS,
    find_folder_of,
    read_configuration,
)
from clip_cfr.extract.encoders.transformers_clip.foreign import (
    explain_lora,
    explain_tower,
)
from clip_cfr.extract.encoders.transformers_clip.model_files import (
    BASE,
    LOCAL_FILES,
    ModelFiles,
    suggest_copying_processor,
)
from clip_cfr.extract.errors import ExtractError

# Requested by name, so that loading fails if a tower does not have it.
ATTENTION = "sdpa"
TOKEN_EMBEDDING = "text_model.embeddings.token_embedding.weight"
LAYER = re.compile(r"(vision|text)_model\..*\blayers?\.\d+\.")
TOKENIZER_FILES = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("sentencepiece.bpe.model",),
)
# In old configurations, this stands for the highest token of the sentence.
OLD_END_TOKEN = 2


def load_network(files: ModelFiles) -> PreTrainedModel:
    """Load the model in float32, in evaluation mode and without gradients, on the CPU.

    Raises:
        ExtractError: configuration or weights are damaged, or do not have the same layers and
            shapes.
    """
    silence_transformers()
    remedy = f"correct config.json, or copy {BASE}"
    with convert_load_errors(files.model, "configuration", files.folder, remedy):
        config = AutoConfig.from_pretrained(files.folder, **LOCAL_FILES)
    tensors = load_tensors(files)
    embedding = tensors.get(TOKEN_EMBEDDING)
    if embedding is not None and config.text_config.model_type == "clip_text_model":
        # A vocabulary may be padded in the weights or in config.json alone.
        config.text_config.vocab_size = len(embedding)
    with convert_load_errors(files.model, "weights", files.folder, remedy):
        network, report = getattr(transformers, LINEAR_HEADS[config.model_type]).from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=torch.float32,
            attn_implementation=ATTENTION,
            # transformers initializes missing weights at random and, with this option, those of
            # another shape too. The report lists both, and both are refused below.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    check_complete(files, tensors, sorted(report["missing_keys"]))
    check_shapes(files, sorted(report["mismatched_keys"]))
    check_layers(files, sorted(report["unexpected_keys"]))
    return network.eval().requires_grad_(False)


def load_tensors(files: ModelFiles) -> Tensors:
    """Return the weights of all shards under the names and in the shapes that transformers expects.

    Raises:
        ExtractError: they are damaged, those of another library, or LoRA updates.
    """
    tensors: Tensors = {}
    for path in files.weights:
        tensors |= read_tensors(files.model, path)
    if has_lora(tensors):
        raise ExtractError(f"model {files.model} {explain_lora(files.weights[0])}")
    if has_anchor(tensors, OPEN_CLIP_ANCHORS) and not has_anchor(tensors, TRANSFORMERS_ANCHORS):
        raise ExtractError(
            f"model {files.model}: {files.weights[0]} holds weights in the names of open_clip; "
            f"name open-clip:ARCHITECTURE/{files.weights[0]}"
        )
    tensors = strip_prefix(files.model, tensors, TRANSFORMERS_ANCHORS)
    scale = tensors.get("logit_scale")
    if scale is not None and scale.numel() == 1:  # DataParallel and FSDP save it with shape (1,).
        tensors["logit_scale"] = scale.reshape(())
    return tensors


def check_shapes(files: ModelFiles, mismatched: Sequence[tuple]) -> None:
    """Raise ExtractError if weights have another shape than the model.

    Args:
        files: the model.
        mismatched: name, shape in the file and shape in the model of each such weight.
    """
    if mismatched:
        name, found, expected = mismatched[0]
        raise ExtractError(
            f"model {files.model}: {count_noun(len(mismatched), 'weight')} "
            f"{agree(len(mismatched), 'has', 'have')} another shape than in config.json, the "
            f"first is {name}: found {tuple(found)}, expected {tuple(expected)}; correct "
            f"config.json, or copy {BASE}"
        )


def check_layers(files: ModelFiles, unexpected: Sequence[str]) -> None:
    """Raise ExtractError if the weights have more layers than the model.

    Other weights that a CLIP does not have, such as a classifier's, are ignored.

    Args:
        files: the model.
        unexpected: names of the weights that the model does not have.
    """
    layers = [name for name in unexpected if LAYER.match(name)]
    if layers:
        raise ExtractError(
            f"model {files.model}: its weights have more layers than config.json, the first weight "
            f"beyond is {layers[0]}; correct config.json, or copy {BASE}"
        )


def check_complete(files: ModelFiles, tensors: Tensors, missing: Sequence[str]) -> None:
    """Raise ExtractError if weights are missing; the message says if the file is one tower alone.

    Args:
        files: the model.
        tensors: the weights that were loaded, by name.
        missing: names of the missing weights.
    """
    if not missing:
        return
    configuration = read_configuration(files.folder)
    for tower, other in (("vision", "text"), ("text", "vision")):
        alone = any(name.startswith(f"{tower}_model.") for name in tensors)
        if alone and not any(name.startswith(f"{other}_") for name in tensors):
            alone_type = {"model_type": f"clip_{tower}_model"}
            found = configuration | configuration.get(f"{tower}_config", {}) | alone_type
            raise ExtractError(f"model {files.model} {explain_tower(files.folder, found)}")
    raise ExtractError(
        f"model {files.model}: {count_noun(len(missing), 'weight')} "
        f"{agree(len(missing), 'is', 'are')} missing, the first is {missing[0]}; expected a "
        "complete CLIP, with as many layers as in config.json"
    )


def load_tokenizer(files: ModelFiles, tower: PreTrainedConfig) -> Any:
    """Load the tokenizer and check that it belongs to the text tower.

    Raises:
        ExtractError: the tokenizer is damaged, missing or belongs to another model.
    """
    # Without these files transformers creates a tokenizer with an empty vocabulary.
    folder = find_folder_of(files.folder, TOKENIZER_FILES)
    if folder is None:
        raise ExtractError(
            f"model {files.model} has no tokenizer: expected tokenizer.json, or vocab.json and "
            f"merges.txt, in {files.folder}; {suggest_copying_processor(files)}"
        )
    remedy = f"copy {BASE}"
    with convert_load_errors(files.model, "tokenizer", folder, remedy):
        tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL_FILES)
        end_token = tokenizer("")["input_ids"][-1]
    check_tokenizer(files, tokenizer, end_token, tower)
    return tokenizer


def check_tokenizer(
    files: ModelFiles, tokenizer: Any, end_token: int, tower: PreTrainedConfig
) -> None:
    """Raise ExtractError if a tokenizer does not belong to the text tower.

    It must have no more tokens than the tower's vocabulary, and end sentences with the token at
    which the tower pools.

    Args:
        files: the model.
        tokenizer: its tokenizer.
        end_token: the token with which the tokenizer ends every sentence.
        tower: the configuration of the text tower.
    """
    expected_end = pooled_token(tower, tokenizer)
    if len(tokenizer) <= tower.vocab_size and expected_end in (None, end_token):
        return
    pooling = "" if expected_end is None else f" and pools at token {expected_end}"
    remedy = "replace the tokenizer by the one that the model was trained with"
    unknown_end = tower.eos_token_id == OLD_END_TOKEN or tower.eos_token_id >= tower.vocab_size
    if len(tokenizer) <= tower.vocab_size and unknown_end:
        remedy = f"set eos_token_id of text_config in config.json to {end_token}"
    raise ExtractError(
        f"model {files.model}: its tokenizer has {len(tokenizer)} tokens and ends with "
        f"{end_token}, its text tower has {tower.vocab_size}{pooling}; {remedy}"
    )


def pooled_token(tower: PreTrainedConfig, tokenizer: Any) -> int | None:
    """Return the token at which a text tower pools; None if it pools at the first position.

    In old configurations that is the highest token of the sentence, which is the highest of the
    tokenizer. The vocabulary of the tower may be padded beyond it.
    """
    if tower.model_type == "clip_text_model" and tower.eos_token_id == OLD_END_TOKEN:
        return max(tokenizer.get_vocab().values())
    causal = ("clip_text_model", "metaclip_2_text_model")
    return tower.eos_token_id if tower.model_type in causal else None


def silence_transformers() -> None:
    """Turn off transformers' progress bars, and its logs below errors, in the whole process."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
