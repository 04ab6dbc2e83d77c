"""Models like CLIP that transformers has classes of their own for."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModel, AutoTokenizer, CLIPImageProcessorPil

from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.export.transformers_folder import write_transformers
from tests.extract.encoders.test_transformers_clip import SENTENCES, photos, pixels_of

LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
VISION = {**LAYERS, "hidden_size": 24, "image_size": 32, "patch_size": 8}
TEXT = {**LAYERS, "hidden_size": 20, "vocab_size": 514, "max_position_embeddings": 96}
CLIP_LIKE = {
    "AltCLIP": {**TEXT, "project_dim": 20, "pad_token_id": 1},
    "ChineseCLIP": TEXT,
    "MetaClip2": {**TEXT, "bos_token_id": 512, "eos_token_id": 513},
}


@pytest.fixture
def save(small_clip, tmp_path):
    """Return a function that saves a random model with the small CLIP's processor and tokenizer."""

    def save_model(name: str, text: dict) -> Path:
        folder = Path(shutil.copytree(small_clip, tmp_path / name))
        config = getattr(transformers, f"{name}Config")(
            vision_config=VISION, text_config=text, projection_dim=16
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
        return folder

    return save_model


@pytest.mark.parametrize(("name", "text"), CLIP_LIKE.items(), ids=CLIP_LIKE)
def test_features_head_and_texts_give_the_logits_of_the_model(save, name, text):
    folder = save(name, text)
    encoder = load_encoder(EncoderSpec(str(folder), device="cpu"))
    images = CLIPImageProcessorPil.from_pretrained(folder)(images=photos(4), return_tensors="pt")
    tokens = AutoTokenizer.from_pretrained(folder)(SENTENCES, padding=True, return_tensors="pt")
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model(**images, **tokens).logits_per_image.numpy()
    head = encoder.head()
    embeddings = encoder.encode(pixels_of(encoder, photos(4))) @ head.projection
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    logits = head.logit_scale * embeddings @ encoder.embed_texts(SENTENCES).T
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert encoder.provenance()["architecture"]["class"] == f"{name}Model"


@pytest.mark.parametrize(("name", "text"), CLIP_LIKE.items(), ids=CLIP_LIKE)
def test_an_exported_head_is_read_back(save, tmp_path, name, text):
    encoder = load_encoder(EncoderSpec(str(save(name, text)), device="cpu", dtype="float32"))
    projection = np.arange(encoder.dim * 16, dtype=np.float32).reshape(-1, 16)
    out = tmp_path / "out"
    write_transformers(out, encoder, {"projection": projection, "logit_scale": np.float32(9)})
    head = load_encoder(EncoderSpec(str(out), device="cpu")).head()
    np.testing.assert_array_equal(head.projection, projection)
    assert head.logit_scale == pytest.approx(9, rel=1e-6)


def test_positions_of_altclip_start_after_the_padding_token(save):
    encoder = load_encoder(EncoderSpec(str(save("AltCLIP", CLIP_LIKE["AltCLIP"])), device="cpu"))
    assert encoder.embed_texts(["x" * 92]).shape == (1, 16)
    with pytest.raises(ExtractError, match=r"has 95 tokens; .* takes 94: shorten it"):
        encoder.embed_texts(["x" * 93])


@pytest.mark.parametrize("name", ["Siglip", "Siglip2", "Align", "GroupViT", "XCLIP", "Flava"])
def test_models_without_a_linear_head_are_an_error(small_clip, tmp_path, name):
    """Their image towers end differently, or take more than one image."""
    folder = Path(shutil.copytree(small_clip, tmp_path / name))
    config = getattr(transformers, f"{name}Config")()
    config.save_pretrained(folder)
    with pytest.raises(ExtractError) as caught:
        load_encoder(EncoderSpec(str(folder), device="cpu"))
    assert str(caught.value) == (
        f"model {folder} is of type {config.model_type!r}; expected one of clip, altclip, "
        "chinese_clip, metaclip_2, whose image head is one linear map; embeddings computed "
        "elsewhere can be imported with the command import"
    )
