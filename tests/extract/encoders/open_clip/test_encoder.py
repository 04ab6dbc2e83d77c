import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.open_clip.projection import detach_projection
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from tests.extract.encoders.open_clip.conftest import RESNET, TEXT, VIT

SENTENCES = ["a photo of a dog.", "a cat", "St. Bernard"]
# Ends of image towers: configuration, and width of the features.
TOWERS = {
    "resnet": (RESNET, 256),
    "vit": (VIT, 48),
    "vit, mean of tokens": ({**VIT, "pool_type": "avg", "final_ln_after_pool": True}, 48),
    "timm, linear": (
        {"timm_model_name": "test_vit", "timm_proj": "linear", "image_size": 160},
        64,
    ),
    "timm, linear with bias": (
        {
            "timm_model_name": "test_resnet",
            "timm_pool": "avg",
            "timm_proj": "linear",
            "timm_proj_bias": True,
            "image_size": 64,
        },
        96,
    ),
    "timm, its own classifier": (
        {"timm_model_name": "test_vit", "timm_proj": "", "timm_pool": "token", "image_size": 160},
        64,
    ),
    "timm, two layers": (
        {
            "timm_model_name": "test_resnet",
            "timm_pool": "avg",
            "timm_proj": "mlp",
            "image_size": 64,
        },
        80,
    ),
}


def load(model, **options):
    return load_encoder(EncoderSpec(f"open-clip:{model}", device="cpu", **options))


def photos(num: int) -> list[Image.Image]:
    """Return blurred patches of colour; a random tower hardly distinguishes images of noise."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (num, 2, 2, 3), dtype=np.uint8)
    return [
        Image.fromarray(each).resize((70 + 9 * i, 90 - 5 * i)) for i, each in enumerate(patches)
    ]


def features_of(encoder, images: list[Image.Image]) -> np.ndarray:
    return encoder.encode(np.stack([encoder.preprocessing.apply(image) for image in images]))


def embeddings_of(encoder, images: list[Image.Image]) -> np.ndarray:
    head = encoder.head()
    embeddings = features_of(encoder, images) @ head.projection
    embeddings = embeddings if head.bias is None else embeddings + head.bias
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def embed_with_open_clip(open_clip, folder, images: list[Image.Image]) -> np.ndarray:
    """Return the image embeddings of open_clip's own functions."""
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    with torch.inference_mode():
        batch = torch.stack([transform(image) for image in images])
        return model.eval().encode_image(batch, normalize=True).numpy()


@pytest.fixture(scope="module")
def encoder(small_resnet):
    return load(small_resnet)


@pytest.mark.parametrize(("vision", "dim"), TOWERS.values(), ids=TOWERS)
def test_features_times_head_are_the_embeddings_of_open_clip(open_clip, save_model, vision, dim):
    folder = save_model(vision)
    encoder = load(folder)
    features = features_of(encoder, photos(3))
    assert (features.shape, features.dtype) == ((3, dim), np.float32)
    assert (encoder.dim, encoder.head().projection.shape) == (dim, (dim, 40))
    expected = embed_with_open_clip(open_clip, folder, photos(3))
    # The images differ by more than the tolerance, so the comparison below can fail.
    assert np.abs(expected[0] - expected[1]).max() > 1e-4
    np.testing.assert_allclose(embeddings_of(encoder, photos(3)), expected, atol=1e-6)


def test_the_head_of_a_resnet_has_a_bias(encoder, small_resnet):
    weights = torch.load(small_resnet / "open_clip_pytorch_model.bin", weights_only=True)
    head = encoder.head()
    np.testing.assert_array_equal(head.projection.T, weights["visual.attnpool.c_proj.weight"])
    np.testing.assert_array_equal(head.bias, weights["visual.attnpool.c_proj.bias"])


def test_the_head_of_a_vit_has_no_bias(small_vit):
    weights = torch.load(small_vit / "open_clip_pytorch_model.bin", weights_only=True)
    head = load(small_vit).head()
    np.testing.assert_array_equal(head.projection, weights["visual.proj"])
    assert head.bias is None


def test_texts_and_logit_scale_are_those_of_open_clip(open_clip, encoder, small_resnet):
    model = open_clip.create_model(f"local-dir:{small_resnet}").eval()
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(f"local-dir:{small_resnet}")(SENTENCES)
        expected = model.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(encoder.embed_texts(SENTENCES), expected, atol=1e-6)
    assert encoder.head().logit_scale == pytest.approx(model.logit_scale.exp().item())
    many = encoder.embed_texts([f"a photo of {number} dogs." for number in range(70)])
    assert many.shape == (70, 40)


def test_a_bias_of_the_logits_does_not_change_probabilities(open_clip, save_model):
    """Models trained with SigLIP's loss have one."""
    folder = save_model(VIT, init_logit_bias=-10.0)
    encoder = load(folder)
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    assert model.logit_bias.item() != 0
    logits = embeddings_of(encoder, photos(3)) @ encoder.embed_texts(SENTENCES).T
    with torch.inference_mode():
        image = torch.from_numpy(embed_with_open_clip(open_clip, folder, photos(3)))
        text = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(SENTENCES), normalize=True)
        expected = (model.logit_scale.exp() * image @ text.T + model.logit_bias).softmax(1)
    found = torch.from_numpy(encoder.head().logit_scale * logits).softmax(1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tower", ["resnet", "vit", "timm, linear"])
def test_bfloat16_is_close(save_model, tower):
    folder = save_model(TOWERS[tower][0])
    exact, low = load(folder, dtype="float32"), load(folder, dtype="bfloat16")
    features, rounded = features_of(exact, photos(3)), features_of(low, photos(3))
    cosine = (features * rounded).sum(1) / np.linalg.norm(features, axis=1)
    np.testing.assert_allclose(cosine / np.linalg.norm(rounded, axis=1), 1, atol=1e-3)
    assert (features != rounded).any()
    np.testing.assert_array_equal(exact.head().projection, low.head().projection)
    np.testing.assert_array_equal(exact.embed_texts(SENTENCES), low.embed_texts(SENTENCES))


def test_channels_last_is_close(small_resnet):
    expected = features_of(load(small_resnet), photos(3))
    found = features_of(load(small_resnet, channels_last=True), photos(3))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_real_rn50_has_2048_features_before_1024(open_clip):
    with torch.random.fork_rng(devices=[]):
        model = open_clip.create_model("RN50", load_weights=False).eval()
    projection = detach_projection(model, 224)
    assert (projection.weight.shape, projection.bias.shape) == ((2048, 1024), (1024,))


def test_provenance_records_what_determines_the_features(encoder, small_resnet):
    provenance = encoder.provenance()
    assert json.loads(json.dumps(provenance)) == provenance
    weights = (small_resnet / "open_clip_pytorch_model.bin").read_bytes()
    assert provenance["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert provenance["model"] == f"open-clip:{small_resnet}"
    assert provenance["revision"] is None
    assert provenance["architecture"] == {
        "class": "CLIP with ModifiedResNet",
        "configuration": {
            "embed_dim": 40,
            "vision_cfg": RESNET,
            "text_cfg": TEXT,
            "quick_gelu": False,
        },
    }
    assert provenance["image_processor"] == {
        "class": "open_clip.image_transform_v2",
        "configuration": {
            "size": 64,
            "mode": "RGB",
            "mean": [0.48145466, 0.4578275, 0.40821073],
            "std": [0.26862954, 0.26130258, 0.27577711],
            "interpolation": "bicubic",
            "resize_mode": "shortest",
            "fill_color": 0,
        },
    }
    assert provenance["compute_dtype"] == "float32"
    assert {"open_clip_torch", "torchvision", "timm"} <= set(provenance["versions"])


def test_an_image_tower_without_a_linear_end_is_an_error(save_model):
    """As in SigLIP, where the output of the attention pool is the embedding."""
    folder = save_model(
        {
            "timm_model_name": "test_vit",
            "timm_pool": "avg",
            "timm_proj": "none",
            "image_size": 160,
        },
        embed_dim=64,
    )
    with pytest.raises(ExtractError) as caught:
        load(folder)
    assert str(caught.value) == (
        f"model open-clip:{folder}: its image tower, a CLIP with TimmModel, does not end in one "
        "linear map, as RN50 and ViT do; embeddings computed elsewhere can be imported with the "
        "command import"
    )


@pytest.mark.parametrize(
    "name",
    ["visual.conv1.weight", "visual.attnpool.c_proj.weight", "visual.bn1.running_mean"],
)
def test_a_weight_of_the_image_tower_that_is_not_finite_is_named(small_resnet, tmp_path, name):
    folder = shutil.copytree(small_resnet, tmp_path / "model")
    weights = torch.load(folder / "open_clip_pytorch_model.bin", weights_only=True)
    weights[name].view(-1)[0] = float("nan")
    torch.save(weights, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ExtractError) as caught:
        load(folder)
    assert str(caught.value) == (
        f"model open-clip:{folder}: the embeddings of its image tower hold NaN or infinity, "
        f"because its weights do, such as {name}: the training that made them failed, or the file "
        "is damaged; take another checkpoint"
    )


def test_a_prompt_that_is_too_long_is_an_error(encoder, small_resnet):
    fits = "x " * 75
    with pytest.raises(ExtractError) as caught:
        encoder.embed_texts(["fine.", fits + "x"])
    assert str(caught.value) == (
        f"the prompt {fits + 'x'!r} has more than 77 tokens, the maximum of "
        f"open-clip:{small_resnet}: shorten it"
    )
    assert encoder.embed_texts([fits]).shape == (1, 40)
