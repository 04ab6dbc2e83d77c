"""Extractions on a real Ray instance with two encoders, whose processes are killed."""

import gc
import os
import signal
import sys
import warnings
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY
from clip_cfr.extract.manifest.image_source import ImageSource
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract_manifest
from tests.extract.extraction import RecordingReporter
from tests.extract.packing import pack_parquet, pack_tars
from tests.samples import save_photos

# `connect_to_ray` must import ray first, because ray reads the environment on import.
pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
    # Ray forks to start its processes. JAX warns of that if an earlier test has imported it; a
    # command never imports both.
    pytest.mark.filterwarnings(r"ignore:os.fork\(\) was called:RuntimeWarning"),
]

NUM_PHOTOS = 44
OPTIONS = ExtractOptions(batch_size=4, templates="simple", features_dtype="float32")


@dataclass(frozen=True)
class FailingElsewhere:
    """Images of which one fails in every process but the driver.

    Attributes:
        row: index of that image.
        driver: process id of the driver.
        kill_once: reading the image kills the process if this file does not exist, and creates it;
            None raises FileNotFoundError instead.
    """

    images: ImageSource
    row: int
    driver: int
    kill_once: Path | None = None

    def read(self, row: int) -> bytes:
        if row == self.row and os.getpid() != self.driver:
            if self.kill_once is None:
                raise FileNotFoundError(2, "No such file or directory")
            if not self.kill_once.exists():
                self.kill_once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return self.images.read(row)


@pytest.fixture(scope="module")
def spec(small_clip):
    return EncoderSpec(str(small_clip), device="cpu")


@pytest.fixture(scope="module")
def on_ray(spec):
    """Return model and engine, with two encoders and two decoders that share the cores."""
    from clip_cfr.extract.engines.on_ray.cluster import connect_to_ray

    with connect_to_ray(None), pytest.MonkeyPatch.context() as patch:
        import ray

        # Ray's processes cannot import the tests: send the class itself.
        ray.cloudpickle.register_pickle_by_value(sys.modules[FailingElsewhere.__module__])
        from clip_cfr.extract.engines.on_ray import engine
        from clip_cfr.extract.engines.on_ray.resources import ResourcePlan

        plan = ResourcePlan("cpu", encoders=2, cores=0, gpus=0, decoders=2)
        patch.setattr(engine, "plan_resources", lambda nodes, device: plan)
        yield engine.start_encoders(spec, [].append)
    collect_processes()


def collect_processes() -> None:
    """Collect Ray's process objects; Python warns about them because Ray reads no exit codes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def photos(tmp_path):
    return save_photos(tmp_path / "photos", NUM_PHOTOS)


@pytest.fixture
def manifest(photos):
    return load_dataset("folder", photos, DatasetOptions())


@pytest.fixture
def whole(manifest, encoder, tmp_path) -> Path:
    """Return the file that the local engine writes."""
    extract_manifest(manifest, encoder, tmp_path / "whole.h5", OPTIONS)
    return tmp_path / "whole.h5"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "photos.h5"


def test_the_file_is_the_same(manifest, on_ray, whole, out):
    model, engine = on_ray
    reporter = RecordingReporter()
    extract_manifest(manifest, model, out, OPTIONS, reporter=reporter, engine=engine)
    assert verify_cache(out) == verify_cache(whole)
    found, expected = read_cache(out).provenance, read_cache(whole).provenance
    assert found | {"created": ""} == expected | {"created": ""}
    assert (reporter.started, reporter.saved) == ((0, NUM_PHOTOS), [4] * 11)
    assert len(reporter.lines) == 2, "the batch size, and the words"


@pytest.mark.parametrize("name", ["webdataset", "parquet"])
def test_images_in_archives_are_read_by_every_process(photos, on_ray, whole, out, tmp_path, name):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    pack = {"webdataset": pack_tars, "parquet": pack_parquet}[name]
    pack(photos, tmp_path / name)
    model, engine = on_ray
    manifest = load_dataset(name, tmp_path / name)
    extract_manifest(manifest, model, out, OPTIONS, engine=engine)
    np.testing.assert_array_equal(read_cache(out).features, read_cache(whole).features)


def test_an_encoder_that_is_killed_loses_nothing(manifest, on_ray, whole, out, capfd):
    model, engine = on_ray
    reporter = RecordingReporter(2, lambda: os.kill(model.info.pid, signal.SIGKILL))
    extract_manifest(manifest, model, out, OPTIONS, reporter=reporter, engine=engine)
    assert len(reporter.saved) == 11
    assert verify_cache(out) == verify_cache(whole)
    assert capfd.readouterr().out == ""
    wait_for_restart(model)


def wait_for_restart(model) -> None:
    """Wait until a killed encoder has restarted, which the tests after this one need."""
    from clip_cfr.extract.engines.on_ray.waiting import fetch

    fetch(model.actor.describe.options(max_task_retries=-1).remote())


def test_a_decoder_that_is_killed_loses_nothing(manifest, on_ray, whole, out, tmp_path, capfd):
    model, engine = on_ray
    mark = tmp_path / "killed"
    images = FailingElsewhere(manifest.images, 21, os.getpid(), mark)
    extract_manifest(replace(manifest, images=images), model, out, OPTIONS, engine=engine)
    assert mark.exists()
    assert verify_cache(out) == verify_cache(whole)
    assert capfd.readouterr() == ("", "")


def test_ray_and_the_local_engine_resume_each_other(manifest, on_ray, encoder, photos, tmp_path):
    model, engine = on_ray
    engines = {"ray": (model, engine), "local": (encoder, None)}
    (photos / "0021.png").write_bytes(b"")
    messages = {}
    for name, (its_model, its_engine) in engines.items():
        with pytest.raises(ExtractError) as caught:
            extract_manifest(manifest, its_model, tmp_path / name, OPTIONS, engine=its_engine)
        messages[name] = str(caught.value)
    assert messages["ray"] == messages["local"]
    assert messages["ray"].endswith(f"; {REMEDY} (the 20 rows before are kept)")
    skipped = messages["ray"].removesuffix(f"; {REMEDY} (the 20 rows before are kept)")
    skipping = replace(OPTIONS, skip_unreadable=True)
    for name, other in (("ray", "local"), ("local", "ray")):
        its_model, its_engine = engines[name]
        reporter = RecordingReporter()
        unfinished = tmp_path / other
        extract_manifest(
            manifest, its_model, unfinished, skipping, reporter=reporter, engine=its_engine
        )
        assert "resuming at row 20" in reporter.lines
        assert f"skipped: {skipped}" in reporter.lines
    assert verify_cache(tmp_path / "ray") == verify_cache(tmp_path / "local")
    assert np.flatnonzero(~read_cache(tmp_path / "ray").valid).tolist() == [21]


def test_an_image_that_only_another_host_cannot_read_is_an_error(manifest, on_ray, out):
    model, engine = on_ray
    images = FailingElsewhere(manifest.images, 21, os.getpid())
    skipping = replace(OPTIONS, skip_unreadable=True)
    with pytest.raises(ExtractError) as caught:
        extract_manifest(replace(manifest, images=images), model, out, skipping, engine=engine)
    assert (
        " cannot read an image that this host can (0021.png: the file cannot be read (No such file "
        "or directory)): the data set must have the same path on every node of the Ray cluster; "
    ) in str(caught.value)


def do_nothing() -> None:
    """Run on a cluster."""


def test_a_result_that_never_comes_is_one_error(on_ray, monkeypatch):
    import ray

    from clip_cfr.extract.engines.on_ray import waiting

    monkeypatch.setattr(waiting, "STALL_SECONDS", 0.5)
    needs_much = ray.remote(num_cpus=1000)(do_nothing).remote()
    with pytest.raises(ExtractError) as caught:
        waiting.wait_for_any([needs_much], "extracting")
    assert str(caught.value) == (
        "extracting: Ray has delivered nothing for 0 minutes (1 of 1 nodes live); see its state "
        "with `ray status`; the rows written so far are kept: run the same command again to resume"
    )
    ray.cancel(needs_much)
