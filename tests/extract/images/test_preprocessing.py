import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from transformers import CLIPImageProcessorPil, CLIPModel, SiglipImageProcessorPil

from clip_cfr.extract.encoders.devices import ComputeSettings
from clip_cfr.extract.encoders.image_tower import ImageTower
from clip_cfr.extract.encoders.transformers_clip.preprocessing import (
    describe_processor,
    parse_processor,
)
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import decode_image
from clip_cfr.extract.images.preprocessing import Preprocessing

EXIF_ROTATED = 6


def encode(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def make_noise(mode: str = "RGB", size: tuple[int, int] = (300, 201)) -> Image.Image:
    """Return blocks of colour, whose edges depend on the resampling filter."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (size[1] // 5 + 1, size[0] // 5 + 1, 3), dtype=np.uint8)
    return Image.fromarray(blocks.repeat(5, 0).repeat(5, 1)[: size[1], : size[0]]).convert(mode)


def encode_rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = EXIF_ROTATED
    return encode(make_noise(), "JPEG", exif=exif)


FILES = {
    "landscape": encode(make_noise(), "JPEG"),
    "portrait": encode(make_noise(size=(201, 350)), "JPEG"),
    "small and odd": encode(make_noise(size=(31, 57)), "PNG"),
    "wide": encode(make_noise(size=(900, 61)), "PNG"),
    "grey": encode(make_noise("L"), "PNG"),
    "palette": encode(make_noise("P"), "PNG"),
    "rgba": encode(make_noise("RGBA"), "PNG"),
    "cmyk": encode(make_noise("CMYK"), "JPEG"),
    "16 bits": encode(Image.fromarray(np.asarray(make_noise("L")).astype(np.uint16) * 257), "PNG"),
    "rotated by EXIF": encode_rotated(),
}


def expected_image(raw: bytes) -> Image.Image:
    """Return the image to give transformers, which ignores EXIF and does not scale 16 bits to 8."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(raw)))
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    return image


def make_processor(side: int) -> CLIPImageProcessorPil:
    return CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )


def normalize(preprocessing: Preprocessing, pixels: np.ndarray) -> np.ndarray:
    settings = ComputeSettings(torch.device("cpu"), "float32", compile=False, channels_last=False)
    tower = ImageTower(None, preprocessing, settings)
    return tower.normalize(torch.from_numpy(pixels[None]))[0].numpy()


@pytest.mark.parametrize("side", [224, 336])
@pytest.mark.parametrize("kind", FILES)
def test_pixels_equal_those_of_the_image_processor(kind, side):
    processor = make_processor(side)
    preprocessing = parse_processor(describe_processor(processor)["configuration"])
    inputs = processor(images=expected_image(FILES[kind]), return_tensors="np")
    pixels = preprocessing.apply(decode_image(FILES[kind], kind))
    assert (pixels.shape, pixels.dtype) == ((side, side, 3), np.uint8)
    np.testing.assert_array_equal(normalize(preprocessing, pixels), inputs["pixel_values"][0])


OTHER_PROCESSORS = {
    "larger than the crop": CLIPImageProcessorPil(size={"shortest_edge": 50}, crop_size=33),
    "smaller than the crop": CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size=41),
    "bilinear, not normalized": CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=32, resample=2, do_normalize=False
    ),
    "a square": SiglipImageProcessorPil(size={"height": 48, "width": 48}),
}


@pytest.mark.parametrize("kind", OTHER_PROCESSORS)
@pytest.mark.parametrize("size", [(300, 201), (37, 64)])
def test_pixels_of_other_configurations_equal_those_of_the_image_processor(kind, size):
    processor, image = OTHER_PROCESSORS[kind], make_noise(size=size)
    preprocessing = parse_processor(describe_processor(processor)["configuration"])
    inputs = processor(images=image, return_tensors="np")
    np.testing.assert_array_equal(
        normalize(preprocessing, preprocessing.apply(image)), inputs["pixel_values"][0]
    )


@pytest.mark.parametrize("kind", OTHER_PROCESSORS)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (5, 1), (1, 40), (4000, 300)])
def test_pixels_of_tiny_images_equal_those_of_the_image_processor(kind, size):
    processor, image = OTHER_PROCESSORS[kind], make_noise(size=size)
    preprocessing = parse_processor(describe_processor(processor)["configuration"])
    inputs = processor(images=image, return_tensors="np", input_data_format="channels_last")
    np.testing.assert_array_equal(
        normalize(preprocessing, preprocessing.apply(image)), inputs["pixel_values"][0]
    )


@pytest.mark.parametrize("kind", OTHER_PROCESSORS)
@pytest.mark.parametrize("size", [(2001, 3), (2, 4000), (1, 300), (40_000, 500)])
def test_pixels_of_strips_are_those_of_the_image_processor(kind, size):
    """Up to the rounding of the crop's bounds, which is within one of 255 levels."""
    processor, image = OTHER_PROCESSORS[kind], make_noise(size=size)
    preprocessing = parse_processor(describe_processor(processor)["configuration"])
    inputs = processor(images=image, return_tensors="np", input_data_format="channels_last")
    pixels = normalize(preprocessing, preprocessing.apply(image))
    level = 1 / 255 / min(preprocessing.std)
    np.testing.assert_allclose(pixels, inputs["pixel_values"][0], rtol=0, atol=1.01 * level)


def test_the_resized_form_of_a_strip_is_only_its_crop():
    preprocessing = parse_processor(describe_processor(make_processor(336))["configuration"])
    strip = make_noise(size=(60_000, 3))
    assert preprocessing.resize(strip, (6_720_000, 336)).size == (336, 336)
    assert preprocessing.resize(strip.crop((0, 0, 60, 3)), (6720, 336)).size == (6720, 336)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"do_pad": True}, "do_pad true"),
        ({"do_resize": False}, "do_resize false"),
        ({"do_rescale": False}, "do_rescale false"),
        ({"rescale_factor": 1 / 127.5}, "rescale_factor 0.00784313725490196"),
        ({"resample": 9}, "resample 9"),
        ({"do_center_crop": False}, 'size {"shortest_edge": 32}'),
        ({"size": {"longest_edge": 32}}, 'size {"longest_edge": 32}'),
        ({"crop_size": {"height": 32, "width": 30}}, 'crop_size {"height": 32, "width": 30}'),
    ],
)
def test_an_unsupported_setting_is_an_error_that_names_it(changes, named):
    configuration = describe_processor(make_processor(32))["configuration"] | changes
    with pytest.raises(ExtractError) as caught:
        parse_processor(configuration)
    assert str(caught.value) == (
        f"its image processor has {named}, which is not supported; expected a resize of the "
        "shorter side and a centre crop, or a resize to a square"
    )


def test_features_of_files_equal_those_of_transformers(encoder, small_clip):
    """Up to the rounding of float32: sums are in another order, 1e-5 of the values at most."""
    processor = CLIPImageProcessorPil.from_pretrained(small_clip)
    images = [expected_image(raw) for raw in FILES.values()]
    model = CLIPModel.from_pretrained(small_clip).eval()
    with torch.inference_mode():
        inputs = processor(images=images, return_tensors="pt")
        expected = model.vision_model(**inputs).pooler_output.numpy()
    images = [decode_image(raw, kind) for kind, raw in FILES.items()]
    pixels = np.stack([encoder.preprocessing.apply(image) for image in images])
    np.testing.assert_allclose(encoder.encode(pixels), expected, rtol=1e-5, atol=1e-5)
