import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessorPil, CLIPModel

from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.encoders.devices import choose_dtype
from clip_cfr.extract.encoders.hub_errors import NAME_ANOTHER, REMEDY
from clip_cfr.extract.encoders.image_tower import start_copy_to_host
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec, fill_from_job
from clip_cfr.extract.encoders.transformers_clip.model_files import locate_model
from clip_cfr.extract.errors import ExtractError

SENTENCES = ["a photo of a dog.", "a cat", "St. Bernard"]


@pytest.fixture
def folder(small_clip, tmp_path):
    """Return a copy of the model, for a test that changes it."""
    return Path(shutil.copytree(small_clip, tmp_path / "clip"))


def photos(num: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(40 + 9 * i, 60 - 5 * i) for i in range(num)]
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in sizes]


def pixels_of(encoder: Encoder, images: list[Image.Image]) -> np.ndarray:
    return np.stack([encoder.preprocessing.apply(image) for image in images])


def message_of(*args, **options) -> str:
    with pytest.raises(ExtractError) as caught:
        load_encoder(EncoderSpec(*args, **options))
    return str(caught.value)


def edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_features_are_those_of_plain_transformers(encoder, small_clip):
    images = photos(5)
    inputs = CLIPImageProcessorPil.from_pretrained(small_clip)(images=images, return_tensors="pt")
    model = CLIPModel.from_pretrained(small_clip).eval()
    with torch.inference_mode():
        expected = model.vision_model(**inputs).pooler_output.numpy()
    features = encoder.encode(pixels_of(encoder, images))
    assert (features.shape, features.dtype) == ((5, encoder.dim), np.float32)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


def test_features_head_and_texts_give_the_logits_of_the_model(encoder, small_clip):
    images = photos(4)
    inputs = CLIPImageProcessorPil.from_pretrained(small_clip)(images=images, return_tensors="pt")
    tokens = AutoTokenizer.from_pretrained(small_clip)(SENTENCES, padding=True, return_tensors="pt")
    model = CLIPModel.from_pretrained(small_clip).eval()
    with torch.inference_mode():
        expected = model(**inputs, **tokens).logits_per_image.numpy()
    head = encoder.head()
    embeddings = encoder.encode(pixels_of(encoder, images)) @ head.projection
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    logits = head.logit_scale * embeddings @ encoder.embed_texts(SENTENCES).T
    assert head.bias is None
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_text_embeddings_have_unit_length_and_do_not_depend_on_the_batch(encoder):
    many = [f"a photo of {number} dogs." for number in range(70)]
    rows = encoder.embed_texts(many)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(rows[66:67], encoder.embed_texts(many[66:67]), atol=1e-6)


def test_bfloat16_is_autocast_of_the_image_tower_only(encoder, small_clip):
    low = load_encoder(EncoderSpec(str(small_clip), device="cpu", dtype="bfloat16"))
    pixels = pixels_of(encoder, photos(3))
    exact, rounded = encoder.encode(pixels), low.encode(pixels)
    assert rounded.dtype == np.float32
    assert 0 < np.abs(exact - rounded).max() < 0.05
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        images = encoder.tower.normalize(torch.from_numpy(pixels))
        expected = encoder.network.vision_model(pixel_values=images).pooler_output.float()
    np.testing.assert_array_equal(rounded, expected.numpy())
    np.testing.assert_array_equal(encoder.head().projection, low.head().projection)
    np.testing.assert_array_equal(encoder.embed_texts(SENTENCES), low.embed_texts(SENTENCES))


def test_channels_last_changes_features_by_rounding_only(encoder, small_clip):
    other = load_encoder(EncoderSpec(str(small_clip), device="cpu", channels_last=True))
    pixels = pixels_of(encoder, photos(3))
    np.testing.assert_allclose(other.encode(pixels), encoder.encode(pixels), rtol=1e-5, atol=1e-5)
    assert other.provenance()["channels_last"] is True


def test_a_compiled_tower_gives_the_same_features(encoder, small_clip, monkeypatch):
    """The backend `eager` needs no C++ compiler."""
    plain = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network: plain(network, backend="eager"))
    other = load_encoder(EncoderSpec(str(small_clip), device="cpu", compile=True))
    pixels = pixels_of(encoder, photos(3))
    np.testing.assert_allclose(other.encode(pixels), encoder.encode(pixels), rtol=1e-5, atol=1e-5)
    assert other.provenance()["compile"] is True


def test_a_missing_compiler_is_one_line(encoder, small_clip, monkeypatch):
    from torch._dynamo.exc import InternalTorchDynamoError

    def no_compiler(network):
        def call(images):
            raise InternalTorchDynamoError("no C++ compiler\nand much more")

        return call

    monkeypatch.setattr(torch, "compile", no_compiler)
    other = load_encoder(EncoderSpec(str(small_clip), device="cpu", compile=True))
    with pytest.raises(ExtractError) as caught:
        other.encode(pixels_of(encoder, photos(1)))
    assert str(caught.value) == (
        "torch.compile fails here (InternalTorchDynamoError: no C++ compiler); it needs a C++ "
        "compiler on a CPU and Triton on a GPU: install that, or leave out --compile"
    )


LARGE_MODEL = 100_000_000


def test_the_compute_type_depends_on_hardware_and_model_size(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for capabilities, expected in (
        ({}, "float32"),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert choose_dtype("auto", cpu, LARGE_MODEL) == expected
    assert choose_dtype("auto", cuda, LARGE_MODEL) == "float16"
    assert choose_dtype("auto", cuda, 400_000) == "float32"
    assert choose_dtype("bfloat16", cuda, LARGE_MODEL) == "bfloat16"


def test_open_settings_come_from_the_unfinished_job_of_the_same_model():
    job = {
        "model": "m",
        "device": "cuda (NVIDIA H100)",
        "compute_dtype": "float16",
        "compile": True,
        "channels_last": False,
    }
    filled = EncoderSpec("m", None, "cuda", "float16", compile=True, channels_last=False)
    assert fill_from_job(EncoderSpec("m"), job) == filled
    given = EncoderSpec("m", None, "cpu", "float32", compile=False, channels_last=True)
    assert fill_from_job(given, job) == given
    assert fill_from_job(EncoderSpec("m"), job | {"compute_dtype": "x"}).dtype == "auto"
    assert fill_from_job(EncoderSpec("m"), {}) == EncoderSpec("m")
    assert fill_from_job(EncoderSpec("other"), job) == EncoderSpec("other")


class FakeGpuTensor:
    """A tensor that claims to be on a GPU, and records copies."""

    device = torch.device("cuda")

    def __init__(self, events: list[str]):
        self.events = events

    def to(self, device: str, non_blocking: bool):
        self.events.append(f"copy to {device}, non-blocking {non_blocking}")
        return torch.ones(2, 3)


def test_a_copy_from_the_gpu_is_waited_for_on_fetching(monkeypatch):
    events = []

    class Event:
        def record(self):
            events.append("record")

        def synchronize(self):
            events.append("wait")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    fetch = start_copy_to_host(FakeGpuTensor(events))
    assert events == ["copy to cpu, non-blocking True", "record"]
    np.testing.assert_array_equal(fetch(), np.ones((2, 3)))
    assert events[-1] == "wait"


def test_provenance_records_what_determines_the_features(encoder, small_clip):
    provenance = encoder.provenance()
    assert json.loads(json.dumps(provenance)) == provenance
    digest = hashlib.sha256((small_clip / "model.safetensors").read_bytes()).hexdigest()
    assert provenance["weights_sha256"] == digest
    assert provenance["model"] == str(small_clip)
    assert provenance["revision"] is None
    assert provenance["architecture"]["class"] == "CLIPModel"
    assert provenance["architecture"]["hidden_act"] == "quick_gelu"
    assert provenance["image_processor"]["class"] == "CLIPImageProcessorPil"
    configuration = provenance["image_processor"]["configuration"]
    assert configuration["crop_size"] == {"height": 32, "width": 32}
    assert configuration["resample"] == 3
    assert provenance["compute_dtype"] == "float32"
    assert provenance["device"].startswith("cpu (")
    assert provenance["versions"]["torch"] == torch.__version__
    assert set(provenance["versions"]) == {"torch", "transformers", "pillow", "numpy", "python"}


def test_an_old_preprocessor_file_is_read(encoder, folder):
    """As for OpenAI's models on the hub: without a processor class, and with sizes as numbers."""
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "feature_extractor_type": "CLIPFeatureExtractor",
                "size": 32,
                "crop_size": 32,
                "do_resize": True,
                "do_center_crop": True,
                "do_normalize": True,
                "resample": 3,
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_std": [0.26862954, 0.26130258, 0.27577711],
            }
        )
    )
    old = load_encoder(EncoderSpec(str(folder), device="cpu"))
    assert old.image_processor["class"] == "CLIPImageProcessorPil"
    assert old.preprocessing == encoder.preprocessing


def test_pickled_weights_give_the_same_features(encoder, folder):
    weights = load_file(folder / "model.safetensors")
    # Old checkpoints also hold this buffer, which models no longer have.
    weights["vision_model.embeddings.position_ids"] = torch.arange(17)
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    pickled = load_encoder(EncoderSpec(str(folder), device="cpu"))
    pixels = pixels_of(encoder, photos(2))
    np.testing.assert_array_equal(pickled.encode(pixels), encoder.encode(pixels))
    digest = hashlib.sha256((folder / "pytorch_model.bin").read_bytes()).hexdigest()
    assert pickled.provenance()["weights_sha256"] == digest


class Malicious:
    def __reduce__(self):
        return (os.system, ("touch executed",))


def test_pickled_weights_do_not_execute_code(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({"visual_projection.weight": Malicious()}, folder / "pytorch_model.bin")
    message = message_of(str(folder))
    path = folder / "pytorch_model.bin"
    assert message.startswith(
        f"model {folder}: {path} holds pickled Python objects beside its weights, such as "
        "posix.system, and loading those can execute code; if you trust the file, extract the "
        "weights with python -c "
    )
    assert not (tmp_path / "executed").exists()


def test_the_code_of_a_model_is_never_executed(folder, monkeypatch):
    edit_json(
        folder / "preprocessor_config.json",
        image_processor_type="Custom",
        auto_map={"AutoImageProcessor": "custom.Custom"},
    )
    (folder / "custom.py").write_text("raise SystemExit('this code ran')\n")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked the user a question"))
    assert "contains custom code" in message_of(str(folder))


def test_damaged_weights_are_an_error(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    message = message_of(str(folder))
    assert message.startswith(
        f"model {folder}: the weights in {path} are damaged or incomplete (SafetensorError: "
    )
    assert message.endswith("; copy or download the file again")


def test_missing_weights_are_an_error(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert message_of(str(folder)) == (
        f"model {folder}: 1 weight is missing, the first is visual_projection.weight; expected a "
        "complete CLIP, with as many layers as in config.json"
    )


def test_weights_of_another_shape_are_an_error(folder):
    edit_json(folder / "config.json", projection_dim=17)
    assert message_of(str(folder)) == (
        f"model {folder}: 2 weights have another shape than in config.json, the first is "
        "text_projection.weight: found (16, 20), expected (17, 20); correct config.json, or copy "
        "that of the model that it was trained from"
    )


def test_a_folder_without_weights_is_an_error(folder):
    (folder / "model.safetensors").unlink()
    assert message_of(str(folder)) == (
        f"model {folder} has no weights: expected model.safetensors or pytorch_model.bin in "
        f"{folder}"
    )


def test_a_missing_image_processor_is_an_error(folder):
    (folder / "preprocessor_config.json").unlink()
    message = message_of(str(folder))
    assert message.startswith(
        f"model {folder} has no image processor: expected preprocessor_config.json in {folder}; "
        'save that of the model that it was trained from there: python -c "from transformers'
    )


def test_a_damaged_tokenizer_is_an_error(folder):
    (folder / "tokenizer.json").write_text("{}")
    message = message_of(str(folder))
    assert message.startswith(f"model {folder}: the tokenizer in {folder} cannot be loaded (")


def test_a_missing_tokenizer_is_an_error(folder):
    (folder / "tokenizer.json").unlink()
    assert message_of(str(folder)).startswith(
        f"model {folder} has no tokenizer: expected tokenizer.json, or vocab.json and "
        f"merges.txt, in {folder}; save that of the model that it was trained from there: "
    )


def test_a_processor_with_another_image_size_is_an_error(folder):
    edit_json(folder / "preprocessor_config.json", crop_size={"height": 24, "width": 24})
    assert message_of(str(folder)) == (
        f"model {folder}: its image processor makes 24 x 24 pixels, its image tower takes "
        "32 x 32; correct preprocessor_config.json"
    )


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("eos_token_id", 7, "514 and pools at token 7"),
        ("vocab_size", 513, "513 and pools at token 513"),
    ],
)
def test_a_tokenizer_of_another_model_is_an_error(folder, field, value, expected):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"][field] = value
    model = CLIPModel(CLIPConfig.from_dict(config))
    model.save_pretrained(folder)
    assert message_of(str(folder)) == (
        f"model {folder}: its tokenizer has 514 tokens and ends with 513, its text tower has "
        f"{expected}; replace the tokenizer by the one that the model was trained with"
    )


def test_a_folder_without_a_model_is_an_error(tmp_path):
    assert message_of(str(tmp_path)) == (f"model {tmp_path} is an empty folder; {NAME_ANOTHER}")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_configuration_is_an_error(folder, text):
    (folder / "config.json").write_text(text)
    assert message_of(str(folder)).startswith(f"{folder}/config.json: expected a JSON object")


def test_a_revision_of_a_local_folder_is_an_error(folder):
    assert message_of(str(folder), revision="main") == (
        f"model {folder} is a local folder and has no --revision; leave it out"
    )


def test_a_missing_folder_is_an_error(tmp_path):
    missing = str(tmp_path / "nowhere")
    assert message_of(missing) == (
        f"model {missing}: there is no such folder or file; {NAME_ANOTHER}"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_device_is_an_error(small_clip):
    assert message_of(str(small_clip), device="cuda") == (
        f"--device cuda: torch {torch.__version__} finds no CUDA device here; use --device cpu"
    )


def test_float16_on_a_cpu_is_an_error(small_clip):
    assert message_of(str(small_clip), device="cpu", dtype="float16") == (
        "--dtype float16 needs a CUDA device; on a CPU use bfloat16 or float32"
    )


def test_a_prompt_that_is_too_long_is_an_error(encoder, small_clip):
    limit = CLIPConfig.from_pretrained(small_clip).text_config.max_position_embeddings
    sentence = "x" * (limit - 1)
    with pytest.raises(ExtractError) as caught:
        encoder.embed_texts(["fine.", sentence])
    assert str(caught.value) == (
        f"the prompt {sentence!r} has {limit + 1} tokens; {small_clip} takes {limit}: shorten it"
    )
    assert encoder.embed_texts([sentence[1:]]).shape == (1, 16)


def locate_without_hub(hub_home: Path, **variables: str) -> str:
    """Return the output of `locate_model` for a hub id in a process that cannot reach the hub."""
    code = (
        "from clip_cfr.extract.errors import ExtractError\n"
        "from clip_cfr.extract.encoders.transformers_clip.model_files import locate_model\n"
        "try:\n    print(locate_model('someone/clip', None).commit)\n"
        "except ExtractError as error:\n    print(error)\n"
    )
    unreachable = {"HF_HOME": str(hub_home), "HF_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **unreachable, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_an_unreachable_hub_is_one_line(tmp_path):
    assert locate_without_hub(tmp_path) == (
        "model someone/clip is not a local folder, and the Hugging Face hub cannot be reached and "
        f"its local cache has no copy; {REMEDY}\n"
    )


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def snapshot(small_clip, tmp_path) -> Path:
    """Return the folder of a model in a local cache of the hub in `tmp_path`."""
    repository = tmp_path / "hub" / "models--someone--clip"
    shutil.copytree(small_clip, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


@pytest.mark.parametrize("variables", [{}, {"HF_HUB_OFFLINE": "1"}, {"TRANSFORMERS_OFFLINE": "1"}])
def test_a_model_in_the_local_hub_cache_needs_no_hub(snapshot, tmp_path, variables):
    assert locate_without_hub(tmp_path, **variables) == f"{COMMIT}\n"


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_a_model_that_may_not_be_downloaded_names_the_variable(tmp_path, variable):
    assert locate_without_hub(tmp_path, **{variable: "1"}) == (
        "model someone/clip is not a local folder, and the hub's local cache has no copy, and "
        f"{variable} prevents downloading one: unset it, or set HF_HOME to the cache that has it; "
        f"or {REMEDY}\n"
    )


def test_an_incomplete_copy_in_the_hub_cache_is_named(snapshot, tmp_path):
    (snapshot / "model.safetensors").unlink()
    assert locate_without_hub(tmp_path, HF_HUB_OFFLINE="1") == (
        "model someone/clip has no weights: expected model.safetensors or pytorch_model.bin in "
        f"{snapshot}; if the hub has more files of the model, the copy in its local cache is "
        "incomplete: run again where the hub can be reached, with HF_HUB_OFFLINE unset\n"
    )


def test_a_model_of_sentence_transformers_in_the_hub_cache_is_taken(snapshot, tmp_path):
    (snapshot / "0_CLIPModel").mkdir()
    for path in [path for path in snapshot.iterdir() if path.is_file()]:
        path.rename(snapshot / "0_CLIPModel" / path.name)
    found = locate_without_hub(tmp_path, HF_HUB_OFFLINE="1").splitlines()
    assert found[-1] == COMMIT


def test_sharded_weights_are_hashed_in_order(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model-00002-of-00002.safetensors").write_bytes(whole[500:])
    (folder / "model-00001-of-00002.safetensors").write_bytes(whole[:500])
    files = locate_model(str(folder), None)
    assert files.weights_sha256() == hashlib.sha256(whole).hexdigest()
