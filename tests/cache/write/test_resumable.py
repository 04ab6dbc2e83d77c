"""Caches that grow batch by batch: resumed, cut short, refused."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.journal import Batch, batch_checksum, read_unfinished_job
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.cache.write.resumable import ResumableWriter
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import make_cache, run_python, same

CACHE = make_cache(n=23, dim=3, dtype="float32")
JOB = {"model": "tiny", "image_processor": {"size": 224, "crop": True}}


def grow(path: Path, cache: FeatureCache = CACHE, job: dict = JOB, **settings) -> ResumableWriter:
    """The context in which this cache grows at the path."""
    n, dim = cache.features.shape
    return ResumableWriter(path, job, n, dim, cache.features.dtype.name, **settings)


def append(growing: ResumableWriter, stop: int, cache: FeatureCache = CACHE) -> None:
    """Appends the rows up to `stop` as one batch."""
    rows = slice(growing.next_row, stop)
    growing.append(cache.features[rows], cache.valid[rows])


def finish(growing: ResumableWriter, cache: FeatureCache = CACHE) -> None:
    growing.finish(cache.dataset, cache.rows, cache.head, cache.texts, cache.provenance)


def grow_to_the_end(path: Path, batch_size: int = 5) -> None:
    """Goes on from whatever is there."""
    with grow(path) as growing:
        while growing.next_row < len(CACHE.valid):
            append(growing, growing.next_row + batch_size)
        finish(growing)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_grown_cache_is_the_file_that_is_written_at_once(tmp_path):
    grow_to_the_end(tmp_path / "grown.h5")
    write_cache(tmp_path / "written.h5", CACHE)
    assert (tmp_path / "grown.h5").read_bytes() == (tmp_path / "written.h5").read_bytes()
    assert names(tmp_path) == ["grown.h5", "written.h5"]


def test_the_files_are_as_the_format_page_says(tmp_path):
    with grow(tmp_path / "a.h5") as growing:
        append(growing, 4)
        append(growing, 9)
        assert names(tmp_path) == ["a.h5.journal", "a.h5.lock", "a.h5.partial"]
    assert names(tmp_path) == ["a.h5.journal", "a.h5.partial"]
    assert (tmp_path / "a.h5.partial").read_bytes() == CACHE.features[:9].tobytes()
    job = JOB | {"num_rows": 23, "dim": 3, "dtype": "float32"}
    first = batch_checksum(CACHE.features[:4].tobytes(), 4, (1,))
    second = batch_checksum(CACHE.features[4:9].tobytes(), 9, ())
    lines = (tmp_path / "a.h5.journal").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"format": "clip-cfr-journal", "version": 1, "job": job},
        {"rows": 4, "invalid": [1], "crc32": first},
        {"rows": 9, "invalid": [], "crc32": second},
    ]


def test_what_is_committed_is_known_again(tmp_path):
    with grow(tmp_path / "a.h5") as growing:
        assert growing.next_row == 0
        append(growing, 4)
    with grow(tmp_path / "a.h5") as growing:
        assert growing.next_row == 4
        assert growing.valid.tolist() == [True, False, True, True]


def test_batches_of_fewer_rows_are_remembered_over_a_kill(tmp_path):
    features, valid = CACHE.features, CACHE.valid
    with grow(tmp_path / "a.h5") as growing:
        append(growing, 8)
        growing.append(features[8:12], valid[8:12], halved_batch_size=4)
        growing.append(features[12:16], valid[12:16], halved_batch_size=4)
        assert growing.batch_size_halvings == [[8, 4]]
    with grow(tmp_path / "a.h5") as growing:
        assert (growing.next_row, growing.halved_batch_size) == (16, 4)
        growing.append(features[16:20], valid[16:20], halved_batch_size=1)
        assert growing.batch_size_halvings == [[8, 4], [16, 1]]
    lines = (tmp_path / "a.h5.journal").read_text().splitlines()
    assert [json.loads(line).get("encoded_in") for line in lines[1:]] == [None, 4, 4, 1]


def test_a_size_that_was_changed_by_hand_is_not_believed(tmp_path):
    with grow(tmp_path / "a.h5") as growing:
        growing.append(CACHE.features[:8], CACHE.valid[:8], halved_batch_size=4)
    journal = tmp_path / "a.h5.journal"
    journal.write_text(journal.read_text().replace('"encoded_in": 4', '"encoded_in": 2'))
    with grow(tmp_path / "a.h5") as growing:
        assert (growing.next_row, growing.batch_size_halvings) == (0, [])


def test_the_job_that_was_begun_is_told_once_a_row_is_committed(tmp_path):
    path = tmp_path / "a.h5"
    with grow(path) as growing:
        assert read_unfinished_job(path) == {}
        append(growing, 4)
    assert read_unfinished_job(path) == JOB | {"num_rows": 23, "dim": 3, "dtype": "float32"}
    (tmp_path / "a.h5.journal").write_text("no JSON\n")
    assert read_unfinished_job(path) == {}


stages = st.lists(
    st.tuples(
        st.lists(st.integers(1, 6), max_size=4),
        st.none() | st.floats(0, 1),
        st.none() | st.floats(0, 1),
    ),
    max_size=4,
)


@given(stages=stages)
@settings(max_examples=30, deadline=None)
def test_any_loss_of_the_last_bytes_is_made_good(stages, tmp_path_factory):
    path = tmp_path_factory.mktemp("growing") / "a.h5"
    for batches, share_of_partial, share_of_journal in stages:
        with grow(path) as growing:
            for size in batches:
                append(growing, min(growing.next_row + size, len(CACHE.valid)))
        cut(path.with_name("a.h5.partial"), share_of_partial)
        cut(path.with_name("a.h5.journal"), share_of_journal)
    grow_to_the_end(path, batch_size=9)
    assert same(read_cache(path), CACHE)
    assert names(path.parent) == ["a.h5"]


def cut(path: Path, share: float | None) -> None:
    """Keeps a share of the file's bytes; None keeps it as it is."""
    if share is not None and path.exists():
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize("name", ["a.h5.partial", "a.h5.journal"])
def test_a_flipped_byte_never_gets_into_the_cache(tmp_path, name):
    path, damaged = tmp_path / "a.h5", tmp_path / name
    with grow(path) as growing:
        append(growing, 10)
        append(growing, 20)
    good = {each: each.read_bytes() for each in tmp_path.iterdir()}
    for position in range(0, len(good[damaged]), 5):
        for each, data in good.items():
            each.write_bytes(data)
        bad = bytearray(good[damaged])
        bad[position] ^= 0x02
        damaged.write_bytes(bad)
        with suppress(CacheError):
            grow_to_the_end(path, batch_size=23)
            assert same(read_cache(path), CACHE)
            path.unlink()


def test_a_lost_partial_file_begins_anew(tmp_path):
    with grow(tmp_path / "a.h5") as growing:
        append(growing, 10)
    (tmp_path / "a.h5.partial").unlink()
    with grow(tmp_path / "a.h5") as growing:
        assert growing.next_row == 0


def test_another_job_is_refused_and_what_differs_is_named(tmp_path):
    path = tmp_path / "a.h5"
    with grow(path) as growing:
        append(growing, 10)
    kept = {each: each.read_bytes() for each in tmp_path.iterdir()}
    other = {"model": "large", "image_processor": {"size": 336, "crop": True}, "limit": None}
    with pytest.raises(CacheError) as error, grow(path, job=other):
        pass
    assert str(error.value) == (
        f"{path}.journal: belongs to another job: image_processor.size was 224, now 336; "
        'limit was not set, now null; model was "tiny", now "large"; run again with its settings '
        "to resume it, or start anew with --overwrite"
    )
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == kept


def test_another_type_or_shape_is_another_job(tmp_path):
    path = tmp_path / "a.h5"
    with grow(path) as growing:
        append(growing, 10)
    with pytest.raises(CacheError) as error, ResumableWriter(path, JOB, 24, 3, "float16"):
        pass
    assert 'another job: dtype was "float32", now "float16"; num_rows was 23, now 24; ' in str(
        error.value
    )


def test_overwrite_starts_another_job_anew_and_goes_on_with_its_own(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, make_cache(seed=5))
    for job, expected in ((JOB, 0), (JOB, 10), ({"model": "large"}, 0), ({"model": "large"}, 10)):
        with grow(path, job=job, overwrite=True) as growing:
            assert growing.next_row == expected
            append(growing, 10 + expected)
    # The older file stands until the new one is whole.
    assert same(read_cache(path), make_cache(seed=5))
    with grow(path, job={"model": "large"}, overwrite=True) as growing:
        append(growing, 23)
        finish(growing)
    assert same(read_cache(path), CACHE)


def test_a_finished_file_is_not_grown_over_unasked(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, CACHE)
    with pytest.raises(CacheError) as error, grow(path):
        pass
    assert str(error.value) == (
        f"{path}: the file exists; replace it with --overwrite or name another"
    )
    assert names(tmp_path) == ["a.h5"]


def test_a_job_that_committed_nothing_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), grow(tmp_path / "a.h5"):
        raise ZeroDivisionError
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"{}\n", "b'{}'"),
        (b"no JSON\n", "b'no JSON'"),
        (
            b'{"format": "clip-cfr-journal", "version": 2, "job": {}}\n',
            "clip-cfr-journal version 2",
        ),
    ],
)
def test_a_journal_of_another_kind_is_refused(tmp_path, line, found):
    path = tmp_path / "a.h5"
    (tmp_path / "a.h5.journal").write_bytes(line)
    with pytest.raises(CacheError) as error, grow(path):
        pass
    assert str(error.value) == (
        f"{path}.journal: line 1: expected clip-cfr-journal version 1, found {found}; "
        "start anew with --overwrite"
    )
    with grow(path, overwrite=True) as growing:
        assert growing.next_row == 0


def test_a_journal_that_claims_too_many_rows_is_not_believed(tmp_path):
    path = tmp_path / "a.h5"
    with grow(path) as growing:
        append(growing, 10)
    with open(tmp_path / "a.h5.journal", "ab") as file:
        file.write(Batch(99, (), 0).to_line())
    grow_to_the_end(path)
    assert same(read_cache(path), CACHE)


@pytest.mark.parametrize("name", ["a.h5", "a.h5.partial", "a.h5.journal"])
def test_a_reader_is_told_how_far_a_growing_file_is(tmp_path, name):
    with grow(tmp_path / "a.h5") as growing:
        append(growing, 5)
        append(growing, 9)
    with pytest.raises(CacheError) as error:
        read_cache(tmp_path / name)
    assert str(error.value) == (
        f"{tmp_path / name}: unfinished: 9 of 23 rows are saved; "
        "run the same command again to resume"
    )


def test_a_growing_file_without_a_journal_is_told_from_a_missing_one(tmp_path):
    (tmp_path / "a.h5.partial").touch()
    with pytest.raises(CacheError) as error:
        read_cache(tmp_path / "a.h5")
    assert str(error.value) == (
        f"{tmp_path / 'a.h5'}: unfinished, with no row saved yet; "
        "run the command that writes it again"
    )


def test_numbers_too_large_for_float16_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with ResumableWriter(path, JOB, 23, 3, "float16") as growing:
        append(growing, 10)
        features = CACHE.features[10:12].copy()
        features[1, 2] = 70_000
        with pytest.raises(CacheError) as error:
            growing.append(features, np.ones(2, bool))
        assert str(error.value) == (
            f"{path}: features, row 11: expected finite numbers, found inf in column 2; "
            "float16 ends at 65504: run again with --features-dtype float32 --overwrite"
        )
        assert growing.next_row == 10


def test_a_model_that_gives_no_number_is_named_as_the_cause(tmp_path):
    path = tmp_path / "a.h5"
    with grow(path) as growing, pytest.raises(CacheError) as error:
        growing.append(np.full((2, 3), np.nan, np.float32), np.ones(2, bool))
    assert str(error.value) == (
        f"{path}: features, row 0: expected finite numbers, found nan in column 0; "
        "it is the model's output: run again with --dtype float32 --overwrite"
    )


def test_rows_that_are_not_valid_are_stored_as_zeros(tmp_path):
    features = np.where(CACHE.valid[:, None], CACHE.features, np.nan)
    with grow(tmp_path / "a.h5") as growing:
        growing.append(features, CACHE.valid)
        finish(growing)
    assert same(read_cache(tmp_path / "a.h5"), CACHE)


def test_too_many_rows_and_a_wrong_shape_are_refused(tmp_path):
    with grow(tmp_path / "a.h5") as growing:
        with pytest.raises(CacheError, match=r"features: expected 23 rows, found 24; this is a b"):
            growing.append(np.zeros((24, 3), np.float32), np.ones(24, bool))
        with pytest.raises(CacheError, match=r"features: expected shape \(2, 3\), found \(2, 4\);"):
            growing.append(np.zeros((2, 4), np.float32), np.ones(2, bool))


def test_a_cache_with_rows_missing_cannot_be_finished(tmp_path):
    path = tmp_path / "a.h5"
    with grow(path) as growing:
        append(growing, 10)
        with pytest.raises(CacheError) as error:
            finish(growing)
    assert str(error.value) == (
        f"{path}: cannot be finished with 10 of 23 rows; run the same command again to resume"
    )


def test_contents_that_break_a_rule_keep_the_rows(tmp_path):
    path = tmp_path / "a.h5"
    other = make_cache(n=22, dim=3, dtype="float32")
    with grow(path) as growing:
        append(growing, 23)
        with pytest.raises(CacheError) as error:
            growing.finish("d", other.rows, CACHE.head, CACHE.texts, {})
    assert str(error.value) == (
        f"{path}: ids: expected shape (23,), found shape (22,); nothing was written"
    )
    with grow(path) as growing:
        assert growing.next_row == 23


MEASURE_MEMORY = """
import sys, tracemalloc
import numpy as np
from clip_cfr.cache.write.resumable import ResumableWriter
from tests.cache.examples import make_cache
cache = make_cache(n=10_000, dim=1024, width=2)
with ResumableWriter(sys.argv[1], {}, 10_000, 1024, "float16") as growing:
    for start in range(0, 10_000, 500):
        growing.append(cache.features[start:start + 500], cache.valid[start:start + 500])
    tracemalloc.start()
    growing.finish(cache.dataset, cache.rows, cache.head, cache.texts, cache.provenance)
print(tracemalloc.get_traced_memory()[1])
"""


def test_finishing_holds_a_few_chunks_however_long_the_file(tmp_path):
    done = run_python(MEASURE_MEMORY, tmp_path / "a.h5")
    assert int(done.stdout) < 8e6 < 10_000 * 1024 * 2
