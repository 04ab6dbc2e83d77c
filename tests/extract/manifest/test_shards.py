"""Shards of a manifest: which rows they take, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.shard import make_shard
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.manifest.shards import default_name, parse_shard, part
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract
from tests.extract import test_run
from tests.extract.test_run import Told, stop
from tests.samples import save_photos

encoder = test_run.encoder


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return load_dataset("folder", save_photos(tmp_path / "photos", 21), DatasetOptions())


def options(shard: tuple[int, int], **more) -> ExtractOptions:
    return ExtractOptions(batch_size=4, templates="simple", shard=shard, **more)


@pytest.mark.parametrize(("num_rows", "count"), [(1, 1), (7, 7), (21, 8), (1000, 64), (10**9, 999)])
def test_shards_are_balanced_and_cover_every_row_once(num_rows, count):
    shards = [make_shard(index, count, num_rows) for index in range(1, count + 1)]
    assert [shard.first_row for shard in shards] == [0, *(x.stop_row for x in shards[:-1])]
    assert shards[-1].stop_row == num_rows
    assert {len(shard) for shard in shards} <= {num_rows // count, num_rows // count + 1}


def test_a_shard_is_written_as_index_and_count():
    assert parse_shard("2/8") == (2, 8)
    assert (default_name("celeba", (2, 8)), default_name("a", None)) == ("celeba.2-of-8.h5", "a.h5")
    for text in ("0/8", "9/8", "8", "a/b", "1/0", "-1/8", "1/8/2", " 1/8", "²/3"):
        with pytest.raises(OptionError) as error:
            parse_shard(text)
        assert str(error.value) == (
            f"--shard: expected I/N with I from 1 to N, such as 1/8 to 8/8, found {text!r}"
        )


def test_a_part_has_its_rows_and_images(manifest):
    found, described = part(manifest, (2, 4))
    assert described == {
        "shard": {"index": 2, "count": 4, "first_row": 5, "stop_row": 10, "num_rows": 21}
    }
    assert found.rows.ids == manifest.rows.ids[5:10]
    assert found.rows.labels.tolist() == manifest.rows.labels[5:10].tolist()
    assert found.images.read(1) == manifest.images.read(6)
    assert found.class_names == manifest.class_names


def test_more_shards_than_rows_are_refused(manifest):
    with pytest.raises(OptionError) as error:
        part(manifest, (3, 22))
    assert str(error.value) == (
        "--shard 3/22: folder has 21 rows, too few for 22 shards; make at most 21"
    )


def test_a_shard_says_which_rows_of_which_whole_it_has(manifest, encoder, tmp_path):
    # Its two rows are of one split: that is nothing to warn of.
    summary = extract(manifest, encoder, tmp_path / "a.h5", options((1, 10)), Told())
    assert (summary.rows, summary.warnings) == ({"train": 2, "val": 0, "test": 0}, ())
    cache = read_cache(tmp_path / "a.h5", whole=False)
    assert cache.provenance["shard"] == {
        "index": 1,
        "count": 10,
        "first_row": 0,
        "stop_row": 2,
        "num_rows": 21,
    }
    assert cache.provenance["manifest_sha256"] == manifest.sha256()
    assert cache.rows.ids == manifest.rows.ids[:2]


def test_a_limit_comes_before_the_shards(manifest, encoder, tmp_path):
    ids = []
    for index in (1, 2):
        path = tmp_path / f"{index}.h5"
        extract(manifest, encoder, path, options((index, 2), limit=9), Told())
        cache = read_cache(path, whole=False)
        ids += cache.rows.ids
        assert cache.provenance["shard"]["num_rows"] == 9
    extract(manifest, encoder, tmp_path / "a.h5", ExtractOptions(limit=9), Told())
    assert tuple(ids) == read_cache(tmp_path / "a.h5").rows.ids


def test_a_shard_does_not_go_on_with_another(manifest, encoder, tmp_path):
    path = tmp_path / "a.h5"
    stop(manifest, encoder, path, options((1, 2)), after=1)
    with pytest.raises(CacheError) as error:
        extract(manifest, encoder, path, options((2, 2)), Told())
    assert "shard.index was 1, now 2" in str(error.value)
    assert str(error.value).endswith("or start anew with --overwrite")


def test_a_manifest_that_changed_is_told_of(manifest, encoder, tmp_path):
    path = tmp_path / "a.h5"
    stop(manifest, encoder, path, options((1, 2)), after=1)
    # The last row, which is in the other shard.
    listed = tmp_path / "photos" / "metadata.csv"
    listed.write_text(listed.read_text()[: -len("train\n")] + "val\n")
    changed = load_dataset("folder", Path(tmp_path / "photos"), DatasetOptions())
    assert not np.array_equal(changed.rows.splits, manifest.rows.splits)
    with pytest.raises(ExtractError) as error:
        extract(changed, encoder, path, options((1, 2)), Told())
    assert str(error.value).startswith(
        f"{path}: the data set is not the one that this was begun with: "
    )
