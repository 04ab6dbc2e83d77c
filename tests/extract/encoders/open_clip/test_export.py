"""Exports of models of open_clip: the library loads them and repeats the predictions."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from clip_cfr.cache.runs.run import read_run, write_run
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.export.export import export_model
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.pipeline import extract_dataset
from tests.extract.export.conftest import make_run
from tests.samples import save_photos


@pytest.fixture(params=["small_resnet", "small_vit"])
def photos_run(request, tmp_path):
    """A folder with a run on features of a model whose projection has a bias, or has none."""
    model = request.getfixturevalue(request.param)
    options = ExtractOptions(templates="simple", workers=0, features_dtype="float32")
    spec = EncoderSpec(f"open-clip:{model}", device="cpu")
    photos = save_photos(tmp_path / "photos", 20)
    extract_dataset("folder", photos, tmp_path / "c.h5", encoder=spec, options=options)
    write_run(tmp_path / "run", make_run(tmp_path / "c.h5"))
    return tmp_path


def test_open_clip_repeats_the_predictions_of_the_run(open_clip, photos_run):
    out = photos_run / "out"
    assert export_model(photos_run / "run", out).form == "open-clip"
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{out}")
    classes = torch.tensor(load_file(out / "head.safetensors")["class_embeddings"])
    columns = read_run(photos_run / "run").predictions
    images = [preprocess(Image.open(photos_run / "photos" / name)) for name in columns["id"]]
    with torch.inference_mode():
        embeddings = model.eval().encode_image(torch.stack(images), normalize=True)
        found = (model.logit_scale.exp() * embeddings @ classes.T).softmax(dim=1).numpy()
    expected = np.stack([columns["cfr_seed1_p0"], columns["cfr_seed1_p1"]], axis=1)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert set(json.loads((out / "open_clip_config.json").read_text())) == {
        "model_cfg",
        "preprocess_cfg",
    }


def test_transformers_cannot_hold_it(photos_run):
    with pytest.raises(ExtractError, match=r"a model of open_clip, which --format transformers"):
        export_model(photos_run / "run", photos_run / "out", form="transformers")
