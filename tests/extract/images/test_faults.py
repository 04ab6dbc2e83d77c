"""Failing images and disks during an extraction: saved rows are kept, and messages are exact."""

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
from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract_manifest
from tests.extract.extraction import RecordingReporter
from tests.samples import save_photos

NUM_PHOTOS = 40
OPTIONS = ExtractOptions(batch_size=8, templates="simple")
BAD = "0021.png"


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("originals") / "photos", NUM_PHOTOS)


@pytest.fixture(scope="module")
def digests(originals, encoder, tmp_path_factory):
    """Return the digests of a cache written without faults."""
    out = tmp_path_factory.mktemp("whole") / "whole.h5"
    extract_manifest(load(originals), encoder, out, OPTIONS)
    return verify_cache(out)


@pytest.fixture
def photos(originals, tmp_path):
    return shutil.copytree(originals, tmp_path / "photos")


def load(root: Path) -> Manifest:
    return load_dataset("folder", root, DatasetOptions())


def error_of(manifest: Manifest, encoder: Encoder, out: Path, options: ExtractOptions) -> str:
    """Return the message of an extraction that fails."""
    with pytest.raises((ExtractError, CacheError)) as caught:
        extract_manifest(manifest, encoder, out, options)
    return str(caught.value)


def replace_by_failing_file(path: Path) -> None:
    """Replace a file by one that opens and raises EIO on reading, as on a failing disk."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


def replace_by_pipe(path: Path) -> None:
    """Replace a file by a pipe without a writer, which would block a reader forever."""
    path.unlink()
    os.mkfifo(path)


def replace_by_sparse_file(path: Path) -> None:
    """Replace a file by one of 200 GB that takes no space on disk."""
    path.unlink()
    path.touch()
    os.truncate(path, 200 << 30)


FAULTS = {
    "sparse": (
        replace_by_sparse_file,
        "it has 214,748,364,800 bytes, more than the limit of 1,073,741,824 for an image",
    ),
    "read error": (replace_by_failing_file, "Input/output error"),
    "vanished": (Path.unlink, "No such file or directory"),
    "pipe": (replace_by_pipe, "it is a pipe or a device, not a regular file"),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_image_that_fails_after_listing_loses_only_its_batch(
    photos, originals, encoder, digests, tmp_path, fault, workers
):
    damage, reason = FAULTS[fault]
    manifest, out = load(photos), tmp_path / "out.h5"
    options = replace(OPTIONS, workers=workers)
    damage(photos / BAD)
    assert error_of(manifest, encoder, out, options) == (
        f"{BAD}: the file cannot be read ({reason}); {REMEDY} (the 16 rows before are kept)"
    )
    (photos / BAD).unlink(missing_ok=True)
    shutil.copy(originals / BAD, photos / BAD)
    reporter = RecordingReporter()
    extract_manifest(manifest, encoder, out, options, reporter=reporter)
    assert "resuming at row 16" in reporter.lines
    assert verify_cache(out) == digests


def test_a_folder_that_disappears_is_an_error_even_with_skip(photos, encoder, digests, tmp_path):
    manifest, out = load(photos), tmp_path / "out.h5"
    elsewhere = tmp_path / "elsewhere"
    reporter = RecordingReporter(1, lambda: photos.rename(elsewhere))
    # Without workers, which would have read all of these few images before the folder disappears.
    options = replace(OPTIONS, workers=0, skip_unreadable=True)
    with pytest.raises(ExtractError) as caught:
        extract_manifest(manifest, encoder, out, options, reporter=reporter)
    assert str(caught.value) == (
        "0007.png: was readable before and is not now (No such file or directory): the folder of "
        "the images has disappeared; restore it and run the same command again to resume (the 8 "
        "rows before are kept)"
    )
    elsewhere.rename(photos)
    assert extract_manifest(manifest, encoder, out, options).unreadable == ()
    assert verify_cache(out) == digests


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 40 kB; yield its folder and a function that resizes it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True).returncode == 0

    if not shutil.which("mount") or not mount("size=40k"):
        pytest.skip("only root can mount a small disk here")
    yield folder, lambda size: mount(f"remount,size={size}")
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_keeps_the_saved_rows(photos, encoder, digests, small_disk):
    """Whether the rows fill it, or the finished cache does."""
    disk, resize = small_disk
    manifest, out = load(photos), disk / "out.h5"
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(28 << 10))
    message = error_of(manifest, encoder, out, OPTIONS)
    assert message.startswith(f"{out}: cannot be written: No space left on device; ")
    assert message.endswith("; make room and run the same command again")
    assert "rows are safe in out.h5.partial" in message
    ballast.unlink()
    assert resize("16k")
    assert "; 40 of 40 rows are safe in out.h5.partial; " in error_of(
        manifest, encoder, out, OPTIONS
    )
    assert sorted(path.name for path in disk.iterdir()) == ["out.h5.journal", "out.h5.partial"]
    assert resize("1m")
    reporter = RecordingReporter()
    extract_manifest(manifest, encoder, out, OPTIONS, reporter=reporter)
    assert "resuming at row 40" in reporter.lines
    assert verify_cache(out) == digests


def test_a_changed_data_set_does_not_resume(photos, encoder, digests, tmp_path):
    out = tmp_path / "out.h5"
    before = load(photos)
    (photos / BAD).write_bytes(b"")
    error_of(before, encoder, out, OPTIONS)
    (photos / BAD).write_bytes(photos.joinpath("0020.png").read_bytes())
    metadata = photos / "metadata.csv"
    text = metadata.read_text()
    metadata.write_text(text.replace("0002.png,cat", "0002.png,dog"))
    assert error_of(load(photos), encoder, out, OPTIONS) == (
        f"{out}: the data set has changed since the unfinished job started: an image, label, "
        "attribute, split, name or the order of rows differs; restore it and run the same command "
        "again to resume, or start again with --overwrite"
    )
    reporter = RecordingReporter()
    extract_manifest(before, encoder, out, OPTIONS, reporter=reporter)
    assert "resuming at row 16" in reporter.lines
    extract_manifest(
        load(photos), encoder, out, replace(OPTIONS, overwrite=True), reporter=reporter
    )
