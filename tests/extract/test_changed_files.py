"""Pictures that are replaced while a job is unfinished never leave old rows in the cache."""

import os
from dataclasses import replace

import pytest

from clip_cfr.cache.files.journal import read_unfinished_job
from clip_cfr.cache.read.reader import verify_cache
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract_manifest
from tests.extract.extraction import RecordingReporter, interrupt_extraction
from tests.extract.packing import pack_parquet, pack_tars
from tests.samples import save_photos

OPTIONS = ExtractOptions(batch_size=8, templates="simple")


@pytest.fixture
def interrupted(tmp_path, encoder):
    """Interrupt an extraction of 40 photos after 16, and return manifest, folder and output."""
    photos, out = save_photos(tmp_path / "photos", 40), tmp_path / "photos.h5"
    manifest = load_dataset("folder", photos, DatasetOptions())
    interrupt_extraction(manifest, encoder, out, OPTIONS)
    return manifest, photos, out


def test_a_picture_that_was_encoded_and_replaced_is_noticed(interrupted, encoder, tmp_path):
    manifest, photos, out = interrupted
    times = os.stat(photos / "0011.png")
    original = (photos / "0011.png").read_bytes()
    (photos / "0011.png").write_bytes((photos / "0030.png").read_bytes())
    with pytest.raises(ExtractError, match=r"^rows 8 to 15 \(0008.png to 0015.png\): the size or"):
        extract_manifest(manifest, encoder, out, OPTIONS)
    (photos / "0011.png").write_bytes(original)
    os.utime(photos / "0011.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    reporter = RecordingReporter()
    extract_manifest(manifest, encoder, out, OPTIONS, reporter=reporter)
    assert "resuming at row 16" in reporter.lines


def test_a_picture_that_is_not_encoded_yet_may_change(interrupted, encoder):
    manifest, photos, out = interrupted
    (photos / "0020.png").write_bytes((photos / "0030.png").read_bytes())
    reporter = RecordingReporter()
    extract_manifest(manifest, encoder, out, OPTIONS, reporter=reporter)
    assert "resuming at row 16" in reporter.lines


def test_overwrite_encodes_replaced_pictures_again(interrupted, encoder, tmp_path):
    manifest, photos, out = interrupted
    for row in range(16):
        (photos / f"{row:04}.png").write_bytes((photos / f"{row + 20:04}.png").read_bytes())
    reporter = RecordingReporter()
    extract_manifest(manifest, encoder, out, replace(OPTIONS, overwrite=True), reporter=reporter)
    assert reporter.started[0] == 0
    extract_manifest(manifest, encoder, tmp_path / "whole.h5", OPTIONS)
    assert verify_cache(out) == verify_cache(tmp_path / "whole.h5")


def test_overwrite_takes_no_setting_from_the_unfinished_job(interrupted, encoder):
    manifest, _, out = interrupted
    assert read_unfinished_job(out)["batch_size"] == 8
    options = replace(OPTIONS, batch_size=None, overwrite=True)
    reporter = RecordingReporter()
    extract_manifest(manifest, encoder, out, options, reporter=reporter)
    assert reporter.lines[0].endswith(", in batches of 32")


def test_a_job_of_an_older_version_is_resumed_without_the_check(interrupted, encoder):
    manifest, _, out = interrupted
    journal = out.with_name("photos.h5.journal")
    lines = journal.read_text().splitlines()
    old = [line.partition(', "files"')[0] + "}" if '"files"' in line else line for line in lines]
    assert old[1:] != lines[1:]
    journal.write_text("\n".join([*old, ""]))
    reporter = RecordingReporter()
    extract_manifest(manifest, encoder, out, OPTIONS, reporter=reporter)
    assert "resuming at row 16" in reporter.lines


@pytest.mark.parametrize(
    ("dataset", "pack"), [("webdataset", pack_tars), ("parquet", pack_parquet)]
)
def test_an_archive_that_was_replaced_is_noticed(tmp_path, encoder, dataset, pack):
    root = pack(save_photos(tmp_path / "photos", 40), tmp_path / "packed")
    out = tmp_path / "photos.h5"
    manifest = load_dataset(dataset, root, DatasetOptions())
    interrupt_extraction(manifest, encoder, out, OPTIONS)
    first = min(root.iterdir())
    times = os.stat(first)
    os.utime(first)
    with pytest.raises(ExtractError, match=r"^rows 0 to 7 .*the size or the time of an image"):
        extract_manifest(load_dataset(dataset, root, DatasetOptions()), encoder, out, OPTIONS)
    os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))
    reporter = RecordingReporter()
    manifest = load_dataset(dataset, root, DatasetOptions())
    extract_manifest(manifest, encoder, out, OPTIONS, reporter=reporter)
    assert "resuming at row 16" in reporter.lines
