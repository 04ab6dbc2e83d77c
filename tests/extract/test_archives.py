"""Extractions from archives: the same features as from files, by every way of extraction."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.merge.merge import merge_shards
from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract_manifest
from tests.extract.extraction import RecordingReporter, interrupt_extraction
from tests.extract.packing import pack_parquet, pack_tars
from tests.samples import save_photos

NUM_PHOTOS = 44
OPTIONS = ExtractOptions(batch_size=8, templates="simple", features_dtype="float32")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return save_photos(tmp_path / "photos", NUM_PHOTOS)


@pytest.fixture(params=["webdataset", "parquet"])
def archives(request: pytest.FixtureRequest, photos: Path, tmp_path: Path) -> Path:
    """The photos in archives, in a folder that has the name of the data set."""
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    pack = {"webdataset": pack_tars, "parquet": pack_parquet}[request.param]
    return pack(photos, tmp_path / request.param)


@pytest.fixture
def manifest(archives: Path) -> Manifest:
    return load_dataset(archives.name, archives)


@pytest.fixture
def whole(manifest: Manifest, encoder, tmp_path: Path) -> Path:
    """The cache of all rows."""
    extract_manifest(manifest, encoder, tmp_path / "whole.h5", OPTIONS)
    return tmp_path / "whole.h5"


def test_features_are_those_of_the_files(whole: Path, encoder, photos: Path, tmp_path: Path):
    extract_manifest(load_dataset("folder", photos), encoder, tmp_path / "files.h5", OPTIONS)
    expected, found = read_cache(tmp_path / "files.h5"), read_cache(whole)
    np.testing.assert_array_equal(found.features, expected.features)
    for column in ("labels", "attributes", "splits"):
        np.testing.assert_array_equal(getattr(found.rows, column), getattr(expected.rows, column))
    assert found.texts.class_names == expected.texts.class_names
    assert [name.removesuffix(".png") for name in found.rows.ids] == [
        name.removesuffix(".png") for name in expected.rows.ids
    ]


def test_workers_give_the_same_bits(manifest: Manifest, whole: Path, encoder, tmp_path: Path):
    extract_manifest(manifest, encoder, tmp_path / "a.h5", replace(OPTIONS, workers=2))
    assert verify_cache(tmp_path / "a.h5") == verify_cache(whole)


def test_a_resumed_extraction_gives_the_same_bits(manifest, whole: Path, encoder, tmp_path: Path):
    interrupt_extraction(manifest, encoder, tmp_path / "a.h5", OPTIONS)
    reporter = RecordingReporter()
    extract_manifest(manifest, encoder, tmp_path / "a.h5", OPTIONS, reporter=reporter)
    assert "resuming at row 16" in reporter.lines
    assert verify_cache(tmp_path / "a.h5") == verify_cache(whole)


def test_shards_are_merged(manifest: Manifest, whole: Path, encoder, tmp_path: Path):
    shards = [tmp_path / f"{index}-of-3.h5" for index in (1, 2, 3)]
    for index, path in enumerate(shards, 1):
        extract_manifest(manifest, encoder, path, replace(OPTIONS, shard=(index, 3)))
    merge_shards(shards, tmp_path / "a.h5")
    assert read_cache(tmp_path / "a.h5").rows.ids == manifest.rows.ids
    np.testing.assert_allclose(
        read_cache(tmp_path / "a.h5").features, read_cache(whole).features, rtol=1e-5, atol=1e-6
    )


def test_a_limit_spreads_over_groups(manifest: Manifest, whole: Path, encoder, tmp_path: Path):
    extract_manifest(manifest, encoder, tmp_path / "a.h5", replace(OPTIONS, limit=12))
    found, expected = read_cache(tmp_path / "a.h5"), read_cache(whole)
    rows = [expected.rows.ids.index(name) for name in found.rows.ids]
    assert rows == sorted(rows)
    assert len(rows) == 12
    assert set(found.rows.splits.tolist()) == {0, 1, 2}
    np.testing.assert_allclose(found.features, expected.features[rows], rtol=1e-5, atol=1e-6)


def test_replaced_archives_prevent_resuming(
    manifest: Manifest, encoder, archives: Path, tmp_path: Path
):
    interrupt_extraction(manifest, encoder, tmp_path / "a.h5", OPTIONS)
    first = sorted(archives.iterdir())[0]
    first.rename(first.with_stem("000001"))
    with pytest.raises(ExtractError, match="the data set has changed since"):
        extract_manifest(load_dataset(archives.name, archives), encoder, tmp_path / "a.h5", OPTIONS)


def test_an_unreadable_image_is_named_or_skipped(photos: Path, encoder, tmp_path: Path):
    (photos / "0021.png").write_bytes(b"")
    manifest = load_dataset("webdataset", pack_tars(photos, tmp_path / "tars"))
    with pytest.raises(ExtractError, match=r"0021: the file is empty; .* \(the 16 rows before"):
        extract_manifest(manifest, encoder, tmp_path / "a.h5", OPTIONS)
    skipping = replace(OPTIONS, skip_unreadable=True)
    extract_manifest(manifest, encoder, tmp_path / "a.h5", skipping)
    assert np.flatnonzero(~read_cache(tmp_path / "a.h5").valid).tolist() == [21]


def test_the_end_of_a_truncated_archive_is_left_out(photos: Path, encoder, tmp_path: Path):
    folder = pack_tars(photos, tmp_path / "tars")
    last = sorted(folder.iterdir())[-1]
    content = last.read_bytes()
    last.write_bytes(content[: content.rindex(b"0043.png") + 2000])
    with pytest.raises(ExtractError, match="is truncated or damaged after 27 members"):
        load_dataset("webdataset", folder)
    manifest = load_dataset("webdataset", folder, DatasetOptions(skip_missing=True))
    summary = extract_manifest(manifest, encoder, tmp_path / "a.h5", OPTIONS)
    assert sum(summary.rows.values()) == NUM_PHOTOS - 1
    assert len(summary.warnings) == 1
