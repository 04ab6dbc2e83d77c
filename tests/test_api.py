"""The public names of `clip_cfr` and its packages, and when they are imported."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import clip_cfr
import clip_cfr.calibrate
import clip_cfr.extract

EXTRACT = {
    *("DatasetOptions", "EncoderSpec", "ExtractError", "ExtractOptions", "SyntheticWorld"),
    *("embed_words", "export_model", "extract_dataset", "import_embeddings", "import_synthetic"),
    *("predict_images",),
}
CACHE = {
    *("CacheError", "merge_shards", "open_cache", "read_cache", "read_head", "read_info"),
    *("read_run", "read_words", "verify_cache", "write_cache"),
}
CALIBRATE = {
    *("CFRClassifier", "CalibrationError", "GridResult", "Interval", "Result", "Settings", "Task"),
    *("calibrate_cache", "explain_run", "read_grid_result", "read_result", "search_grid"),
    *("run_cost", "run_study", "write_report"),
}
PACKAGES = {
    "clip_cfr": EXTRACT | CACHE | CALIBRATE,
    "clip_cfr.calibrate": CALIBRATE,
    "clip_cfr.extract": EXTRACT | {"OptionError"},
}


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_listed_and_importable(package):
    module, names = sys.modules[package], PACKAGES[package]
    assert set(module.__all__) == names
    assert names <= set(dir(module))
    assert {getattr(module, name).__name__ for name in names} == names


def test_the_package_has_the_version_of_the_distribution():
    assert clip_cfr.__version__ == version("clip-cfr")


def test_an_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="module 'clip_cfr' has no attribute 'calibrated'"):
        clip_cfr.calibrated  # noqa: B018


def test_options_of_an_extraction_load_neither_torch_nor_jax():
    code = (
        "import sys; from clip_cfr import DatasetOptions, EncoderSpec, ExtractOptions, Settings; "
        "print({'torch', 'jax', 'h5py'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
