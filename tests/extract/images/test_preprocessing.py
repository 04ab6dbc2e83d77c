import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from transformers import CLIPImageProcessorPil, CLIPModel, SiglipImageProcessorPil

from clip_cfr.extract.encoders.image_tower import ImageTower
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.encoders.transformers_clip.preprocessing import described, view_of
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import decode
from clip_cfr.extract.images.preprocessing import View

EXIF_TURN = 6


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def noise(mode: str = "RGB", size: tuple[int, int] = (300, 201)) -> Image.Image:
    """Blocks of colour, so that a resampling filter has edges to get wrong."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (size[1] // 5 + 1, size[0] // 5 + 1, 3), dtype=np.uint8)
    return Image.fromarray(blocks.repeat(5, 0).repeat(5, 1)[: size[1], : size[0]]).convert(mode)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = EXIF_TURN
    return encoded(noise(), "JPEG", exif=exif)


FILES = {
    "landscape": encoded(noise(), "JPEG"),
    "portrait": encoded(noise(size=(201, 350)), "JPEG"),
    "small and odd": encoded(noise(size=(31, 57)), "PNG"),
    "wide": encoded(noise(size=(900, 61)), "PNG"),
    "grey": encoded(noise("L"), "PNG"),
    "palette": encoded(noise("P"), "PNG"),
    "rgba": encoded(noise("RGBA"), "PNG"),
    "cmyk": encoded(noise("CMYK"), "JPEG"),
    "16 bits": encoded(Image.fromarray(np.asarray(noise("L")).astype(np.uint16) * 257), "PNG"),
    "turned by EXIF": turned(),
}


def expected_image(raw: bytes) -> Image.Image:
    """What one gives transformers: it neither turns images by EXIF nor scales 16 bits to 8."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(raw)))
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    return image


def processor_of(side: int) -> CLIPImageProcessorPil:
    return CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )


def normalised(view: View, pixels: np.ndarray) -> np.ndarray:
    tower = ImageTower(None, view, torch.device("cpu"), "float32", False, False)
    return tower.normalised(torch.from_numpy(pixels[None]))[0].numpy()


@pytest.mark.parametrize("side", [224, 336])
@pytest.mark.parametrize("kind", FILES)
def test_pixels_are_those_of_the_image_processor_to_the_bit(kind, side):
    processor = processor_of(side)
    view = view_of(described(processor)["configuration"])
    inputs = processor(images=expected_image(FILES[kind]), return_tensors="np")
    pixels = view.pixels(decode(FILES[kind], kind))
    assert (pixels.shape, pixels.dtype) == ((side, side, 3), np.uint8)
    np.testing.assert_array_equal(normalised(view, pixels), inputs["pixel_values"][0])


OTHER_PROCESSORS = {
    "larger than what is cut out": CLIPImageProcessorPil(size={"shortest_edge": 50}, crop_size=33),
    "smaller than what is cut out": CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size=41),
    "bilinear, not normalised": CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=32, resample=2, do_normalize=False
    ),
    "a square": SiglipImageProcessorPil(size={"height": 48, "width": 48}),
}


@pytest.mark.parametrize("kind", OTHER_PROCESSORS)
@pytest.mark.parametrize("size", [(300, 201), (37, 64)])
def test_other_configurations_give_the_same_pixels_too(kind, size):
    processor, image = OTHER_PROCESSORS[kind], noise(size=size)
    view = view_of(described(processor)["configuration"])
    inputs = processor(images=image, return_tensors="np")
    np.testing.assert_array_equal(normalised(view, view.pixels(image)), inputs["pixel_values"][0])


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
def test_what_no_view_does_is_refused_by_name(changes, named):
    configuration = described(processor_of(32))["configuration"] | changes
    with pytest.raises(ExtractError) as caught:
        view_of(configuration)
    assert str(caught.value) == (
        f"its image processor has {named}, which is not reproduced here; expected to scale the "
        "shorter side and cut out the centre, or to scale to a square"
    )


def test_features_of_files_are_those_of_transformers(small_clip):
    """To the rounding of float32: sums in another order, 1e-5 of the values at most."""
    encoder = load_encoder(EncoderSpec(str(small_clip), device="cpu"))
    processor = CLIPImageProcessorPil.from_pretrained(small_clip)
    images = [expected_image(raw) for raw in FILES.values()]
    model = CLIPModel.from_pretrained(small_clip).eval()
    with torch.inference_mode():
        inputs = processor(images=images, return_tensors="pt")
        expected = model.vision_model(**inputs).pooler_output.numpy()
    pixels = np.stack([encoder.view.pixels(decode(raw, kind)) for kind, raw in FILES.items()])
    np.testing.assert_allclose(encoder.encode(pixels), expected, rtol=1e-5, atol=1e-5)
