"""Models in the layouts that training scripts, libraries and the hub leave behind."""

import argparse
import json
import shlex
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextModelWithProjection,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    SiglipConfig,
    ViTConfig,
)

from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.encoders.transformers_clip import model_files
from clip_cfr.extract.errors import ExtractError

SENTENCES = ["a photo of a dog.", "a cat"]
# A zip archive whose directory has one entry, with damaged magic bytes.
DAMAGED_ZIP = (
    b"PK\x01\x00".ljust(46, b"\0") + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, 46, 0, 0)
)
LORA = "vision_model.encoder.layers.0.self_attn.q_proj.lora_A.default.weight"


@pytest.fixture
def folder(small_clip, tmp_path):
    """Return a copy of the model, for a test that changes it."""
    return Path(shutil.copytree(small_clip, tmp_path / "clip"))


@pytest.fixture
def weights(small_clip) -> dict[str, torch.Tensor]:
    """Return the weights of the model."""
    return load_file(small_clip / "model.safetensors")


def load(model: str | Path):
    return load_encoder(EncoderSpec(str(model), device="cpu"))


def message_of(model: str | Path) -> str:
    with pytest.raises(ExtractError) as caught:
        load(model)
    return str(caught.value)


def edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def assert_same_model(found, expected) -> None:
    """Compare features, head and texts of two encoders, bit for bit."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(found.encode(pixels), expected.encode(pixels))
    np.testing.assert_array_equal(found.head().projection, expected.head().projection)
    assert found.head().logit_scale == expected.head().logit_scale
    np.testing.assert_array_equal(found.embed_texts(SENTENCES), expected.embed_texts(SENTENCES))
    assert found.preprocessing == expected.preprocessing


def raise_not_found(*_, **options):
    raise LocalEntryNotFoundError("no such repository in the cache")


def run_offered(message: str, **replaced: str) -> None:
    """Run the Python command in a message, with words replaced."""
    command = message[message.index("python -c ") :]
    program = shlex.split(command)[2]
    for word, value in replaced.items():
        program = program.replace(word, value)
    exec(program, {})


@pytest.mark.parametrize("name", ["CLIPFeatureExtractor", "CLIPImageProcessorFast", None])
def test_old_names_of_the_image_processor_are_read(folder, encoder, name):
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text()) | {"use_square_size": False, "size": 32}
    del settings["image_processor_type"]
    path.write_text(json.dumps(settings | ({"image_processor_type": name} if name else {})))
    assert_same_model(load(folder), encoder)


def test_the_processor_file_of_transformers_5_is_read(folder, encoder):
    path = folder / "preprocessor_config.json"
    processor = {
        "image_processor": json.loads(path.read_text()),
        "processor_class": "CLIPProcessor",
    }
    (folder / "processor_config.json").write_text(json.dumps(processor))
    path.unlink()
    assert_same_model(load(folder), encoder)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.clip."])
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_prefixes_of_wrappers_are_removed(folder, weights, encoder, prefix, suffix):
    renamed = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    renamed["classifier.weight"] = torch.zeros(2, 3)
    (folder / "model.safetensors").unlink()
    if suffix == "bin":
        torch.save(renamed, folder / "pytorch_model.bin")
    else:
        save_file(renamed, folder / "model.safetensors")
    assert_same_model(load(folder), encoder)


def test_two_models_in_one_file_are_an_error(folder, weights):
    both = {f"{who}.{k}": t.clone() for who in ("student", "teacher") for k, t in weights.items()}
    save_file(both, folder / "model.safetensors")
    assert message_of(folder) == (
        f"model {folder}: its weights file holds several models, with names that begin with "
        "'student.' and 'teacher.'; save the state_dict of one of them alone"
    )


def test_a_logit_scale_of_one_dimension_is_a_number(folder, weights, encoder):
    weights["logit_scale"] = weights["logit_scale"].reshape(1)
    save_file(weights, folder / "model.safetensors")
    assert_same_model(load(folder), encoder)


def test_a_padded_vocabulary_with_the_old_end_token_is_taken(folder, weights, encoder):
    name = "text_model.embeddings.token_embedding.weight"
    weights[name] = torch.nn.functional.pad(weights[name], (0, 0, 0, 62))
    save_file(weights, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"vocab_size": len(weights[name]), "eos_token_id": 2}
    (folder / "config.json").write_text(json.dumps(config))
    assert_same_model(load(folder), encoder)


@pytest.mark.parametrize("rows", [-1, 62])
def test_the_weights_say_how_large_the_vocabulary_is(folder, weights, encoder, rows):
    """Padded for speed after config.json was written, or config.json padded alone."""
    if rows > 0:
        name = "text_model.embeddings.token_embedding.weight"
        weights[name] = torch.nn.functional.pad(weights[name], (0, 0, 0, rows))
        save_file(weights, folder / "model.safetensors")
    else:
        config = json.loads((folder / "config.json").read_text())
        config["text_config"]["vocab_size"] += 62
        (folder / "config.json").write_text(json.dumps(config))
    assert_same_model(load(folder), encoder)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {"epoch": 3, "state_dict": weights, "optimizer": {"step": 1}},
        lambda weights: {"model": {f"module.{k}": t for k, t in weights.items()}, "loss": 0.1},
        lambda weights: {"model_state_dict": weights, "optimizer_state_dict": {}},
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_beside_the_configuration_is_taken(folder, weights, encoder, wrap, zipped):
    (folder / "model.safetensors").unlink()
    path = folder / "epoch_10.pt"
    torch.save(wrap(weights), path, _use_new_zipfile_serialization=zipped)
    torch.save({"step": torch.zeros(1)}, folder / "optimizer.pt")
    assert_same_model(load(path), encoder)
    assert_same_model(load(folder), encoder)


def test_the_file_of_the_weights_is_taken_for_its_folder(folder, encoder):
    found = load(folder / "model.safetensors")
    assert_same_model(found, encoder)
    assert found.provenance()["weights_sha256"] == encoder.provenance()["weights_sha256"]


def test_the_configuration_file_is_taken_for_its_folder(folder, encoder):
    assert_same_model(load(folder / "config.json"), encoder)


def test_quantized_weights_are_named(folder):
    edit_json(folder / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    assert message_of(folder) == (
        f"model {folder} has quantized weights, as quantization_config in its config.json says; "
        "take the model before quantization, and choose the type to compute in with --dtype"
    )


@pytest.mark.parametrize("below", ["0_CLIPModel", "snapshots/0123abcd"])
def test_the_only_model_inside_a_folder_is_taken(small_clip, tmp_path, encoder, caplog, below):
    folder = tmp_path / "model"
    shutil.copytree(small_clip, folder / below)
    (folder / "1_Normalize").mkdir()
    (folder / "modules.json").write_text("[]")
    assert_same_model(load(folder), encoder)
    assert caplog.messages == [f"model {folder}: taking the model in {folder / below}"]


def test_several_models_inside_a_folder_are_an_error(small_clip, tmp_path):
    for step in (500, 1000):
        shutil.copytree(small_clip, tmp_path / f"checkpoint-{step}")
    assert message_of(tmp_path) == (
        f"model {tmp_path} holds several models; name one: {tmp_path}/checkpoint-1000, "
        f"{tmp_path}/checkpoint-500"
    )


def test_a_model_above_the_folder_is_named(folder):
    inside = folder / "1_Pooling"
    inside.mkdir()
    assert message_of(inside) == f"model {inside} has no config.json; the model is in {folder}"


@pytest.mark.parametrize("where", ["", "processor"])
def test_a_checkpoint_uses_the_processor_above_it(small_clip, tmp_path, encoder, caplog, where):
    checkpoint = tmp_path / "checkpoint-500"
    shutil.copytree(small_clip, checkpoint)
    (tmp_path / where).mkdir(exist_ok=True)
    for name in ("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (checkpoint / name).rename(tmp_path / where / name)
    assert_same_model(load(checkpoint), encoder)
    assert caplog.messages == [
        f"taking preprocessor_config.json from {tmp_path / where}".removesuffix("/"),
        f"taking tokenizer.json from {tmp_path / where}".removesuffix("/"),
    ]


def test_a_missing_processor_is_an_error_with_a_command(small_clip, folder, encoder):
    for name in ("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    message = message_of(folder)
    assert message.startswith(
        f"model {folder} has no image processor: expected preprocessor_config"
    )
    run_offered(message, BASE_MODEL=str(small_clip))
    assert_same_model(load(folder), encoder)


@pytest.mark.parametrize(
    ("kind", "part", "tower", "other"),
    [
        (CLIPVisionModelWithProjection, "vision", "image", "text"),
        (CLIPTextModelWithProjection, "text", "text", "image"),
    ],
)
def test_one_tower_alone_is_an_error_with_a_command(
    small_clip, tmp_path, encoder, kind, part, tower, other
):
    folder = tmp_path / "tower"
    config = getattr(CLIPConfig.from_pretrained(small_clip), f"{part}_config")
    config.projection_dim = encoder.head().projection.shape[1]
    kind.from_pretrained(small_clip, config=config).save_pretrained(folder)
    message = message_of(folder)
    assert message.startswith(
        f"model {folder} holds only the {tower} tower of a CLIP; add the {other} tower"
    )
    assert message.endswith(f", and name {folder}-joined")
    run_offered(message, BASE_MODEL=str(small_clip))
    assert_same_model(load(f"{folder}-joined"), encoder)


def test_an_image_tower_without_projection_keeps_that_of_the_base(small_clip, tmp_path, encoder):
    folder = tmp_path / "tower"
    CLIPVisionModel.from_pretrained(small_clip).save_pretrained(folder)
    run_offered(message_of(folder), BASE_MODEL=str(small_clip))
    assert_same_model(load(f"{folder}-joined"), encoder)


def test_the_weights_of_one_tower_are_named(folder, weights):
    vision = {name: t for name, t in weights.items() if name.startswith("vision_model.")}
    save_file(vision, folder / "model.safetensors")
    assert message_of(folder).startswith(
        f"model {folder} holds only the image tower of a CLIP; add the text tower that it was "
    )


@pytest.mark.parametrize("config", [SiglipConfig(), ViTConfig()])
def test_a_model_of_another_type_is_named(tmp_path, config):
    config.save_pretrained(tmp_path)
    assert message_of(tmp_path) == (
        f"model {tmp_path} is of type {config.model_type!r}; expected one of clip, altclip, "
        "chinese_clip, metaclip_2, whose image head is one linear map; embeddings computed "
        "elsewhere can be imported with the command import"
    )


def write_adapter(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "openai/clip-vit-base-patch32"}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    save_file({LORA: torch.zeros(2, 3)}, folder / "adapter_model.safetensors")


def test_an_adapter_is_named_with_the_command_that_merges_it(tmp_path):
    folder = tmp_path / "lora"
    write_adapter(folder)
    message = message_of(folder)
    assert message.startswith(
        f"model {folder} is an adapter of PEFT (LORA) of openai/clip-vit-base-patch32, not a whole "
        'model; merge them (pip install peft) with python -c "from peft import PeftModel; '
    )
    assert message.endswith(f" and name {folder}-merged")


def test_the_file_of_an_adapter_is_named_as_its_folder(tmp_path):
    write_adapter(tmp_path)
    assert "is an adapter of PEFT (LORA)" in message_of(tmp_path / "adapter_model.safetensors")


def test_an_adapter_beside_the_whole_model_is_not_ignored(folder):
    write_adapter(folder)
    assert "is an adapter of PEFT (LORA)" in message_of(folder)


def test_updates_of_lora_among_the_weights_are_an_error(folder, weights):
    save_file(weights | {LORA: torch.zeros(2, 24)}, folder / "model.safetensors")
    path = folder / "model.safetensors"
    assert message_of(folder) == (
        f"model {folder} has LoRA updates in {path} that are not merged into its weights; save it "
        "after merge_and_unload() of PEFT"
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a Git LFS pointer, which stands for the weights: run `git lfs pull` in its folder",
        ),
        (b"", "empty, so its download was interrupted: download it again"),
        (
            b"<!DOCTYPE html><html>",
            "a web page: download the file again, and log in if its page asks for that",
        ),
        (DAMAGED_ZIP, "a damaged archive: download or save it again"),
        (b"PK\x03\x04abc", "truncated, so its download was interrupted: download it again"),
        (
            b"hello",
            "neither a safetensors file nor one of torch.save: check that it is a weights file",
        ),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_that_holds_no_weights_is_named(folder, content, found, name):
    (folder / "model.safetensors").unlink()
    path = folder / name
    path.write_bytes(content)
    assert message_of(folder) == f"model {folder}: {path} is {found}"


def test_missing_shards_are_named(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    names = {
        "logit_scale": "model-00001-of-00002.safetensors",
        "x": "model-00002-of-00002.safetensors",
    }
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    assert message_of(folder) == (
        f"model {folder}: model-00002-of-00002.safetensors of its weights are missing in {folder}; "
        "copy or download them"
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [("tf_model.h5", "TensorFlow"), ("flax_model.msgpack", "Flax"), ("model.onnx", "ONNX")],
)
def test_weights_of_another_framework_are_named(folder, name, found):
    (folder / "model.safetensors").rename(folder / name)
    assert message_of(folder) == (
        f"model {folder} has weights of {found} only: take the model's PyTorch weights"
    )


def test_pickled_arguments_are_an_error_with_a_command(folder, weights, encoder):
    (folder / "model.safetensors").unlink()
    path = folder / "epoch_10.pt"
    torch.save({"state_dict": weights, "args": argparse.Namespace(lr=0.1)}, path)
    message = message_of(path)
    assert message.startswith(
        f"model {path}: {path} holds pickled Python objects beside its weights, such as "
        "argparse.Namespace, and loading those can execute code; if you trust the file, extract "
        "the weights with python -c "
    )
    plain = folder / "epoch_10-weights.pt"
    assert message.endswith(f" and name {plain}")
    run_offered(message.removesuffix(f" and name {plain}"))
    assert_same_model(load(plain), encoder)


def test_a_pickled_model_is_an_error_with_a_command(small_clip, folder, encoder):
    path = folder / "model.pt"
    torch.save(CLIPModel.from_pretrained(small_clip), path)
    message = message_of(path)
    assert "holds pickled Python objects beside its weights, such as transformers." in message
    run_offered(message)
    assert_same_model(load(folder / "model-weights.pt"), encoder)


def test_weights_without_a_configuration_are_named(weights, small_clip, tmp_path, encoder):
    path = tmp_path / "clip.safetensors"
    save_file(weights, path)
    message = message_of(path)
    assert message.startswith(
        f"model {path} is a file, the weights of a transformers CLIP without config.json beside "
        "it; save the other files of the model that it was trained from there: python -c "
    )
    run_offered(message, BASE_MODEL=str(small_clip))
    assert_same_model(load(path), encoder)


def test_weights_of_openai_name_the_architecture(tmp_path):
    path = tmp_path / "epoch_5.pt"
    tensors = {
        "module.visual.conv1.weight": torch.zeros(768, 3, 32, 32),
        "module.visual.positional_embedding": torch.zeros(50, 768),
        "module.token_embedding.weight": torch.zeros(10, 4),
    }
    torch.save({"epoch": 5, "state_dict": tensors}, path)
    assert message_of(path) == (
        f"model {path} is a file, the weights of a model of open_clip; name "
        f"open-clip:ViT-B-32/{path} (ViT-B-32-quickgelu if trained from OpenAI's weights)"
    )


def test_other_weights_are_named(tmp_path):
    path = tmp_path / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}, path)
    assert message_of(path) == (
        f"model {path} is a file, whose weights are not those of a CLIP: they begin with "
        "conv1.weight, fc.bias"
    )


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_the_archives_of_openai_name_the_same_model(tmp_path):
    path = tmp_path / "ViT-L-14-336px.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    message = message_of(path)
    assert message.startswith(
        f"model {path} is a file, name openai/clip-vit-large-patch14-336, the same model for "
        f"transformers; or: {path} is a TorchScript archive, which contains code; if you trust it"
    )
    assert message.endswith(
        f"open-clip:ViT-L-14-336-quickgelu/{tmp_path}/ViT-L-14-336px-weights.pt"
    )


@pytest.mark.parametrize(
    ("name", "hub_id", "architecture"),
    [
        ("ViT-B/32", "openai/clip-vit-base-patch32", "ViT-B-32"),
        ("ViT-L/14@336px", "openai/clip-vit-large-patch14-336", "ViT-L-14-336"),
        ("vit-b-16", "openai/clip-vit-base-patch16", "ViT-B-16"),
        ("openai/ViT-L-14", "openai/clip-vit-large-patch14", "ViT-L-14"),
        ("clip-ViT-B-32", "openai/clip-vit-base-patch32", "ViT-B-32"),
        ("clip-vit-large-patch14", "openai/clip-vit-large-patch14", "ViT-L-14"),
        ("ViT-B-32-quickgelu", "openai/clip-vit-base-patch32", "ViT-B-32"),
    ],
)
def test_spellings_of_published_models_are_explained(name, hub_id, architecture):
    assert message_of(name) == (
        f"model {name}: another library's spelling of {architecture}; write {hub_id} "
        f"(transformers) or open-clip:{architecture}/openai (open_clip)"
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RN50", "another library's spelling of RN50; write open-clip:RN50/openai (open_clip)"),
        (
            "hf-hub:lab/clip",
            "hf-hub: is the spelling of open_clip; write open-clip:hf-hub:lab/clip for a model of "
            "open_clip, or lab/clip for one of transformers",
        ),
        (
            "open_clip:ViT-B-16/laion2b",
            "names of open_clip's models begin with open-clip: here; write "
            "open-clip:ViT-B-16/laion2b",
        ),
        (
            "https://huggingface.co/lab/clip",
            "a URL of the hub; write the name of the model alone, lab/clip",
        ),
        (
            "hf://lab/clip",
            "a URL of the hub; write the name of the model alone, lab/clip",
        ),
    ],
)
def test_names_of_other_libraries_are_explained(name, meant):
    assert message_of(name) == f"model {name}: {meant}"


def test_a_name_that_the_hub_lacks_may_be_one_of_open_clip(monkeypatch):
    monkeypatch.setattr(model_files, "snapshot_download", raise_not_found)
    assert message_of("EVA02-L-14/merged2b") == (
        "model EVA02-L-14/merged2b is not a local folder, and it looks like a model of open_clip: "
        "write open-clip:EVA02-L-14/merged2b, or the hub id ORG/NAME of a transformers "
        "CLIP"
    )


def test_more_layers_than_in_the_configuration_are_an_error(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    message = message_of(folder)
    assert message.startswith(
        f"model {folder}: its weights have more layers than config.json, the first weight beyond "
        "is vision_model.encoder.layers.1.layer_norm1."
    )


def test_a_path_that_is_not_text_is_an_error():
    assert message_of("a\udce9b/clip") == (
        "model a\udce9b/clip: its path is not UTF-8, which the libraries that load models need; "
        "rename it, or link it under another name"
    )


def test_an_empty_configuration_type_is_named(folder):
    edit_json(folder / "config.json", model_type=None)
    assert message_of(folder).startswith(
        f"model {folder} has a config.json without model_type, so not one of transformers; "
    )


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_an_error(name):
    assert message_of(name).startswith("--model is empty; name the folder of a transformers CLIP ")


def test_links_to_missing_files_are_named(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("../../blobs/0123")
    assert message_of(folder) == (
        f"model {folder} has weights that are links to missing files, such as model.safetensors -> "
        f"../../blobs/0123 in {folder}; copy the files too, for example with `cp -rL`"
    )


def test_an_unknown_image_processor_is_named(folder):
    edit_json(folder / "preprocessor_config.json", image_processor_type="CLIPProcessor")
    assert message_of(folder) == (
        f"model {folder}: transformers knows no image processor 'CLIPProcessor', the "
        f"image_processor_type in {folder}; for CLIP, write CLIPImageProcessor"
    )


def test_a_resampling_filter_may_be_given_by_name(folder, encoder):
    edit_json(folder / "preprocessor_config.json", resample="bicubic")
    assert_same_model(load(folder), encoder)


def test_an_end_token_beyond_the_vocabulary_names_the_right_one(folder):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 49407
    (folder / "config.json").write_text(json.dumps(config))
    assert message_of(folder) == (
        f"model {folder}: its tokenizer has 514 tokens and ends with 513, its text tower has 514 "
        "and pools at token 49407; set eos_token_id of text_config in config.json to 513"
    )
