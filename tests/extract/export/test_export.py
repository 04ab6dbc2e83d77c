"""Exports: loaded by the libraries that they are for, they repeat the predictions of the run."""

import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image
from safetensors import safe_open
from transformers import AutoImageProcessor, AutoModel, CLIPModel, pipeline

from clip_cfr.cache.errors import CacheError, OutputError
from clip_cfr.cache.format.schema import OtherPrompts
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.cache.runs.apply_head import apply_head, to_probabilities
from clip_cfr.cache.runs.run import read_run, write_run
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.cli import main
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import TINY_CLIP, EncoderSpec
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.export.export import export_model
from clip_cfr.extract.export.onnx_model import Classifier


@pytest.fixture(scope="module")
def exported(digits_run) -> Path:
    """The recommended head as a CLIP of transformers, exported by the command."""
    out = digits_run / "clip"
    words = ["export", "--run", str(digits_run / "run"), "--out", str(out), "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert (found["form"], found["method"], found["seed"]) == ("transformers", "cfr", 1)
    return out


def stored(digits_run: Path, name: str, split: str = "test"):
    """Return paths of images, class names, and the run's probabilities (n, classes)."""
    columns = read_run(digits_run / "run").predictions
    rows = columns["split"] == split
    paths = [digits_run / "images" / each for each in columns["id"][rows]]
    values = [columns[f"{name}_p{label}"][rows] for label in range(2)]
    return paths, columns[name][rows], np.stack(values, axis=1).astype(float)


def message_of(kind: type[Exception], *arguments, **options) -> str:
    with pytest.raises(kind) as error:
        export_model(*arguments, **options)
    return str(error.value)


def test_transformers_repeats_the_predictions_of_the_run(digits_run, exported):
    paths, _, expected = stored(digits_run, "cfr_seed1")
    model = AutoModel.from_pretrained(exported).eval()
    assert isinstance(model, CLIPModel)
    processor = AutoImageProcessor.from_pretrained(exported, backend="pil")
    with safe_open(exported / "head.safetensors", "np") as head:
        classes = torch.from_numpy(head.get_tensor("class_embeddings"))
    with torch.inference_mode():
        pixels = processor([Image.open(path) for path in paths], return_tensors="pt")
        embeddings = model.get_image_features(**pixels).pooler_output
        embeddings = torch.nn.functional.normalize(embeddings, dim=1)
        found = (model.logit_scale.exp() * embeddings @ classes.T).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_pipeline_repeats_the_accuracies_in_the_card(digits_run, exported):
    paths, _, _ = stored(digits_run, "cfr_seed1")
    cache = read_cache(digits_run / "digits.h5")
    classify = pipeline("zero-shot-image-classification", str(exported))
    labels = list(cache.texts.class_names)
    answers = classify(
        [str(path) for path in paths],
        candidate_labels=labels,
        hypothesis_template="a photo of a {}.",
    )
    columns = read_run(digits_run / "run").predictions
    truth = columns["label"][columns["split"] == "test"]
    accuracy = np.mean([a[0]["label"] == b for a, b in zip(answers, truth, strict=True)])
    card = (exported / "README.md").read_text()
    (row,) = re.findall(r"`a photo of a {}\.` \| [\d.]+ -> ([\d.]+)", card)
    assert float(row) == pytest.approx(100 * accuracy, abs=0.05)


def test_the_pipeline_repeats_predictions_where_a_class_has_one_prompt(digits_run, tmp_path):
    """Its template and the class prompt are then the same sentence."""
    cache = read_cache(digits_run / "digits.h5")
    first = [prompts[0] for prompts in cache.texts.class_prompts]
    embeddings = cache.texts.class_prompt_embeddings[[0, len(cache.texts.class_prompts[0])]]
    run = read_run(digits_run / "run")
    heads = {name: {**arrays, "class_embeddings": embeddings} for name, arrays in run.heads.items()}
    write_run(tmp_path / "run", replace(run, heads=heads))
    export_model(tmp_path / "run", tmp_path / "out")
    paths, _, _ = stored(digits_run, "cfr_seed1")
    classify = pipeline("zero-shot-image-classification", str(tmp_path / "out"))
    answers = classify(
        [str(path) for path in paths], candidate_labels=first, hypothesis_template="{}"
    )
    head = heads["cfr-seed1"]
    rows = run.predictions["row"][run.predictions["split"] == "test"]
    expected = to_probabilities(head, apply_head(head, cache.features[rows]))
    found = [{each["label"]: each["score"] for each in answer} for answer in answers]
    np.testing.assert_allclose(
        [[each[label] for label in first] for each in found], expected, atol=1e-4
    )


def test_the_card_has_the_prompts_of_the_run_and_measures_the_others(digits_run, tmp_path):
    cache, path = read_cache(digits_run / "digits.h5"), tmp_path / "cache.h5"
    names = cache.texts.class_names
    embeddings = cache.texts.class_prompt_embeddings[[2, 12]]
    others = OtherPrompts(names, ("name", "name"), np.arange(2, dtype=np.int32), embeddings)
    write_cache(path, replace(cache, texts=replace(cache.texts, other_prompts=others)))
    run = read_run(digits_run / "run")
    config = run.config | {"cache": str(path), "prompts": "name"}
    provenance = run.provenance | {"cache_sha256": content_digest(path)}
    write_run(tmp_path / "run", replace(run, config=config, provenance=provenance))
    found = export_model(tmp_path / "run", tmp_path / "out")
    assert "prompt set `imagenet`, its mean" in [each.prompts for each in found.prompts]
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(f"- `{name}`: `{name}`\n" in card for name in names)


def test_the_card_has_metadata_figures_and_the_command(digits_run, exported):
    card = (exported / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1]) == {
        "library_name": "transformers",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["clip", "clip-cfr", "group-robustness"],
    }
    assert f"clip-cfr export --run {digits_run / 'run'} --method cfr --seed 1" in card
    assert "| all class prompts, their mean (as in the run) |" in card
    assert "one class prompt alone, median of 10" in card
    assert "the attribute instead of the class" in card
    _, predicted, _ = stored(digits_run, "cfr_seed1")
    columns = read_run(digits_run / "run").predictions
    right = np.mean(predicted == columns["label"][columns["split"] == "test"])
    assert f"average {100 * right:.1f}, worst group" in card
    assert "95 % interval of the lowest accuracy" not in card  # That is of the first seed.


def test_the_exported_clip_can_be_extracted_with(exported, digits_run):
    head = load_encoder(EncoderSpec(str(exported), device="cpu")).head()
    expected = read_run(digits_run / "run").heads["cfr-seed1"]
    np.testing.assert_array_equal(head.projection, expected["projection"])
    assert head.logit_scale == pytest.approx(20, rel=1e-6)


def test_safetensors_needs_neither_torch_nor_model_nor_cache(digits_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(digits_run / "run", run)
    code = (
        "import sys\n"
        "from clip_cfr import export_model\n"
        "export_model(sys.argv[1], sys.argv[2], form='safetensors', method='erm-adapter')\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, run, tmp_path / "out"], check=True, cwd=tmp_path)
    expected = read_run(run).heads["erm-adapter-seed0"]
    with safe_open(tmp_path / "out" / "head.safetensors", "np") as head:
        assert head.metadata()["formula"] == "a formula"
        assert json.loads(head.metadata()["class_names"]) == [
            "a digit from zero to four",
            "a digit from five to nine",
        ]
        assert set(head.keys()) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(head.get_tensor(name), array, err_msg=name)
    modes = {path.stat().st_mode for path in (tmp_path / "out").iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("method", ["cfr", "erm-adapter", "dfr", "linear-probe", "afr"])
def test_torch_applies_each_kind_of_head_as_numpy_does(digits_run, method):
    arrays = read_run(digits_run / "run").heads[f"{method}-seed0"]
    features = read_cache(digits_run / "digits.h5").features[:7]
    logits, probabilities = Classifier(torch.nn.Identity(), arrays)(torch.from_numpy(features))
    expected = apply_head(arrays, features)
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        probabilities.numpy(), to_probabilities(arrays, expected), rtol=1e-4, atol=1e-5
    )


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")),
    reason="needs the extra onnx",
)
def test_onnx_repeats_the_predictions_of_the_run(digits_run, tmp_path):
    import onnxruntime

    export_model(digits_run / "run", tmp_path / "out", form="onnx", method="erm-adapter")
    paths, _, expected = stored(digits_run, "erm-adapter_seed0")
    processor = AutoImageProcessor.from_pretrained(TINY_CLIP, backend="pil")
    pixels = processor([Image.open(path) for path in paths], return_tensors="np")["pixel_values"]
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    _, found = session.run(None, {"pixel_values": np.asarray(pixels, np.float32)})
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_onnx_without_its_extra_names_it(digits_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    words = ["export", "--run", digits_run / "run", "--format", "onnx", "--out", tmp_path / "out"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: the package onnx is missing; install it with: pip install "
        "'clip-cfr[extract,onnx]'\n",
    )
    assert list(tmp_path.iterdir()) == []


REMEDY = (
    "; use --format onnx or --format safetensors, or the head of a method that trains the "
    "projection, such as --method cfr"
)


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("erm-adapter", "an adapter of embeddings, which CLIP has not"),
        (
            "dfr",
            "a linear classifier of the pooled class token, which no class of the library applies "
            "(CLIPForImageClassification averages patch tokens)",
        ),
    ],
)
def test_a_head_that_is_no_projection_is_refused(digits_run, tmp_path, method, why):
    run = digits_run / "run"
    assert message_of(ExtractError, run, tmp_path / "out", method=method) == (
        f"{run}: --format transformers cannot hold the head of {method}, {why}{REMEDY}"
    )


class TestRefused:
    """Each refusal names the file, what was expected and found, and the remedy."""

    def test_a_model_of_the_other_library(self, digits_run, tmp_path):
        run = digits_run / "run"
        assert message_of(ExtractError, run, tmp_path / "out", form="open-clip") == (
            f"{run}: its features are from {TINY_CLIP}, a model of transformers, which --format "
            "open-clip cannot hold; use --format transformers"
        )

    def test_imported_features(self, digits_run, tmp_path):
        run = read_run(digits_run / "run")
        provenance = {**run.provenance, "cache": {"model": "elsewhere"}}
        write_run(tmp_path / "run", replace(run, provenance=provenance))
        assert message_of(ExtractError, tmp_path / "run", tmp_path / "out") == (
            f"{tmp_path / 'run'}: its features were imported, so that no weights of a model are "
            "known, which --format transformers needs; use --format safetensors"
        )

    def test_an_unknown_format(self, digits_run, tmp_path):
        found = message_of(OptionError, digits_run / "run", tmp_path / "out", form="pickle")
        assert found == (
            "--format pickle: expected one of transformers, open-clip, safetensors, onnx"
        )

    def test_a_method_that_the_run_lacks(self, digits_run, tmp_path):
        found = message_of(CacheError, digits_run / "run", tmp_path / "out", method="jtt")
        assert found.endswith("found jtt; name one that it has, or calibrate again with --method")

    def test_a_cache_that_is_gone(self, digits_run, tmp_path):
        run = read_run(digits_run / "run")
        config = {**run.config, "cache": str(tmp_path / "gone.h5")}
        write_run(tmp_path / "run", replace(run, config=config))
        assert message_of(CacheError, tmp_path / "run", tmp_path / "out") == (
            f"{tmp_path / 'run'}: the cache of this run is not at hand: {tmp_path / 'gone.h5'} was "
            "not found; name it with --cache"
        )
        cache = digits_run / "digits.h5"
        assert export_model(tmp_path / "run", tmp_path / "out", cache=cache).form == "transformers"

    def test_a_cache_that_changed(self, digits_run, tmp_path):
        run = read_run(digits_run / "run")
        found, cache = run.provenance["cache_sha256"], digits_run / "digits.h5"
        write_run(tmp_path / "run", replace(run, provenance=run.provenance | {"cache_sha256": "0"}))
        assert message_of(CacheError, tmp_path / "run", tmp_path / "out") == (
            f"{tmp_path / 'run'}: the cache of this run is not at hand: {cache} has other contents "
            "than at calibration; name it with --cache"
        )
        assert message_of(CacheError, tmp_path / "run", tmp_path / "out", cache=cache) == (
            f"{cache}: expected the cache of the run {tmp_path / 'run'}, with the digest 0, found "
            f"{found}; name the right one with --cache, or calibrate again"
        )
        assert not (tmp_path / "out").exists()

    def test_a_model_that_is_gone(self, digits_run, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        run = read_run(digits_run / "run")
        features = {**run.provenance["cache"], "model": "models/gone"}
        write_run(tmp_path / "run", replace(run, provenance=run.provenance | {"cache": features}))
        assert message_of(ExtractError, tmp_path / "run", tmp_path / "out") == (
            f"{tmp_path / 'run'}: the model models/gone, a local folder or file, is not there "
            f"(looked in the working directory and in the folders above {tmp_path / 'run'} and "
            f"{digits_run / 'digits.h5'}); name it with --model"
        )

    def test_a_model_with_other_weights(self, digits_run, small_clip, tmp_path):
        found = message_of(
            ExtractError, digits_run / "run", tmp_path / "out", model=str(small_clip)
        )
        expected = read_run(digits_run / "run").provenance["cache"]["weights_sha256"]
        assert found.startswith(
            f"model {small_clip}: expected the weights with which the run's features were made, "
            f"SHA-256 {expected}, found "
        )

    def test_a_folder_of_something_else(self, digits_run, tmp_path):
        (tmp_path / "note.txt").write_text("mine")
        for overwrite in (False, True):
            found = message_of(CacheError, digits_run / "run", tmp_path, overwrite=overwrite)
            assert found == f"{tmp_path}: exists and is not an export folder; name another one"
        assert (tmp_path / "note.txt").read_text() == "mine"

    def test_the_run_as_output(self, digits_run):
        run = digits_run / "run"
        assert message_of(OutputError, run, run, overwrite=True) == (
            f"--out {run} is one of the files to read; name another"
        )


def test_an_export_is_replaced_on_request_alone(digits_run, tmp_path):
    run, out = digits_run / "run", tmp_path / "out"
    options = {"form": "safetensors"}
    export_model(run, out, method="dfr", **options)
    assert message_of(CacheError, run, out, **options) == (
        f"{out}: the export exists; replace it with --overwrite or name another"
    )
    (out / "mine.txt").write_text("mine")
    assert message_of(CacheError, run, out, overwrite=True, **options) == (
        f"{out}: the export folder holds mine.txt, which is not part of the export; move it away "
        "or name another folder"
    )
    (out / "mine.txt").unlink()
    export_model(run, out, method="cfr", overwrite=True, **options)
    with safe_open(out / "head.safetensors", "np") as head:
        assert head.metadata()["method"] == "cfr"


def test_a_kill_leaves_no_unfinished_model(digits_run, tmp_path):
    out = tmp_path / "out"
    code = (
        "import os, signal, sys\n"
        "from clip_cfr.extract.export import export\n"
        "def die(path, *_):\n"
        "    (path.parent / '.tmpA1b2C3').touch()  # As safetensors does.\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "export.write_card = die\n"
        "export.export_model(sys.argv[1], sys.argv[2], form='safetensors')"
    )
    done = subprocess.run([sys.executable, "-c", code, digits_run / "run", out], cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    assert len(list(tmp_path.glob(".out.*.tmp"))) == 1
    export_model(digits_run / "run", out, form="safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
