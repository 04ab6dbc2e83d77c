import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.shard import make_shard
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.manifest.shards import default_cache_name, parse_shard, select_shard
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract_manifest
from tests.extract.extraction import interrupt_extraction
from tests.samples import save_photos


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return load_dataset("folder", save_photos(tmp_path / "photos", 21), DatasetOptions())


def make_options(shard: tuple[int, int], **more) -> ExtractOptions:
    return ExtractOptions(batch_size=4, templates="simple", shard=shard, **more)


@pytest.mark.parametrize(("num_rows", "count"), [(1, 1), (7, 7), (21, 8), (1000, 64), (10**9, 999)])
def test_shards_are_balanced_and_cover_every_row_once(num_rows, count):
    shards = [make_shard(index, count, num_rows) for index in range(1, count + 1)]
    assert [shard.first_row for shard in shards] == [0, *(x.stop_row for x in shards[:-1])]
    assert shards[-1].stop_row == num_rows
    assert {len(shard) for shard in shards} <= {num_rows // count, num_rows // count + 1}


def test_parses_index_and_count():
    assert parse_shard("2/8") == (2, 8)


@pytest.mark.parametrize(
    "text", ["0/8", "9/8", "8", "a/b", "1/0", "-1/8", "1/8/2", " 1/8", "²/3", ""]
)
def test_rejects_other_forms_of_a_shard(text):
    with pytest.raises(OptionError) as error:
        parse_shard(text)
    assert str(error.value) == (
        f"--shard is {text!r}, expected I/N with I from 1 to N, such as 1/8 to 8/8"
    )


def test_default_cache_name_contains_the_shard():
    assert default_cache_name("celeba", (2, 8)) == "celeba.2-of-8.h5"
    assert default_cache_name("celeba", None) == "celeba.h5"


def test_a_shard_has_its_rows_and_images(manifest):
    selected, entry = select_shard(manifest, (2, 4))
    assert entry == {
        "shard": {"index": 2, "count": 4, "first_row": 5, "stop_row": 10, "num_rows": 21}
    }
    assert selected.rows.ids == manifest.rows.ids[5:10]
    assert selected.rows.labels.tolist() == manifest.rows.labels[5:10].tolist()
    assert selected.images.read(1) == manifest.images.read(6)
    assert selected.class_names == manifest.class_names


def test_rejects_more_shards_than_rows(manifest):
    with pytest.raises(OptionError) as error:
        select_shard(manifest, (3, 22))
    assert str(error.value) == (
        "--shard 3/22: folder has 21 rows, too few for 22 shards; use at most 21"
    )


def test_a_shard_records_its_rows_and_the_whole_data_set(manifest, encoder, tmp_path):
    # Both rows are in one split; that does not cause a warning.
    summary = extract_manifest(manifest, encoder, tmp_path / "a.h5", make_options((1, 10)))
    assert (summary.rows, summary.warnings) == ({"train": 2, "val": 0, "test": 0}, ())
    cache = read_cache(tmp_path / "a.h5", allow_shard=True)
    assert cache.provenance["shard"] == {
        "index": 1,
        "count": 10,
        "first_row": 0,
        "stop_row": 2,
        "num_rows": 21,
    }
    assert cache.provenance["manifest_sha256"] == manifest.sha256()
    assert cache.rows.ids == manifest.rows.ids[:2]


def test_the_limit_applies_before_the_shards(manifest, encoder, tmp_path):
    ids = []
    for index in (1, 2):
        path = tmp_path / f"{index}.h5"
        extract_manifest(manifest, encoder, path, make_options((index, 2), limit=9))
        cache = read_cache(path, allow_shard=True)
        ids += cache.rows.ids
        assert cache.provenance["shard"]["num_rows"] == 9
    extract_manifest(manifest, encoder, tmp_path / "a.h5", ExtractOptions(limit=9))
    assert tuple(ids) == read_cache(tmp_path / "a.h5").rows.ids


def test_another_shard_does_not_resume_an_unfinished_one(manifest, encoder, tmp_path):
    path = tmp_path / "a.h5"
    interrupt_extraction(manifest, encoder, path, make_options((1, 2)), after=1)
    with pytest.raises(CacheError) as error:
        extract_manifest(manifest, encoder, path, make_options((2, 2)))
    assert "shard.index was 1, now 2" in str(error.value)
    assert str(error.value).endswith("or start again with --overwrite")


def test_a_change_outside_the_shard_prevents_resuming(manifest, encoder, tmp_path):
    path = tmp_path / "a.h5"
    interrupt_extraction(manifest, encoder, path, make_options((1, 2)), after=1)
    metadata = tmp_path / "photos" / "metadata.csv"
    # The last row belongs to the other shard.
    metadata.write_text(metadata.read_text()[: -len("train\n")] + "val\n")
    changed = load_dataset("folder", tmp_path / "photos", DatasetOptions())
    assert not np.array_equal(changed.rows.splits, manifest.rows.splits)
    with pytest.raises(ExtractError) as error:
        extract_manifest(changed, encoder, path, make_options((1, 2)))
    assert str(error.value).startswith(
        f"{path}: the data set has changed since the unfinished job started: "
    )
