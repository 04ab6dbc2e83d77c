import numpy as np
import pytest
import torch
from PIL import Image

from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.open_clip.preprocessing import parse_transform
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from tests.extract.encoders.open_clip.conftest import VIT

CONFIGURATION = {
    "size": 64,
    "mode": "RGB",
    "mean": [0.48, 0.45, 0.40],
    "std": [0.26, 0.27, 0.28],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
# Shorter than the side, equal to it, and 1 to 8 pixels longer.
SIZES = [(20, 30), (64, 64), (64, 200), (500, 33), *((64 + i, 64) for i in range(1, 9))]
SIZES += [(64, 64 + i) for i in range(1, 9)]


def images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in SIZES]


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
@pytest.mark.parametrize("resize_mode", ["shortest", "squash"])
def test_pixels_are_those_of_open_clips_own_transform(open_clip, interpolation, resize_mode):
    changes = {"interpolation": interpolation, "resize_mode": resize_mode}
    configuration = CONFIGURATION | changes
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**configuration), is_train=False
    )
    preprocessing = parse_transform(configuration)
    mean, std = (torch.tensor(configuration[name])[:, None, None] for name in ("mean", "std"))
    for image in images():
        expected = transform(image).mul(std).add(mean).mul(255)
        pixels = torch.tensor(preprocessing.apply(image)).permute(2, 0, 1)
        torch.testing.assert_close(pixels.float(), expected, atol=1e-3, rtol=0)


def test_the_input_of_the_tower_is_the_output_of_the_transform(open_clip, small_vit):
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{small_vit}")
    encoder = load_encoder(EncoderSpec(f"open-clip:{small_vit}", device="cpu"))
    pixels = np.stack([encoder.preprocessing.apply(image) for image in images()])
    expected = torch.stack([transform(image) for image in images()])
    found = encoder.tower.normalize(torch.from_numpy(pixels))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_a_single_mean_applies_to_all_colours():
    preprocessing = parse_transform(CONFIGURATION | {"mean": 0, "std": 1.0})
    assert (preprocessing.mean, preprocessing.std) == ((0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"size": [64, 96]}, "size [64, 96]"),
        ({"resize_mode": "longest"}, 'resize_mode "longest"'),
        ({"interpolation": "nearest"}, 'interpolation "nearest"'),
    ],
)
def test_an_unsupported_setting_is_an_error_that_names_it(changes, named):
    with pytest.raises(ExtractError) as caught:
        parse_transform(CONFIGURATION | changes)
    assert str(caught.value) == (
        f"its preprocessing has {named}, which is not supported; expected a square size, "
        "resize_mode shortest or squash, and bicubic or bilinear interpolation"
    )


def test_an_error_names_the_model(save_model):
    folder = save_model(VIT, {"resize_mode": "longest"})
    with pytest.raises(ExtractError, match=f"^model open-clip:{folder}: its preprocessing has "):
        load_encoder(EncoderSpec(f"open-clip:{folder}", device="cpu"))
