"""Extractions on a real Ray of two encoders, whose processes are killed."""

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
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY
from clip_cfr.extract.manifest.image_source import ImageSource
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract
from tests.samples import save_photos

# Not imported yet: ray reads the environment when it is, which `connected` sets before.
pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
    # Ray forks to start its own processes, which JAX warns of where other tests have started it;
    # a command loads one of the two.
    pytest.mark.filterwarnings(r"ignore:os.fork\(\) was called:RuntimeWarning"),
]

NUM_PHOTOS = 44
OPTIONS = ExtractOptions(batch_size=4, templates="simple", features_dtype="float32")


class Told:
    """A progress that remembers, and calls something when so many batches are saved."""

    def __init__(self, after: int = 0, call=None):
        self.lines, self.saved, self.after, self.call = [], 0, after, call

    def start(self, row: int, num_rows: int) -> None:
        self.started = (row, num_rows)

    def advance(self, num_rows: int) -> None:
        self.saved += 1
        if self.saved == self.after:
            self.call()

    def say(self, line: str) -> None:
        self.lines.append(line)


@dataclass(frozen=True)
class OfOtherProcesses:
    """Images of which one, in any process but this, kills it or cannot be read."""

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
    """The model and the engine, on two encoders that share the cores with two decoders."""
    from clip_cfr.extract.engines.on_ray.cluster import connected

    with connected(None), pytest.MonkeyPatch.context() as patch:
        import ray

        # Ray's processes cannot import the tests: send the class itself.
        ray.cloudpickle.register_pickle_by_value(sys.modules[OfOtherProcesses.__module__])
        from clip_cfr.extract.engines.on_ray import engine
        from clip_cfr.extract.engines.on_ray.resources import Plan

        plan = Plan("cpu", encoders=2, cores=0, gpus=0, decoders=2)
        patch.setattr(engine, "planned", lambda nodes, device: plan)
        yield engine.begin(spec, [].append)
    forget_processes()


def forget_processes() -> None:
    """Collects what Ray leaves behind: it ends its processes without asking for their exit codes,
    of which Python warns when their objects go."""
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
def whole(manifest, spec, tmp_path) -> Path:
    """The file that the local engine makes."""
    extract(manifest, load_encoder(spec), tmp_path / "whole.h5", OPTIONS, Told())
    return tmp_path / "whole.h5"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "photos.h5"


def test_the_file_is_the_same(manifest, on_ray, whole, out):
    model, engine = on_ray
    told = Told()
    extract(manifest, model, out, OPTIONS, told, engine)
    assert verify_cache(out) == verify_cache(whole)
    found, expected = read_cache(out).provenance, read_cache(whole).provenance
    assert found | {"created": ""} == expected | {"created": ""}
    assert (told.started, told.saved) == ((0, NUM_PHOTOS), 11)
    assert len(told.lines) == 1


def test_an_encoder_that_is_killed_loses_nothing(manifest, on_ray, whole, out, capfd):
    model, engine = on_ray
    killed = Told(2, lambda: os.kill(model.card.pid, signal.SIGKILL))
    extract(manifest, model, out, OPTIONS, killed, engine)
    assert killed.saved == 11
    assert verify_cache(out) == verify_cache(whole)
    assert capfd.readouterr().out == ""


def test_a_decoder_that_is_killed_loses_nothing(manifest, on_ray, whole, out, tmp_path, capfd):
    model, engine = on_ray
    mark = tmp_path / "killed"
    deadly = OfOtherProcesses(manifest.images, 21, os.getpid(), mark)
    extract(replace(manifest, images=deadly), model, out, OPTIONS, Told(), engine)
    assert mark.exists()
    assert verify_cache(out) == verify_cache(whole)
    assert capfd.readouterr() == ("", "")


def test_unreadable_images_and_resuming_are_as_they_are_without_ray(
    manifest, on_ray, spec, photos, out, tmp_path
):
    model, engine = on_ray
    (photos / "0021.png").write_bytes(b"")
    local, skipping = tmp_path / "local.h5", replace(OPTIONS, skip_unreadable=True)
    messages = []
    for path, more in ((local, (load_encoder(spec),)), (out, (model, engine))):
        with pytest.raises(ExtractError) as caught:
            extract(manifest, more[0], path, OPTIONS, Told(), *more[1:])
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert messages[0].endswith("(the 20 rows before are kept)")
    # Each goes on where the other has stopped.
    for path, more in ((out, (load_encoder(spec),)), (local, (model, engine))):
        told = Told()
        extract(manifest, more[0], path, skipping, told, *more[1:])
        assert "resuming at row 20" in told.lines
        assert (
            f"skipped: {messages[0].removesuffix(f'; {REMEDY} (the 20 rows before are kept)')}"
            in told.lines
        )
    assert verify_cache(out) == verify_cache(local)
    assert np.flatnonzero(~read_cache(out).valid).tolist() == [21]


def test_a_node_that_does_not_see_the_images_skips_none(manifest, on_ray, out):
    model, engine = on_ray
    hidden = replace(manifest, images=OfOtherProcesses(manifest.images, 21, os.getpid()))
    skipping = replace(OPTIONS, skip_unreadable=True)
    with pytest.raises(ExtractError) as caught:
        extract(hidden, model, out, skipping, Told(), engine)
    assert (
        " cannot read what can be read here (0021.png: the file cannot be read (No such file or "
        "directory)): the data set must lie under the same path on every node of the Ray cluster; "
    ) in str(caught.value)
