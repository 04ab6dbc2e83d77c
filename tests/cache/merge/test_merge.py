"""Merge shards: the result equals that of one extraction, and other shards are refused."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.class_prompts import list_prompt_sets
from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.atomic import find_temporaries, write_lock
from clip_cfr.cache.format.schema import FeatureCache, OtherPrompts
from clip_cfr.cache.merge.merge import merge_shards
from clip_cfr.cache.read.info import read_info
from clip_cfr.cache.read.reader import open_cache, read_cache, verify_cache
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import ROOT, assert_identical, run_python
from tests.cache.shard_files import make_whole, shard_cache, write_shard, write_shards

WHOLE = make_whole()
AGAIN = ", with --shard 2/3 --overwrite"


@pytest.fixture
def shards(tmp_path) -> list[Path]:
    return write_shards(tmp_path, WHOLE)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "a.h5"


def error_of(paths: list[Path], out: Path, **settings) -> str:
    """Return the message of a merge that fails, and check that it writes nothing."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(CacheError) as error:
        merge_shards(paths, out, **settings)
    assert sorted(out.parent.iterdir()) == before
    return str(error.value)


@pytest.mark.parametrize("virtual", [False, True])
@pytest.mark.parametrize("count", [1, 3, 23])
def test_a_merge_equals_one_extraction(count, virtual, tmp_path, out):
    write_cache(tmp_path / "whole.h5", WHOLE)
    shards = write_shards(tmp_path, WHOLE, count)
    assert merge_shards(shards[::-1], out, virtual=virtual) == []
    assert verify_cache(out) == verify_cache(tmp_path / "whole.h5")
    found = read_cache(out)
    assert_identical(replace(found, provenance=WHOLE.provenance), WHOLE)
    assert set(found.provenance) == {*WHOLE.provenance, "merged"}
    assert [each["file"] for each in found.provenance["merged"]] == [x.name for x in shards]


def test_shards_of_an_earlier_version_record_no_drawn_splits(tmp_path, out):
    whole = replace(WHOLE, provenance=WHOLE.provenance | {"drawn_splits": ["val"]})
    new, old = write_shards(tmp_path / "new", whole), write_shards(tmp_path / "old", WHOLE)
    assert merge_shards([new[0], *old[1:]], out) == []
    assert read_cache(out).provenance["drawn_splits"] == ["val"]


def test_merge_of_several_chunks(tmp_path, out):
    whole = make_whole(n=5000, dim=256, width=2, subjects=False)
    for virtual in (False, True):
        merge_shards(write_shards(tmp_path, whole), out, overwrite=True, virtual=virtual)
        with open_cache(out) as cache:
            for rows in (np.arange(5000), np.array([1665, 1666, 4999]), np.zeros(0, int)):
                np.testing.assert_array_equal(cache.features[rows], whole.features[rows])


def test_a_shard_is_refused_if_a_whole_cache_is_expected(shards):
    for read in (read_cache, lambda path: open_cache(path).__enter__()):
        with pytest.raises(CacheError) as error:
            read(shards[1])
        assert str(error.value) == (
            f"{shards[1]}: expected a whole cache, found shard 2 of 3 (rows 7 to 14 of 23); merge "
            "all 3 shards with merge SHARD... --out FILE.h5"
        )
    assert read_info(shards[1])["shard"]["first_row"] == 7
    assert len(verify_cache(shards[1])) == 14


def test_an_impossible_shard_is_refused(tmp_path):
    for entry in ({"index": 1}, {"index": 4, "count": 3}, "1/3", {"index": 1, "count": 0}):
        cache = shard_cache(WHOLE, 1, 3, shard=entry)
        write_cache(tmp_path / "a.h5", cache, overwrite=True)
        with pytest.raises(CacheError, match="provenance, shard: expected a shard of 7 rows, f"):
            read_cache(tmp_path / "a.h5", allow_shard=True)


def test_missing_shards_are_named_with_the_options_that_create_them(shards, out):
    assert error_of(shards[1:2], out) == (
        f"{out}: expected all 3 shards, found 1; name the missing files too, or create them "
        "with extract --shard 1/3, --shard 3/3"
    )


def test_a_shard_given_twice_is_refused(shards, out, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(shards[1].read_bytes())
    assert error_of([*shards, copy], out) == (
        f"{copy}: shard 2 of 3 (rows 7 to 14 of 23) is given twice, also as {shards[1]}; "
        "leave one out"
    )


def test_a_whole_cache_and_a_missing_file_are_refused(shards, out, tmp_path):
    whole = tmp_path / "whole.h5"
    write_cache(whole, WHOLE)
    assert error_of([*shards, whole], out) == (
        f"{whole}: expected a shard, found a whole cache; merge takes the files that extract "
        "--shard I/N writes"
    )
    assert error_of([tmp_path / "none.h5"], out).startswith(f"{tmp_path / 'none.h5'}: no such file")


def test_a_shard_of_another_count_is_refused(shards, out, tmp_path):
    other = write_shard(tmp_path, shard_cache(WHOLE, 2, 4))
    assert error_of([shards[0], other, shards[2]], out) == (
        f"{other}: expected one of 3 shards of 23 rows as {shards[0]} is, found shard 2 of 4 (rows "
        "5 to 10 of 23); merge shards of one count only"
    )


# Provenance of the second shard, the beginning of the error, and the options that it names.
OTHER_MODEL = {"model": "other", "weights_sha256": "00" * 32}
OTHER_SETTINGS = [
    (
        OTHER_MODEL,
        'provenance, model: expected "tiny" as in {first}, found "other"',
        "--shard 2/3 --model tiny",
    ),
    (
        {"weights_sha256": "00"},
        f'provenance, weights_sha256: expected "{"ab" * 32}" as in {{first}}, found "00"',
        "--shard 2/3",
    ),
    (
        {"compute_dtype": "bfloat16"},
        'provenance, compute_dtype: expected "float32" as in {first}, found "bfloat16"',
        "--shard 2/3 --dtype float32",
    ),
    (
        {"image_processor": {"class": "P", "configuration": {"size": 336}}},
        "provenance, image_processor.configuration.size: expected 224 as in {first}, found 336",
        "--shard 2/3",
    ),
    (
        {"manifest_sha256": "00"},
        f"provenance, manifest_sha256: expected {'cd' * 32} as in {{first}}, found 00; the data "
        "set's images, labels or splits, or --limit, changed in between: extract the outdated one "
        "again; if it is this one",
        "--shard 2/3",
    ),
    (
        {"templates": "simple"},
        'provenance, templates: expected "none" as in {first}, found "sim',
        "--shard 2/3",
    ),
]


@pytest.mark.parametrize(("made", "message", "options"), OTHER_SETTINGS)
def test_a_shard_of_other_settings_is_named(made, message, options, shards, out, tmp_path):
    write_shard(tmp_path, shard_cache(WHOLE, 2, 3, **made))
    found = error_of(shards, out)
    assert found.startswith(f"{shards[1]}: {message.format(first=shards[0])}")
    assert found.endswith(f", with {options} --overwrite")


def test_a_shard_of_other_contents_is_named(shards, out, tmp_path):
    texts, head = WHOLE.texts, WHOLE.head
    turned = texts.attribute_embeddings[::-1].copy()
    others = {
        "dataset: expected examples": {"dataset": "other"},
        "features, dtype: expected float16": {"features": WHOLE.features.astype(np.float32)},
        "class_names: expected ('class 0'": {"texts": replace(texts, class_names=("x", "y"))},
        "text/attribute_embeddings: expected the same numbers": {
            "texts": replace(texts, attribute_embeddings=turned)
        },
        "head/projection: expected the same": {"head": replace(head, projection=-head.projection)},
        "head/bias: expected shape (4,)": {"head": replace(head, bias=None)},
        "head/logit_scale: expected 100.0": {"head": replace(head, logit_scale=14.0)},
        "subjects: expected an array": {"rows": replace(WHOLE.rows, subjects=None)},
    }
    for message, change in others.items():
        write_shard(tmp_path, shard_cache(replace(WHOLE, **change), 2, 3))
        assert error_of(shards, out).startswith(f"{shards[1]}: {message}"), message


def with_other_prompts(sentences: tuple[str, str], embeddings) -> FeatureCache:
    """The whole cache with one other sentence for each class."""
    owners = np.arange(2, dtype=np.int32)
    others = OtherPrompts(sentences, ("name", "name"), owners, embeddings)
    return replace(WHOLE, texts=replace(WHOLE.texts, other_prompts=others))


def test_other_prompts_must_agree_where_both_shards_have_them(shards, out, tmp_path):
    rows = np.eye(2, 4, dtype=np.float32)
    whole = with_other_prompts(("cat", "dog"), rows)
    write_shard(tmp_path, shard_cache(whole, 1, 3))
    for changed, message in (
        (with_other_prompts(("cat", "puppy"), rows), "prompts, sentences: expected ('cat', 'dog')"),
        (with_other_prompts(("cat", "dog"), rows[::-1].copy()), "prompt_embeddings: expected the"),
    ):
        write_shard(tmp_path, shard_cache(changed, 2, 3))
        assert error_of(shards, out).startswith(f"{shards[1]}: text/other_{message}"), message
    write_shard(tmp_path, shard_cache(WHOLE, 2, 3))  # An earlier version stored none.
    merge_shards(shards, out)
    assert list_prompt_sets(read_cache(out)) == ("name",)


def test_differences_by_rounding_are_warned_of_and_recorded(shards, out, tmp_path):
    made = {"device": "cuda (b)", "versions": {"torch": "2.14.0"}, "model": "/scratch/tiny"}
    made["batch_size_halved"] = [[3, 32]]  # Row indices of the shard: recorded in its entry only.
    texts = WHOLE.texts
    nearly = replace(texts, class_embeddings=texts.class_embeddings * np.float32(1 + 1e-6))
    write_shard(tmp_path, shard_cache(replace(WHOLE, texts=nearly), 2, 3, **made))
    assert merge_shards(shards, out) == [
        'model differs between shards: "tiny" in 2, "/scratch/tiny" in 1; the weights are the same',
        'device differs between shards: "cpu (a)" in 2, "cuda (b)" in 1; features differ by '
        "rounding only",
        'versions.torch differs between shards: "2.13.0" in 2, "2.14.0" in 1; features differ by '
        "rounding only",
        "batch_size_halved differs between shards: null in 2, [[3, 32]] in 1; features differ by "
        "rounding only",
    ]
    found = read_cache(out)
    assert (found.texts.class_embeddings == texts.class_embeddings).all()
    assert [each["device"] for each in found.provenance["merged"]] == [
        "cpu (a)",
        "cuda (b)",
        "cpu (a)",
    ]
    assert "batch_size_halved" not in found.provenance
    assert found.provenance["merged"][1]["batch_size_halved"] == [[3, 32]]


@pytest.mark.parametrize("virtual", [False, True])
def test_a_damaged_shard_is_named(virtual, shards, out):
    data = bytearray(shards[1].read_bytes())
    data[data.index(WHOLE.features[9].tobytes())] ^= 1
    shards[1].write_bytes(data)
    assert error_of(shards, out, virtual=virtual) == (
        f"{shards[1]}: features, rows 0 to 7: expected data that matches its checksum, found "
        "damaged data; the file is damaged: restore it, or write it again with --overwrite"
    )


def test_a_shard_whose_digest_is_wrong_is_named(shards, out, monkeypatch):
    """SHA-256 detects what fletcher32 misses."""
    monkeypatch.setattr("clip_cfr.cache.merge.merge.read_text", lambda *_: "00")
    found = error_of(shards, out)
    assert found.startswith(f"{shards[0]}: features: expected SHA-256 00, found ")


def test_a_finished_file_and_a_locked_one_are_refused(shards, out):
    with write_lock(out):
        assert "another process is writing this file" in error_of(shards, out)
    merge_shards(shards, out)
    before = out.read_bytes()
    assert error_of(shards, out) == (
        f"{out}: the file exists; replace it with --overwrite or name another"
    )
    assert out.read_bytes() == before
    merge_shards(shards, out, overwrite=True)


FILL_DISK = """
import resource, sys
from clip_cfr.cache.class_prompts import list_prompt_sets
from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import FeatureCache, OtherPrompts
from clip_cfr.cache.merge.merge import merge_shards
out, limit, *shards = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
try:
    merge_shards(shards, out)
except CacheError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
merge_shards(shards, out)
"""


def test_a_full_disk_is_reported_and_leaves_no_file(tmp_path, out):
    whole = make_whole(n=3000, dim=512, width=2)
    shards = write_shards(tmp_path / "shards", whole)
    done = run_python(FILL_DISK, out, 1_500_000, *shards)
    assert (done.stderr, done.stdout) == (
        "",
        f"{out}: cannot be written: File too large; 3,172,176 bytes are needed; make room and run "
        "the same command again\n",
    )
    assert_identical(replace(read_cache(out), provenance=whole.provenance), whole)
    assert sorted(tmp_path.iterdir()) == [out, tmp_path / "shards"]


MERGE = """
import sys
from clip_cfr.cache.format.schema import FeatureCache, OtherPrompts
from clip_cfr.cache.merge.merge import merge_shards
merge_shards(sys.argv[2:], sys.argv[1])
"""


def has_temporary(out: Path, num_bytes: int) -> bool:
    """Return whether a temporary file of an output has more than a number of bytes."""
    with suppress(FileNotFoundError):  # A file may vanish between the listing and its status.
        return any(each.stat().st_size > num_bytes for each in find_temporaries(out))
    return False


def test_a_killed_merge_leaves_nothing_under_the_final_name(tmp_path, out, caplog):
    whole = make_whole(n=60_000, dim=512, width=2, subjects=False)
    shards = write_shards(tmp_path / "shards", whole)
    command = [sys.executable, "-c", MERGE, str(out), *map(str, shards)]
    process = subprocess.Popen(command, cwd=ROOT)
    while not has_temporary(out, 1 << 20):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    [temporary] = find_temporaries(out)
    merge_shards(shards, out)
    assert len(verify_cache(out)) == 13
    assert caplog.messages == [
        f"{out}: removed the leftovers of a killed process: {temporary.name}"
    ]
    assert sorted(tmp_path.iterdir()) == [out, tmp_path / "shards"]


MEASURE_MEMORY = """
import sys, tracemalloc
from clip_cfr.cache.format.schema import FeatureCache, OtherPrompts
from clip_cfr.cache.merge.merge import merge_shards
tracemalloc.start()
merge_shards(sys.argv[2:], sys.argv[1])
print(tracemalloc.get_traced_memory()[1])
"""


def test_merging_keeps_only_one_chunk_of_features_in_memory(tmp_path, out):
    whole = make_whole(n=20_000, dim=1024, width=2, subjects=False)
    shards = write_shards(tmp_path / "shards", whole)
    peak = int(run_python(MEASURE_MEMORY, out, *shards).stdout)
    assert whole.features.nbytes == 40_960_000
    assert peak < 20e6, peak
