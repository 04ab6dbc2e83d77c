"""Load the network, image processor and tokenizer of a CLIP with transformers."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

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
    processor_command,
)
from clip_cfr.extract.encoders.transformers_clip.model_files import ModelFiles
from clip_cfr.extract.errors import ExtractError

# The files are in a local folder by now: do not contact the hub again.
LOCAL_FILES = {"local_files_only": True, "trust_remote_code": False}
# Requested by name, so that loading fails if a tower does not have it.
ATTENTION = "sdpa"
TOKEN_EMBEDDING = "text_model.embeddings.token_embedding.weight"
LAYER = re.compile(r"(vision|text)_model\..*\blayers?\.\d+\.")
PROCESSOR_FILES = (("preprocessor_config.json",), ("processor_config.json",))
TOKENIZER_FILES = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("sentencepiece.bpe.model",),
)
# In old configurations, this means the highest token of the sentence.
OLD_END_TOKEN = 2
OLD_ENDING = "FeatureExtractor"
BASE = "that of the model that it was trained from"


def load_network(files: ModelFiles) -> PreTrainedModel:
    """Load the model in float32, in evaluation mode and without gradients.

    Raises:
        ExtractError: if the weights are damaged, incomplete or of another shape.
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
            # transformers initialises missing weights at random and, with this option, those of
            # another shape too. The report lists both, and both are refused below.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    check_complete(files, tensors, sorted(report["missing_keys"]))
    check_shapes(files, sorted(report["mismatched_keys"]))
    check_layers(files, sorted(report["unexpected_keys"]))
    return network.eval().requires_grad_(False)


def load_tensors(files: ModelFiles) -> Tensors:
    """Return the weights under the names and in the shapes that transformers expects.

    Raises:
        ExtractError: if they are damaged, or those of another library.
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
            f"model {files.model}: {len(mismatched)} weights have another shape than in "
            f"config.json, the first is {name}: found {tuple(found)}, expected {tuple(expected)}; "
            f"correct config.json, or copy {BASE}"
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
    """Raise ExtractError if weights are missing.

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
        f"model {files.model}: {len(missing)} weights are missing, the first is {missing[0]}; "
        "expected a complete CLIP, with as many layers as in config.json"
    )


def load_processor(files: ModelFiles, config: PreTrainedConfig) -> Any:
    """Load the image processor that uses Pillow and numpy, to read its configuration.

    Its backend is requested by name: transformers prefers torchvision if that is installed, which
    resizes differently.

    Raises:
        ExtractError: if the image processor is damaged or missing.
    """
    folder = find_folder_of(files.folder, PROCESSOR_FILES)
    if folder is None:
        raise ExtractError(
            f"model {files.model} has no image processor: expected preprocessor_config.json in "
            f"{files.folder}; {copy_processor(files)}"
        )
    remedy = f"correct preprocessor_config.json, or copy {BASE}"
    with convert_load_errors(files.model, "image processor", folder, remedy):
        if old := old_processor_class(folder):
            return old.from_pretrained(folder, local_files_only=True)
        # Old files name no class: the model's then counts, whose configuration may lie elsewhere.
        options = {} if names_class(folder) else {"config": config}
        return AutoImageProcessor.from_pretrained(folder, backend="pil", **options, **LOCAL_FILES)


def old_processor_class(folder: Path) -> Any:
    """Return the class that an old name, such as CLIPFeatureExtractor, stands for; None if new."""
    name = read_processor(folder).get("image_processor_type")
    if not isinstance(name, str) or not name.endswith(OLD_ENDING):
        return None
    return getattr(transformers, f"{name.removesuffix(OLD_ENDING)}ImageProcessorPil", None)


def names_class(folder: Path) -> bool:
    """Return whether the configuration of an image processor names its class, or code."""
    keys = ("image_processor_type", "feature_extractor_type", "auto_map")
    return any(key in read_processor(folder) for key in keys)


def read_processor(folder: Path) -> dict[str, Any]:
    """Return the configuration of an image processor, as it lies in its file."""
    path = folder / "preprocessor_config.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    whole = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    return whole.get("image_processor", {})


def copy_processor(files: ModelFiles) -> str:
    """Return a phrase with the command that saves image processor and tokenizer."""
    command = processor_command(files.folder, read_configuration(files.folder))
    return f"save {BASE} there: {command}"


def load_tokenizer(files: ModelFiles, tower: PreTrainedConfig) -> Any:
    """Load the tokenizer and check that it belongs to the text tower.

    Raises:
        ExtractError: if the tokenizer is damaged, missing or belongs to another model.
    """
    # Without these files transformers creates a tokenizer with an empty vocabulary.
    folder = find_folder_of(files.folder, TOKENIZER_FILES)
    if folder is None:
        raise ExtractError(
            f"model {files.model} has no tokenizer: expected tokenizer.json, or vocab.json and "
            f"merges.txt, in {files.folder}; {copy_processor(files)}"
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
    if len(tokenizer) <= tower.vocab_size and tower.eos_token_id == OLD_END_TOKEN:
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
    """Turn off the progress bars of transformers and its log messages below errors."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
