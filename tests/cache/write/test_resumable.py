"""ResumableWriter: resume, detect lost and damaged bytes, refuse other jobs."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.job_files import JOURNAL_START
from clip_cfr.cache.files.journal import (
    Batch,
    batch_checksum,
    job_checksum,
    read_unfinished_job,
)
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.cache.write.resumable import ResumableWriter
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import assert_identical, make_cache, run_python

CACHE = make_cache(n=23, dim=3, dtype="float32")
JOB = {"model": "tiny", "image_processor": {"size": 224, "crop": True}}


def open_writer(
    path: Path, cache: FeatureCache = CACHE, job: dict = JOB, **settings
) -> ResumableWriter:
    """Return a writer of the cache."""
    n, dim = cache.features.shape
    return ResumableWriter(path, job, n, dim, cache.features.dtype.name, **settings)


def append_until(writer: ResumableWriter, stop: int, cache: FeatureCache = CACHE) -> None:
    """Append the rows from the next one to `stop` - 1 as one batch."""
    rows = slice(writer.next_row, stop)
    writer.append(cache.features[rows], cache.valid[rows])


def finish(writer: ResumableWriter, cache: FeatureCache = CACHE) -> None:
    writer.finish(cache.dataset, cache.rows, cache.head, cache.texts, cache.provenance)


def write_all(path: Path, batch_size: int = 5) -> None:
    """Write the cache, or resume the job that writes it."""
    with open_writer(path) as writer:
        while writer.next_row < len(CACHE.valid):
            append_until(writer, writer.next_row + batch_size)
        finish(writer)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_batches_give_the_same_file_as_one_write(tmp_path):
    write_all(tmp_path / "batches.h5")
    write_cache(tmp_path / "once.h5", CACHE)
    assert (tmp_path / "batches.h5").read_bytes() == (tmp_path / "once.h5").read_bytes()
    assert names(tmp_path) == ["batches.h5", "once.h5"]


def test_the_files_of_an_unfinished_job(tmp_path):
    with open_writer(tmp_path / "a.h5") as writer:
        append_until(writer, 4)
        append_until(writer, 9)
        assert names(tmp_path) == ["a.h5.journal", "a.h5.lock", "a.h5.partial"]
    assert names(tmp_path) == ["a.h5.journal", "a.h5.partial"]
    assert (tmp_path / "a.h5.partial").read_bytes() == CACHE.features[:9].tobytes()
    job = JOB | {"num_rows": 23, "dim": 3, "dtype": "float32"}
    first = batch_checksum(CACHE.features[:4].tobytes(), 4, (1,))
    second = batch_checksum(CACHE.features[4:9].tobytes(), 9, ())
    lines = (tmp_path / "a.h5.journal").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"format": "clip-cfr-journal", "version": 1, "job": job, "crc32": job_checksum(job)},
        {"rows": 4, "invalid": [1], "crc32": first},
        {"rows": 9, "invalid": [], "crc32": second},
    ]


def test_a_job_resumes_after_the_saved_rows(tmp_path):
    with open_writer(tmp_path / "a.h5") as writer:
        assert writer.next_row == 0
        append_until(writer, 4)
    with open_writer(tmp_path / "a.h5") as writer:
        assert writer.next_row == 4
        assert writer.valid.tolist() == [True, False, True, True]


def test_halved_batch_sizes_are_kept_when_a_job_resumes(tmp_path):
    features, valid = CACHE.features, CACHE.valid
    with open_writer(tmp_path / "a.h5") as writer:
        append_until(writer, 8)
        writer.append(features[8:12], valid[8:12], halved_batch_size=4)
        writer.append(features[12:16], valid[12:16], halved_batch_size=4)
        assert writer.batch_size_halvings == [[8, 4]]
    with open_writer(tmp_path / "a.h5") as writer:
        assert (writer.next_row, writer.halved_batch_size) == (16, 4)
        writer.append(features[16:20], valid[16:20], halved_batch_size=1)
        assert writer.batch_size_halvings == [[8, 4], [16, 1]]
    lines = (tmp_path / "a.h5.journal").read_text().splitlines()
    assert [json.loads(line).get("encoded_in") for line in lines[1:]] == [None, 4, 4, 1]


def test_a_batch_size_that_was_edited_is_detected(tmp_path):
    with open_writer(tmp_path / "a.h5") as writer:
        writer.append(CACHE.features[:8], CACHE.valid[:8], halved_batch_size=4)
    journal = tmp_path / "a.h5.journal"
    journal.write_text(journal.read_text().replace('"encoded_in": 4', '"encoded_in": 2'))
    with open_writer(tmp_path / "a.h5") as writer:
        assert (writer.next_row, writer.batch_size_halvings) == (0, [])


def test_an_unfinished_job_is_read_once_a_row_is_saved(tmp_path):
    path = tmp_path / "a.h5"
    with open_writer(path) as writer:
        assert read_unfinished_job(path) == {}
        append_until(writer, 4)
    assert read_unfinished_job(path) == JOB | {"num_rows": 23, "dim": 3, "dtype": "float32"}
    (tmp_path / "a.h5.journal").write_text("no JSON\n")
    assert read_unfinished_job(path) == {}  # A file of another program.


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
def test_a_loss_of_the_last_bytes_is_repaired(stages, tmp_path_factory):
    path = tmp_path_factory.mktemp("writer") / "a.h5"
    for batches, share_of_partial, share_of_journal in stages:
        with open_writer(path) as writer:
            for size in batches:
                append_until(writer, min(writer.next_row + size, len(CACHE.valid)))
        cut(path.with_name("a.h5.partial"), share_of_partial)
        cut(path.with_name("a.h5.journal"), share_of_journal, keep=len(JOURNAL_START))
    write_all(path, batch_size=9)
    assert_identical(read_cache(path), CACHE)
    assert names(path.parent) == ["a.h5"]


def cut(path: Path, share: float | None, keep: int = 0) -> None:
    """Truncate the file to a share of its bytes, at least `keep`; None leaves it as it is."""
    if share is not None and path.exists():
        size = max(keep, int(share * path.stat().st_size))
        path.write_bytes(path.read_bytes()[:size])


def test_a_journal_without_its_first_bytes_is_not_recognised(tmp_path):
    path = tmp_path / "a.h5"
    with open_writer(path) as writer:
        append_until(writer, 10)
    cut(tmp_path / "a.h5.journal", 0, keep=len(JOURNAL_START) - 1)
    kept = {each: each.read_bytes() for each in tmp_path.iterdir()}
    for overwrite in (False, True):
        with pytest.raises(CacheError) as error, open_writer(path, overwrite=overwrite):
            pass
        assert str(error.value) == (
            f"{path}.journal: expected the journal of an unfinished job, found another file; "
            "move it away, because writing a.h5 needs this name, or name another output"
        )
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("name", ["a.h5.partial", "a.h5.journal"])
def test_a_flipped_byte_never_reaches_the_cache(tmp_path, name):
    path, damaged = tmp_path / "a.h5", tmp_path / name
    with open_writer(path) as writer:
        append_until(writer, 10)
        append_until(writer, 20)
    good = {each: each.read_bytes() for each in tmp_path.iterdir()}
    for position in range(0, len(good[damaged]), 5):
        for each, data in good.items():
            each.write_bytes(data)
        bad = bytearray(good[damaged])
        bad[position] ^= 0x02
        damaged.write_bytes(bad)
        with suppress(CacheError):
            write_all(path, batch_size=23)
            assert_identical(read_cache(path), CACHE)
            path.unlink()


def test_a_job_without_its_partial_file_starts_again(tmp_path):
    with open_writer(tmp_path / "a.h5") as writer:
        append_until(writer, 10)
    (tmp_path / "a.h5.partial").unlink()
    with open_writer(tmp_path / "a.h5") as writer:
        assert writer.next_row == 0


def test_another_job_is_refused_and_its_changes_are_named(tmp_path):
    path = tmp_path / "a.h5"
    with open_writer(path) as writer:
        append_until(writer, 10)
    kept = {each: each.read_bytes() for each in tmp_path.iterdir()}
    other = {"model": "large", "image_processor": {"size": 336, "crop": True}, "limit": None}
    with pytest.raises(CacheError) as error, open_writer(path, job=other):
        pass
    assert str(error.value) == (
        f"{path}.journal: belongs to another job: image_processor.size was 224, now 336; "
        'limit was not set, now null; model was "tiny", now "large"; run again with its settings '
        "to resume it, or start again with --overwrite"
    )
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == kept


def test_another_type_or_shape_is_another_job(tmp_path):
    path = tmp_path / "a.h5"
    with open_writer(path) as writer:
        append_until(writer, 10)
    with pytest.raises(CacheError) as error, ResumableWriter(path, JOB, 24, 3, "float16"):
        pass
    assert 'another job: dtype was "float32", now "float16"; num_rows was 23, now 24; ' in str(
        error.value
    )


def test_overwrite_starts_again_whatever_job_is_unfinished(tmp_path, caplog):
    path = tmp_path / "a.h5"
    write_cache(path, make_cache(seed=5))
    for job in (JOB, JOB, {"model": "large"}):
        with open_writer(path, job=job, overwrite=True) as writer:
            assert writer.next_row == 0
            append_until(writer, 10)
    discarded = f"{path}.journal: starts again; 10 of 23 rows of an unfinished job are discarded"
    assert caplog.messages == [discarded] * 2
    # The older file stays until the new one is complete.
    assert_identical(read_cache(path), make_cache(seed=5))
    with open_writer(path, job={"model": "large"}, overwrite=True) as writer:
        append_until(writer, 23)
        finish(writer)
    assert_identical(read_cache(path), CACHE)
    assert names(tmp_path) == ["a.h5"]


def test_a_replacement_that_was_killed_is_resumed_once_the_older_file_is_moved_away(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, make_cache(seed=5))
    with open_writer(path, overwrite=True) as writer:
        append_until(writer, 10)
    with pytest.raises(CacheError) as error, open_writer(path):
        pass
    assert str(error.value) == (
        f"{path}: the file exists; replace it with --overwrite or name another; 10 of 23 rows of "
        "an unfinished job are saved beside it: to resume that job, move the file away"
    )
    path.rename(tmp_path / "older.h5")
    with open_writer(path) as writer:
        assert writer.next_row == 10


def test_a_finished_file_is_refused_without_overwrite(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, CACHE)
    with pytest.raises(CacheError) as error, open_writer(path):
        pass
    assert str(error.value) == (
        f"{path}: the file exists; replace it with --overwrite or name another"
    )
    assert names(tmp_path) == ["a.h5"]


def test_a_job_that_saved_no_row_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), open_writer(tmp_path / "a.h5"):
        raise ZeroDivisionError
    assert names(tmp_path) == []


HEADER = {"format": "clip-cfr-journal", "version": 1}
NUMBERS = {"num_rows": 23, "dim": 3, "dtype": "float32"}
DAMAGED_HEADERS = [
    (
        HEADER | {"version": 2, "job": {}},
        "clip-cfr-journal version 1",
        "clip-cfr-journal version 2",
    ),
    (
        HEADER | {"job": 3},
        "clip-cfr-journal version 1",
        """b'{"format": "clip-cfr-journal", "version"'""",
    ),
    (HEADER | {"job": NUMBERS, "crc32": 1}, f"settings with CRC-32 {job_checksum(NUMBERS)}", "1"),
    (HEADER | {"job": NUMBERS | {"num_rows": "23"}}, "a positive integer", '"23"'),
    (HEADER | {"job": NUMBERS | {"dim": 0}}, "a positive integer", "0"),
    (HEADER | {"job": NUMBERS | {"dtype": None}}, "a string", "null"),
    (HEADER | {"job": NUMBERS | {"batch_size": True}}, "a positive integer", "true"),
    (HEADER | {"job": NUMBERS | {"compute_dtype": ["float32"]}}, "a string", '["float32"]'),
    (HEADER | {"job": NUMBERS | {"device": ""}}, "a string", '""'),
    (HEADER | {"job": NUMBERS | {"compile": 1}}, "true or false", "1"),
    (HEADER | {"job": NUMBERS | {"channels_last": "no"}}, "true or false", '"no"'),
]


@pytest.mark.parametrize(("header", "expected", "found"), DAMAGED_HEADERS)
def test_a_damaged_header_is_refused_without_overwrite(tmp_path, header, expected, found):
    path = tmp_path / "a.h5"
    saved = Batch(4, (), 0).to_line()
    (tmp_path / "a.h5.journal").write_bytes(json.dumps(header).encode() + b"\n" + saved)
    for action in (lambda: read_unfinished_job(path), open_writer(path).__enter__):
        with pytest.raises(CacheError) as error:
            action()
        assert str(error.value).startswith(f"{path}.journal: line 1")
        assert str(error.value).endswith(
            f": expected {expected}, found {found}; start again with --overwrite"
        )
    with open_writer(path, overwrite=True) as writer:
        assert writer.next_row == 0


def test_a_journal_that_is_nested_too_deep_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    deep = b"[" * 20_000 + b"]" * 20_000
    journal = tmp_path / "a.h5.journal"
    journal.write_bytes(JOURNAL_START + b'"version": 1, "job": {"a": ' + deep + b"}}\n")
    with pytest.raises(CacheError, match=r"a\.h5\.journal: line 1: expected clip-cfr-journal"):
        read_unfinished_job(path)
    with open_writer(path, overwrite=True) as writer:
        append_until(writer, 10)
    with journal.open("ab") as file:
        file.write(b'{"rows": 12, "invalid": ' + deep + b', "crc32": 0}\n')
    with open_writer(path) as writer:
        assert writer.next_row == 10


@pytest.mark.parametrize("name", ["compute_dtype", "compile", "channels_last", "batch_size"])
def test_a_changed_setting_of_the_journal_is_detected(tmp_path, name):
    path, journal = tmp_path / "a.h5", tmp_path / "a.h5.journal"
    job = {"compute_dtype": "float32", "compile": False, "channels_last": True, "batch_size": 8}
    other = {"compute_dtype": "bfloat16", "compile": True, "channels_last": False, "batch_size": 4}
    with open_writer(path, job=job) as writer:
        append_until(writer, 10)
    pair = [f'"{name}": {json.dumps(values[name])}' for values in (job, other)]
    journal.write_text(journal.read_text().replace(*pair))
    with pytest.raises(CacheError, match=r"line 1: expected settings with CRC-32 \d+, found \d+;"):
        read_unfinished_job(path)
    with pytest.raises(CacheError), open_writer(path, job=job | {name: other[name]}):
        pass


def test_a_journal_without_a_checksum_of_its_settings_is_resumed(tmp_path):
    """Journals of older versions have none."""
    path, journal = tmp_path / "a.h5", tmp_path / "a.h5.journal"
    with open_writer(path) as writer:
        append_until(writer, 10)
    header, *batches = journal.read_text().splitlines(keepends=True)
    header = json.loads(header)
    del header["crc32"]
    journal.write_text(json.dumps(header) + "\n" + "".join(batches))
    with open_writer(path) as writer:
        assert writer.next_row == 10


def test_a_batch_beyond_the_last_row_is_dropped(tmp_path):
    path = tmp_path / "a.h5"
    with open_writer(path) as writer:
        append_until(writer, 10)
    with open(tmp_path / "a.h5.journal", "ab") as file:
        file.write(Batch(99, (), 0).to_line())
    write_all(path)
    assert_identical(read_cache(path), CACHE)


@pytest.mark.parametrize("name", ["a.h5", "a.h5.partial", "a.h5.journal"])
def test_a_reader_reports_how_many_rows_are_saved(tmp_path, name):
    with open_writer(tmp_path / "a.h5") as writer:
        append_until(writer, 5)
        append_until(writer, 9)
    with pytest.raises(CacheError) as error:
        read_cache(tmp_path / name)
    assert str(error.value) == (
        f"{tmp_path / name}: unfinished: 9 of 23 rows are saved; "
        "run the same command again to resume"
    )


def test_a_reader_reports_a_job_without_a_journal(tmp_path):
    (tmp_path / "a.h5.partial").touch()
    with pytest.raises(CacheError) as error:
        read_cache(tmp_path / "a.h5")
    assert str(error.value) == (
        f"{tmp_path / 'a.h5'}: unfinished, with no row saved yet; "
        "run the command that writes it again"
    )


def test_numbers_too_large_for_float16_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with ResumableWriter(path, JOB, 23, 3, "float16") as writer:
        append_until(writer, 10)
        features = CACHE.features[10:12].copy()
        features[1, 2] = 70_000
        with pytest.raises(CacheError) as error:
            writer.append(features, np.ones(2, bool))
        assert str(error.value) == (
            f"{path}: features, row 11: expected finite numbers, found inf in column 2; "
            "float16 ends at 65504: run again with --features-dtype float32 --overwrite"
        )
        assert writer.next_row == 10


def test_numbers_that_are_not_finite_are_blamed_on_the_model(tmp_path):
    path = tmp_path / "a.h5"
    with open_writer(path) as writer, pytest.raises(CacheError) as error:
        writer.append(np.full((2, 3), np.nan, np.float32), np.ones(2, bool))
    assert str(error.value) == (
        f"{path}: features, row 0: expected finite numbers, found nan in column 0; "
        "it is the model's output: run again with --dtype float32 --overwrite"
    )


def test_invalid_rows_are_stored_as_zeros(tmp_path):
    features = np.where(CACHE.valid[:, None], CACHE.features, np.nan)
    with open_writer(tmp_path / "a.h5") as writer:
        writer.append(features, CACHE.valid)
        finish(writer)
    assert_identical(read_cache(tmp_path / "a.h5"), CACHE)


def test_too_many_rows_and_a_wrong_shape_are_refused(tmp_path):
    with open_writer(tmp_path / "a.h5") as writer:
        with pytest.raises(CacheError, match=r"features: expected 23 rows, found 24; this is a b"):
            writer.append(np.zeros((24, 3), np.float32), np.ones(24, bool))
        with pytest.raises(CacheError, match=r"features: expected shape \(2, 3\), found \(2, 4\);"):
            writer.append(np.zeros((2, 4), np.float32), np.ones(2, bool))


def test_a_cache_with_rows_missing_cannot_be_finished(tmp_path):
    path = tmp_path / "a.h5"
    with open_writer(path) as writer:
        append_until(writer, 10)
        with pytest.raises(CacheError) as error:
            finish(writer)
    assert str(error.value) == (
        f"{path}: cannot be finished with 10 of 23 rows; run the same command again to resume"
    )


def test_contents_that_break_a_rule_keep_the_saved_rows(tmp_path):
    path = tmp_path / "a.h5"
    other = make_cache(n=22, dim=3, dtype="float32")
    with open_writer(path) as writer:
        append_until(writer, 23)
        with pytest.raises(CacheError) as error:
            writer.finish("d", other.rows, CACHE.head, CACHE.texts, {})
    assert str(error.value) == (
        f"{path}: ids: expected shape (23,), found shape (22,); nothing was written"
    )
    with open_writer(path) as writer:
        assert writer.next_row == 23


MEASURE_MEMORY = """
import sys, tracemalloc
import numpy as np
from clip_cfr.cache.write.resumable import ResumableWriter
from tests.cache.examples import make_cache
cache = make_cache(n=10_000, dim=1024, width=2)
with ResumableWriter(sys.argv[1], {}, 10_000, 1024, "float16") as writer:
    for start in range(0, 10_000, 500):
        writer.append(cache.features[start:start + 500], cache.valid[start:start + 500])
    tracemalloc.start()
    writer.finish(cache.dataset, cache.rows, cache.head, cache.texts, cache.provenance)
print(tracemalloc.get_traced_memory()[1])
"""


def test_finishing_needs_memory_for_a_few_chunks_only(tmp_path):
    done = run_python(MEASURE_MEMORY, tmp_path / "a.h5")
    assert int(done.stdout) < 8e6 < 10_000 * 1024 * 2
