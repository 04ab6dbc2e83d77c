"""What can go wrong with images and disks in the middle: nothing finished is lost, all is said."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.reader import verify_cache
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract
from tests.samples import save_photos

NUM_PHOTOS = 40
OPTIONS = ExtractOptions(batch_size=8, templates="simple")
BAD = "0021.png"


class Told:
    """A progress that remembers what is said."""

    def __init__(self):
        self.lines = []

    def start(self, row: int, num_rows: int) -> None:
        pass

    def advance(self, num_rows: int) -> None:
        pass

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def encoder(small_clip):
    return load_encoder(EncoderSpec(str(small_clip), device="cpu"))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("originals") / "photos", NUM_PHOTOS)


@pytest.fixture(scope="module")
def digests(originals, encoder, tmp_path_factory):
    """Those of the cache that an extraction without a fault writes."""
    out = tmp_path_factory.mktemp("whole") / "whole.h5"
    extract(load(originals), encoder, out, OPTIONS, Told())
    return verify_cache(out)


@pytest.fixture
def photos(originals, tmp_path):
    return shutil.copytree(originals, tmp_path / "photos")


def load(root: Path):
    return load_dataset("folder", root, DatasetOptions())


def fail(*args) -> str:
    """What an extraction that fails says."""
    with pytest.raises((ExtractError, CacheError)) as caught:
        extract(*args, Told())
    return str(caught.value)


def unreadable(path: Path) -> None:
    """Puts a file there that opens and then gives EIO, as a failing disk does."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


def pipe(path: Path) -> None:
    """Puts a pipe there, whose reader waits for a writer without end."""
    path.unlink()
    os.mkfifo(path)


FAULTS = {
    "read error": (unreadable, "Input/output error"),
    "vanished": (Path.unlink, "No such file or directory"),
    "pipe": (pipe, "it is a pipe or a device, not a regular file"),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_image_that_fails_after_it_was_listed_costs_its_batch_alone(
    photos, originals, encoder, digests, tmp_path, fault, workers
):
    spoil, said = FAULTS[fault]
    manifest, out = load(photos), tmp_path / "out.h5"
    options = replace(OPTIONS, workers=workers)
    spoil(photos / BAD)
    assert fail(manifest, encoder, out, options) == (
        f"{BAD}: the file cannot be read ({said}); {REMEDY} (the 16 rows before are kept)"
    )
    (photos / BAD).unlink(missing_ok=True)
    shutil.copy(originals / BAD, photos / BAD)
    told = Told()
    extract(manifest, encoder, out, options, told)
    assert told.lines[-1] == "resuming at row 16"
    assert verify_cache(out) == digests


def test_a_folder_that_goes_away_is_not_skipped_image_by_image(photos, encoder, digests, tmp_path):
    class Unmounting(Told):
        def advance(self, num_rows):
            photos.rename(tmp_path / "elsewhere")
            self.advance = lambda num_rows: None

    manifest, out = load(photos), tmp_path / "out.h5"
    # In this process, for workers read ahead: few images and all are read before the folder goes.
    options = replace(OPTIONS, workers=0, skip_unreadable=True)
    with pytest.raises(ExtractError) as caught:
        extract(manifest, encoder, out, options, Unmounting())
    assert "could be read before and cannot now (No such file or directory), so the folder of " in (
        str(caught.value)
    )
    (tmp_path / "elsewhere").rename(photos)
    assert extract(manifest, encoder, out, options, Told()).unreadable == ()
    assert verify_cache(out) == digests


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, of 40 kB, which `resize` makes larger or smaller."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True).returncode == 0

    if not shutil.which("mount") or not mount("size=40k"):
        pytest.skip("only root can mount a small disk here")
    yield place, lambda size: mount(f"remount,size={size}")
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_keeps_what_is_done(photos, encoder, digests, small_disk):
    """Whether it fills up with the rows or only as the finished file is put together."""
    disk, resize = small_disk
    manifest, out = load(photos), disk / "out.h5"
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(28 << 10))
    message = fail(manifest, encoder, out, OPTIONS)
    assert message.startswith(f"{out}: cannot be written: No space left on device; ")
    assert message.endswith("; make room and run the same command again")
    assert "rows are safe in out.h5.partial" in message
    ballast.unlink()
    assert resize("16k")
    assert "; 40 of 40 rows are safe in out.h5.partial; " in fail(manifest, encoder, out, OPTIONS)
    assert sorted(path.name for path in disk.iterdir()) == ["out.h5.journal", "out.h5.partial"]
    assert resize("1m")
    told = Told()
    extract(manifest, encoder, out, OPTIONS, told)
    assert told.lines[-1] == "resuming at row 40"
    assert verify_cache(out) == digests


def test_a_data_set_that_changed_between_runs_is_not_gone_on_with(
    photos, encoder, digests, tmp_path
):
    out = tmp_path / "out.h5"
    before = load(photos)
    (photos / BAD).write_bytes(b"")
    fail(before, encoder, out, OPTIONS)
    (photos / BAD).write_bytes(photos.joinpath("0020.png").read_bytes())
    listed = photos / "metadata.csv"
    text = listed.read_text()
    listed.write_text(text.replace("0002.png,cat", "0002.png,dog"))
    assert fail(load(photos), encoder, out, OPTIONS) == (
        f"{out}: the data set is not the one that this was begun with: an image, a label, an "
        "attribute, a split, a name or the order has changed; put it back and run the same "
        "command again, for what is done is kept, or start anew with --overwrite"
    )
    told = Told()
    extract(before, encoder, out, OPTIONS, told)
    assert told.lines[-1] == "resuming at row 16"
    extract(load(photos), encoder, out, replace(OPTIONS, overwrite=True), told)
