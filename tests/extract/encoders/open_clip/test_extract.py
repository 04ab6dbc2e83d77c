import numpy as np
from click.testing import CliRunner

from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.cli import main
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from tests.samples import save_photos


def test_from_images_to_a_cache(small_resnet, tmp_path):
    photos, out = save_photos(tmp_path / "photos", 20), tmp_path / "out.h5"
    model = f"open-clip:{small_resnet}"
    words = ["extract", "--dataset", "folder", "--root", photos, "--model", model, "--out", out]
    fixed = ["--device", "cpu", "--templates", "simple"]
    result = CliRunner().invoke(main, [*map(str, words), *fixed])
    assert result.exit_code == 0, result.output
    verify_cache(out)
    cache = read_cache(out)
    assert cache.features.shape == (20, 256)
    head = load_encoder(EncoderSpec(model, device="cpu")).head()
    np.testing.assert_array_equal(cache.head.bias, head.bias)
    assert cache.provenance["model"] == model
