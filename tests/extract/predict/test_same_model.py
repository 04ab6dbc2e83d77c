"""Whether features are of the model and the preprocessing of a run."""

import pytest

from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.batches import RESUME, WORKER_DIED
from clip_cfr.extract.predict.from_images import choose_dtype, nothing_to_resume
from clip_cfr.extract.predict.same_model import find_difference

RECORDED = {
    "model": "a/model",
    "revision": "abc",
    "weights_sha256": "00",
    "image_processor": {"class": "P", "configuration": {"size": 32}},
    "compute_dtype": "float16",
    "device": "cuda (H100)",
}


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"model": "elsewhere", "revision": None, "device": "cpu", "bit_depth": 16}, None),
        ({"weights_sha256": "01"}, "weights_sha256: expected 00, found 01"),
        ({"bit_depth": 12}, "bit_depth: expected 16, found 12"),
        (
            {"image_processor": {"class": "P", "configuration": {"size": 64}}},
            "image_processor.configuration.size: expected 32, found 64",
        ),
        ({"architecture": {"layers": 2}}, "architecture.layers: expected none, found 2"),
    ],
)
def test_settings_that_change_features_are_compared(changed, difference):
    assert find_difference(RECORDED, RECORDED | changed) == difference


def test_names_of_models_are_compared_without_a_digest():
    imported = {"model": "imported"}
    assert find_difference(imported, imported) is None
    assert find_difference(imported, RECORDED) == "model: expected imported, found a/model"


@pytest.mark.parametrize(
    ("asked", "recorded", "expected"),
    [
        ("auto", "float16", "auto"),
        ("auto", "bfloat16", "bfloat16"),
        ("bfloat16", "float16", "bfloat16"),
    ],
)
def test_the_compute_type_is_that_of_the_run_where_a_cpu_has_it(asked, recorded, expected):
    assert choose_dtype(EncoderSpec("", None, "cpu", asked), recorded) == expected


def test_errors_promise_no_resume():
    with pytest.raises(ExtractError) as error, nothing_to_resume():
        raise ExtractError(WORKER_DIED.format(error="killed"))
    assert RESUME in WORKER_DIED
    assert str(error.value) == (
        "a worker process that decodes images has died (killed): the system kills one when memory "
        "runs out; run the command again, with fewer --workers, or with --workers 0 to decode in "
        "one process"
    )
