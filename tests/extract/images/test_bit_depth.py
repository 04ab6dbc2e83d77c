"""The option --bit-depth in an extraction: what is warned of, measured and recorded."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip_cfr.cache.read.reader import read_cache
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.images.bit_depth import measure_bit_depth, needed_bits
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract_manifest
from tests.extract.extraction import RecordingReporter
from tests.extract.images.deep_files import encode_png, encode_tiff
from tests.samples import save_photos

NUM_PHOTOS = 20


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of which half use 12 of 16 bits, grey or colours, up to the value 4095."""
    root = save_photos(tmp_path / "photos", NUM_PHOTOS)
    rng = np.random.default_rng(1)
    for number in range(0, NUM_PHOTOS, 2):
        values = rng.integers(0, 4096, (36, 48, 3))
        values[0, 0] = 4095
        values = values[..., 0] if number % 4 else values
        encode = encode_png if number % 3 else encode_tiff
        (root / f"{number:04}.png").write_bytes(encode(values))
    return root


def extract(root: Path, encoder, out: Path, **options) -> tuple[list[str], tuple[str, ...]]:
    """Extract all images; return the messages and the warnings of the summary."""
    reporter = RecordingReporter()
    manifest = load_dataset("folder", root, DatasetOptions())
    settings = ExtractOptions(batch_size=8, templates="simple", **options)
    summary = extract_manifest(manifest, encoder, out, settings, reporter=reporter)
    return reporter.lines, summary.warnings


def test_dark_images_are_warned_of_once(photos, encoder, tmp_path):
    lines, warnings = extract(photos, encoder, tmp_path / "a.h5")
    said = [line for line in lines if "16-bit" in line]
    advice = "; if they use 12 bits, run again with --bit-depth 12 --overwrite"
    dark = "16-bit values up to 4,095 only, where 65,535 is white, so they are encoded dark"
    # After the first batch, so that a long run can be stopped.
    assert said == [f"warning: 4 images (the first is 0000.png): {dark}{advice}"]
    assert warnings == (f"10 images (the first is 0000.png): {dark}{advice}",)


@pytest.mark.parametrize("bit_depth", [12, "auto"])
def test_the_right_range_gives_the_features_of_8_bit_copies(photos, encoder, tmp_path, bit_depth):
    lines, warnings = extract(photos, encoder, tmp_path / "a.h5", bit_depth=bit_depth)
    assert warnings == ()
    assert ("--bit-depth auto: the values of 16-bit images use 12 bits" in lines) == (
        bit_depth == "auto"
    )
    assert read_cache(tmp_path / "a.h5").provenance["bit_depth"] == 12
    rng = np.random.default_rng(1)
    for number in range(0, NUM_PHOTOS, 2):
        values = rng.integers(0, 4096, (36, 48, 3))
        values[0, 0] = 4095
        values = values[..., 0] if number % 4 else values
        copy = np.round(values / 4095 * 255).astype(np.uint8)
        Image.fromarray(copy).save(photos / f"{number:04}.png")
    extract(photos, encoder, tmp_path / "b.h5")
    deep, plain = (read_cache(tmp_path / f"{name}.h5").features[:] for name in "ab")
    np.testing.assert_array_equal(deep, plain)


def test_values_above_the_range_are_warned_of(photos, encoder, tmp_path):
    _, warnings = extract(photos, encoder, tmp_path / "a.h5", bit_depth=10)
    assert warnings == (
        "10 images (the first is 0000.png): 16-bit values up to 4,095; all above 1,023 become "
        "white with --bit-depth 10",
    )


def test_the_bit_depth_is_the_least_common_one():
    assert [needed_bits(value) for value in (0, 255, 256, 1023, 1024, 4095, 16383, 65535)] == [
        *(8, 8, 10, 10, 12, 12, 14, 16)
    ]


def test_the_measured_bit_depth_of_8_bit_images_is_the_full_one(tmp_path):
    manifest = load_dataset("folder", save_photos(tmp_path / "p", 6), DatasetOptions())
    assert measure_bit_depth(manifest.images, manifest.rows.ids, 10**6) == 16
