import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.open_clip import model_files
from clip_cfr.extract.encoders.open_clip.loading import load_model
from clip_cfr.extract.encoders.open_clip.model_files import EXPECTED, locate_model
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from tests.extract.encoders.open_clip.conftest import RESNET, TEXT

WEIGHTS = "open_clip_pytorch_model.bin"


@pytest.fixture
def folder(small_resnet, tmp_path) -> Path:
    """Return a copy of the model, for a test that changes it."""
    return Path(shutil.copytree(small_resnet, tmp_path / "model"))


@pytest.fixture(scope="module")
def architecture(open_clip, tmp_path_factory) -> str:
    """Register the small ResNet as an architecture of open_clip; return its name."""
    path = tmp_path_factory.mktemp("architectures") / "small-resnet.json"
    path.write_text(json.dumps({"embed_dim": 40, "vision_cfg": RESNET, "text_cfg": TEXT}))
    open_clip.add_model_config(path)
    return path.stem


def load(model: str, **options):
    return load_encoder(EncoderSpec(f"open-clip:{model}", device="cpu", **options))


def message_of(model: str, **options) -> str:
    with pytest.raises(ExtractError) as caught:
        load(model, **options)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_an_architecture_takes_a_weights_file(small_resnet, architecture, tmp_path, suffix):
    weights = torch.load(small_resnet / WEIGHTS, weights_only=True)
    path = tmp_path / f"weights{suffix}"
    torch.save({"state_dict": weights}, path) if suffix == ".pt" else save_file(weights, path)
    encoder, other = load(f"{architecture}/{path}"), load(str(small_resnet))
    sentence = ["a photo of a dog."]
    np.testing.assert_array_equal(encoder.head().projection, other.head().projection)
    np.testing.assert_array_equal(encoder.embed_texts(sentence), other.embed_texts(sentence))
    assert encoder.provenance()["model"] == f"open-clip:{architecture}/{path}"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: {"state_dict": {f"module.{k}": t for k, t in weights.items()}, "epoch": 3},
        lambda weights: {"model": {f"_orig_mod.{k}": t for k, t in weights.items()}, "loss": 0.1},
        lambda weights: weights | {"classifier.weight": torch.zeros(2, 3)},
        lambda weights: weights | {"logit_scale": weights["logit_scale"].reshape(1)},
    ],
)
def test_checkpoints_of_training_scripts_are_read(small_resnet, folder, wrap):
    torch.save(wrap(torch.load(folder / WEIGHTS, weights_only=True)), folder / WEIGHTS)
    encoder, other = load(str(folder)), load(str(small_resnet))
    sentence = ["a photo of a dog."]
    np.testing.assert_array_equal(encoder.head().projection, other.head().projection)
    np.testing.assert_array_equal(encoder.embed_texts(sentence), other.embed_texts(sentence))
    assert encoder.head().logit_scale == other.head().logit_scale


@pytest.mark.parametrize("name", ["", WEIGHTS])
def test_a_folder_or_its_file_needs_no_prefix(small_resnet, name, caplog):
    path = small_resnet / name
    encoder = load_encoder(EncoderSpec(str(path), device="cpu"))
    assert encoder.provenance()["model"] == str(path)
    assert caplog.messages == [f"model {path} is one of open_clip: reading open-clip:{path}"]
    np.testing.assert_array_equal(
        encoder.head().projection, load(str(small_resnet)).head().projection
    )


def test_a_folder_of_both_libraries_is_read_with_transformers(small_clip, small_resnet, tmp_path):
    folder = Path(shutil.copytree(small_clip, tmp_path / "both"))
    shutil.copytree(small_resnet, folder, dirs_exist_ok=True)
    encoder = load_encoder(EncoderSpec(str(folder), device="cpu"))
    assert encoder.provenance()["architecture"]["class"] == "CLIPModel"


def test_a_repository_in_the_local_hub_cache_needs_no_hub(small_resnet, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "hub" / commit
    shutil.copytree(small_resnet, snapshot)
    monkeypatch.setattr(model_files, "snapshot_download", lambda *_, **options: str(snapshot))
    encoder = load("hf-hub:someone/clip")
    assert encoder.provenance()["revision"] == commit
    assert encoder.provenance()["model"] == "open-clip:hf-hub:someone/clip"


@pytest.mark.parametrize("listed", [[], [WEIGHTS, "tf_model.h5", "model.safetensors"]])
def test_only_weights_that_are_read_are_downloaded(folder, monkeypatch, listed):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = folder.rename(folder.parent / commit)
    weights = (snapshot / WEIGHTS).rename(folder.parent / "weights")
    patterns = []

    def download(_, revision=None, allow_patterns=None):
        patterns.append(allow_patterns)
        if allow_patterns == [WEIGHTS]:
            shutil.copy(weights, snapshot / WEIGHTS)
        return str(snapshot)

    monkeypatch.setattr(model_files, "snapshot_download", download)
    monkeypatch.setattr(model_files.HfApi, "list_repo_files", lambda *_, **options: listed)
    if listed:
        assert load("hf-hub:someone/clip").provenance()["revision"] == commit
    else:
        assert message_of("hf-hub:someone/clip") == (
            "model open-clip:hf-hub:someone/clip has no weights: expected one of "
            f"{', '.join(model_files.FOLDER_WEIGHTS)} in {snapshot}"
        )
    assert patterns == [["*.json", "*.txt", "*.model"], *([[WEIGHTS]] if listed else [])]


def test_a_repository_that_is_not_there_is_one_line(open_clip, monkeypatch):
    def raise_error(*_, **options):
        raise LocalEntryNotFoundError("no such repository in the cache")

    monkeypatch.setattr(model_files, "snapshot_download", raise_error)
    assert message_of("hf-hub:someone/clip").startswith("model open-clip:hf-hub:someone/clip: the ")


def test_safe_weights_are_preferred(folder):
    weights = torch.load(folder / WEIGHTS, weights_only=True)
    save_file(weights, folder / "open_clip_model.safetensors")
    (folder / WEIGHTS).write_bytes(b"damaged")
    assert load(str(folder)).files.weights.name == "open_clip_model.safetensors"


def test_a_file_has_quickgelu_if_all_published_weights_have_it(open_clip, tmp_path):
    """RN50 specifies GELU; ViT-B-32 has published weights of both kinds."""
    path = tmp_path / "weights.pt"
    torch.save({}, path)
    assert locate_model(f"open-clip:RN50/{path}", None).quick_gelu
    assert not locate_model(f"open-clip:ViT-B-32/{path}", None).quick_gelu
    quick = locate_model(f"open-clip:ViT-B-32-quickgelu/{path}", None)
    assert quick.configuration()["quick_gelu"] is True


def test_the_model_has_the_activation_of_its_files(small_resnet):
    files = locate_model(f"open-clip:{small_resnet}", None)
    for quick, activation in ((False, "GELU"), (True, "QuickGELU")):
        model = load_model(replace(files, quick_gelu=quick))
        assert type(model.transformer.resblocks[0].mlp.gelu).__name__ == activation


def test_a_tag_determines_activation_and_preprocessing(open_clip, monkeypatch, tmp_path):
    path = tmp_path / "snapshots" / "0123abcd" / "open_clip_model.safetensors"
    path.parent.mkdir(parents=True)
    save_file({"logit_scale": torch.zeros(1)}, path)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda published: str(path))
    files = locate_model("open-clip:ViT-H-14-CLIPA/datacomp1b", None)
    assert (files.name, files.weights, files.commit) == ("ViT-H-14-CLIPA", path, "0123abcd")
    assert files.preprocessing["interpolation"] == "bilinear"
    assert files.preprocessing["resize_mode"] == "squash"
    assert not files.quick_gelu
    assert locate_model("open-clip:RN50/openai", None).quick_gelu


def test_a_failed_download_is_one_line(open_clip, monkeypatch):
    def raise_error(published):
        raise FileNotFoundError("Failed to download file")

    monkeypatch.setattr(open_clip, "download_pretrained", raise_error)
    assert message_of("RN50/openai") == (
        "model open-clip:RN50/openai: its weights cannot be downloaded, and the local cache has no "
        "copy; download the file on another machine and name it: open-clip:RN50/FILE"
    )


def test_neither_a_tag_nor_a_file_is_an_error(open_clip):
    assert message_of("RN50/nowhere.pt") == (
        "model open-clip:RN50/nowhere.pt: nowhere.pt is neither a file nor a tag of RN50, which "
        "has openai, yfcc15m, cc12m"
    )


@pytest.mark.parametrize("name", ["", "RN5000/openai", "nowhere/model"])
def test_an_unknown_name_is_an_error(open_clip, name):
    assert message_of(name) == (
        f"model open-clip:{name}: {name.partition('/')[0]!r} is neither a folder nor an "
        f"architecture of open_clip; {EXPECTED}"
    )


def test_an_architecture_alone_is_an_error_with_its_tags(open_clip):
    assert message_of("RN50") == (
        "model open-clip:RN50: name the weights too, open-clip:RN50/TAG with one of openai, "
        "yfcc15m, cc12m"
    )


def test_the_spelling_of_openai_is_explained(open_clip):
    assert message_of("ViT-B/32") == (
        "model open-clip:ViT-B/32: 'ViT-B' is neither a folder nor an architecture of open_clip; "
        "write open-clip:ViT-B-32/openai"
    )


def test_a_revision_is_an_error(small_resnet):
    assert message_of(str(small_resnet), revision="main") == (
        f"model open-clip:{small_resnet}: models of open_clip have no --revision; leave it out"
    )


def test_a_folder_without_a_configuration_is_an_error(tmp_path):
    assert message_of(str(tmp_path)) == (
        f"model open-clip:{tmp_path}: {tmp_path} has no open_clip_config.json; {EXPECTED}"
    )


def test_a_folder_without_weights_is_an_error(folder):
    (folder / WEIGHTS).unlink()
    assert message_of(str(folder)) == (
        f"model open-clip:{folder} has no weights: expected one of open_clip_model.safetensors, "
        "open_clip_pytorch_model.safetensors, open_clip_pytorch_model.bin, model.safetensors in "
        f"{folder}"
    )


def test_a_damaged_configuration_is_an_error(folder):
    (folder / "open_clip_config.json").write_text("{")
    message = message_of(str(folder))
    start = f"model open-clip:{folder}: the configuration in {folder} cannot be loaded (ValueError"
    assert message.startswith(start)
    assert message.endswith("; correct open_clip_config.json")


def test_missing_weights_are_an_error(folder):
    weights = torch.load(folder / WEIGHTS, weights_only=True)
    del weights["visual.attnpool.c_proj.bias"]
    torch.save(weights, folder / WEIGHTS)
    assert message_of(str(folder)) == (
        f"model open-clip:{folder}: 1 weight is missing in {folder / WEIGHTS}, the first is "
        "visual.attnpool.c_proj.bias; name the architecture that the weights were trained with"
    )


class Malicious:
    def __reduce__(self):
        return (os.system, ("touch executed",))


def test_pickled_weights_do_not_execute_code(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"logit_scale": Malicious()}, folder / WEIGHTS)
    message = message_of(str(folder))
    path = folder / WEIGHTS
    start = f"model open-clip:{folder}: {path} holds pickled Python objects beside its weights"
    assert message.startswith(start)
    assert not (tmp_path / "executed").exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_an_error_with_a_command(folder, tmp_path):
    path = tmp_path / "RN50.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    message = message_of(f"RN50/{path}")
    assert message.startswith(
        f"{path} is a TorchScript archive, which contains code; if you trust it, extract the "
        'weights: python -c "import torch; w = torch.jit.load('
    )
    command = message.partition('python -c "')[2].removesuffix('"')
    exec(command, {})
    plain = torch.load(tmp_path / "RN50-weights.pt", weights_only=True)
    assert sorted(plain) == ["bias", "weight"]


def test_a_file_of_another_type_is_an_error(tmp_path, open_clip):
    path = tmp_path / "weights.npz"
    np.savez(path, weights=np.zeros(3))
    assert message_of(f"RN50/{path}") == (
        f"model open-clip:RN50/{path}: {path} is an archive that torch.save did not write, such as "
        "a zip or .npz file: unpack it, or take the model's PyTorch weights"
    )
