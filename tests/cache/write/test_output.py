"""What an output may replace, and what is left alone."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError, OutputError
from clip_cfr.cache.files.atomic import write_lock
from clip_cfr.cache.merge.merge import merge_shards
from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.cache.write.output import check_output
from clip_cfr.cache.write.resumable import ResumableWriter
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import ROOT, assert_identical, make_cache
from tests.cache.shard_files import make_whole, write_shards

CACHE = make_cache()
NEVER = (
    "the file exists and is not a feature cache, so it is not replaced, not even with --overwrite; "
    "name another file"
)


def write_at_once(path: Path, overwrite: bool) -> None:
    write_cache(path, CACHE, overwrite)


def write_in_batches(path: Path, overwrite: bool) -> None:
    n, dim = CACHE.features.shape
    with ResumableWriter(path, {"model": "m"}, n, dim, "float16", overwrite) as writer:
        writer.append(CACHE.features, CACHE.valid)
        writer.finish(CACHE.dataset, CACHE.rows, CACHE.head, CACHE.texts, CACHE.provenance)


def merge(path: Path, overwrite: bool) -> None:
    folder = path.parent / "shards"
    merge_shards(write_shards(folder, make_whole()), path, overwrite)
    shutil.rmtree(folder)


WRITES = [write_at_once, write_in_batches, merge, check_output]
in_each_way = pytest.mark.parametrize("write", WRITES)


def message_of(write, path: Path, overwrite: bool = True) -> str:
    """Return the message of a refused write, which changes no file; without the path."""
    before = contents(path.parent)
    with pytest.raises(CacheError) as error:
        write(path, overwrite)
    shutil.rmtree(path.parent / "shards", ignore_errors=True)
    assert contents(path.parent) == before
    return str(error.value).removeprefix(f"{path}: ")


def contents(folder: Path) -> dict[str, object]:
    """Return the bytes of each file below a folder, and the target of each link."""
    return {
        str(each.relative_to(folder)): os.readlink(each) if each.is_symlink() else _bytes(each)
        for each in sorted(folder.rglob("*"))
    }


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "anndata"
        file["features"] = np.zeros((3, 2))


def save_embeddings(path: Path) -> None:
    with path.open("wb") as file:  # `numpy.save` would append its own suffix to a path.
        np.save(file, np.zeros((3, 2)))


FOREIGN = {
    "list": lambda path: path.write_text("filename,label\na.png,cat\n"),
    "image": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"),
    "embeddings": save_embeddings,
    "other HDF5": other_hdf5,
    "truncated HDF5": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"),
    "empty": Path.touch,
    "name of the format": lambda path: path.write_text("clip-cfr-cache"),
}


@in_each_way
@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_another_kind_is_never_replaced(tmp_path, write, make):
    make(tmp_path / "a.h5")
    for overwrite in (False, True):
        assert message_of(write, tmp_path / "a.h5", overwrite) == NEVER


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


SPECIAL = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": make_socket,
    "a device": lambda path: path.symlink_to("/dev/null"),
}


@in_each_way
@pytest.mark.parametrize(("kind", "make"), SPECIAL.items(), ids=SPECIAL)
def test_a_path_that_is_not_a_file_is_never_replaced(tmp_path, monkeypatch, write, kind, make):
    monkeypatch.chdir(tmp_path)  # The path of a socket has at most a hundred bytes.
    make(Path("a.h5"))
    found = message_of(write, Path("a.h5"))
    assert found.endswith(f"expected the name of a file, found {kind}")


@in_each_way
def test_a_cache_is_replaced_with_overwrite_alone(tmp_path, write):
    path = tmp_path / "a.h5"
    write_cache(path, make_cache(seed=5))
    expected = "the file exists; replace it with --overwrite or name another"
    assert message_of(write, path, overwrite=False) == expected
    write(path, True)
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_cache_and_one_of_a_newer_version_are_replaced(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, CACHE)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = np.int32(9)
    write_cache(path, CACHE, overwrite=True)
    damaged = bytearray(path.read_bytes())
    damaged[20:48] = bytes(28)  # The addresses in the superblock.
    path.write_bytes(damaged)
    with pytest.raises(CacheError, match="found a truncated or damaged one"):
        read_cache(path)
    write_cache(path, CACHE, overwrite=True)
    assert_identical(read_cache(path), CACHE)


@pytest.mark.parametrize("write", WRITES[:3])
def test_a_symbolic_link_is_followed_and_stays(tmp_path, write):
    target, link = tmp_path / "disk" / "b.h5", tmp_path / "a.h5"
    target.parent.mkdir()
    link.symlink_to("disk/b.h5")
    write(link, False)
    assert message_of(write, link, overwrite=False).startswith(f"{target}: the file exists")
    write(link, True)
    assert os.readlink(link) == "disk/b.h5"
    assert len(verify_cache(link)) == len(verify_cache(target))
    assert [each.name for each in target.parent.iterdir()] == ["b.h5"]


def test_links_that_lead_nowhere_to_a_folder_or_to_a_foreign_file_are_refused(tmp_path):
    link = tmp_path / "a.h5"
    (tmp_path / "folder").mkdir()
    (tmp_path / "list.csv").write_text("mine")
    targets = {
        "missing/b.h5": f"{tmp_path}/missing/b.h5: the folder {tmp_path}/missing does not exist; "
        "create it first",
        "folder": f"{tmp_path}/folder: expected the name of a file, found a folder",
        "list.csv": f"{tmp_path}/list.csv: {NEVER}",
        "a.h5": "the symbolic link leads to itself; name another output",
    }
    for target, message in targets.items():
        link.symlink_to(target)
        assert message_of(check_output, link) == message
        link.unlink()


def test_names_of_one_file_share_one_lock(tmp_path):
    (tmp_path / "b.h5").symlink_to("a.h5")
    with write_lock(tmp_path / "a.h5"), pytest.raises(CacheError, match="another process"):
        check_output(tmp_path / "b.h5")


@pytest.mark.parametrize("spelling", ["same", "dots", "symbolic link", "hard link"])
def test_an_input_is_not_accepted_as_output(tmp_path, spelling):
    path, other = tmp_path / "a.h5", tmp_path / "b.h5"
    write_cache(path, CACHE)
    if spelling == "same":
        other = path
    elif spelling == "dots":
        other = tmp_path / "shards" / ".." / "a.h5"
        (tmp_path / "shards").mkdir()
    elif spelling == "symbolic link":
        other.symlink_to(path)
    else:
        other.hardlink_to(path)
    with pytest.raises(OutputError) as error:
        check_output(other, overwrite=True, inputs=[None, tmp_path / "missing", path])
    also = "" if other == path else f", {path}"
    assert str(error.value) == (f"--out {other} is one of the files to read{also}; name another")


def test_shards_are_not_accepted_as_output(tmp_path):
    shards = write_shards(tmp_path, make_whole())
    for virtual in (False, True):
        with pytest.raises(OutputError, match="is one of the files to read; name another"):
            merge_shards(shards, shards[1], overwrite=True, virtual=virtual)


SIBLINGS = {
    "a.h5.lock": WRITES,
    "a.h5.partial": [write_in_batches],
    "a.h5.journal": [write_in_batches],
}


@pytest.mark.parametrize(("name", "writes"), SIBLINGS.items(), ids=SIBLINGS)
@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_a_foreign_file_beside_the_output_is_left_alone(tmp_path, name, writes, kind):
    sibling = tmp_path / name
    (tmp_path / "mine").write_text("mine")
    if kind == "file":
        sibling.write_text("mine")
    elif kind == "link":
        sibling.symlink_to("mine")
    else:
        sibling.mkdir()
    for write in writes:
        for overwrite in (False, True):
            assert str(sibling) in message_of(write, tmp_path / "a.h5", overwrite)


def test_other_files_of_similar_names_are_left_alone(tmp_path):
    similar = dict.fromkeys(("a.h5.tmp", "a.h5.journal.tmp", ".a.h5.0123abcd.tmp"), b"mine")
    for name, data in similar.items():
        (tmp_path / name).write_bytes(data)
    for write in (write_at_once, write_in_batches):
        write(tmp_path / "a.h5", True)
    assert contents(tmp_path) == {**similar, "a.h5": (tmp_path / "a.h5").read_bytes()}


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path):
    path = tmp_path / f"{'a' * 245}.h5"
    assert message_of(check_output, path) == (
        "cannot be written: File name too long; name a shorter one"
    )
    for path in (tmp_path / ("a" * 300), Path("/" + "a/" * 4000)):
        assert "File name too long" in message_of_lookup(path)


def message_of_lookup(path: Path) -> str:
    with pytest.raises(CacheError) as error:
        check_output(path)
    return str(error.value)


def test_a_file_below_a_file_is_refused(tmp_path):
    (tmp_path / "list.csv").write_text("mine")
    path = tmp_path / "list.csv" / "a.h5"
    assert message_of_lookup(path) == (
        f"{path}: the folder {tmp_path}/list.csv does not exist; create it first"
    )


def test_a_file_that_appears_during_the_work_is_not_replaced(tmp_path):
    path = tmp_path / "a.h5"
    n, dim = CACHE.features.shape
    with ResumableWriter(path, {}, n, dim, "float16") as writer:
        writer.append(CACHE.features, CACHE.valid)
        path.write_text("mine")
        with pytest.raises(CacheError) as error:
            writer.finish(CACHE.dataset, CACHE.rows, CACHE.head, CACHE.texts, CACHE.provenance)
    assert str(error.value) == f"{path}: {NEVER}"
    assert path.read_text() == "mine"
    path.unlink()
    with ResumableWriter(path, {}, n, dim, "float16") as writer:
        assert writer.next_row == n


KILLED = """
import os, signal, sys
from pathlib import Path
from clip_cfr.cache.write import resumable
from tests.cache.write.test_output import write_in_batches
resumable.remove_job_files = lambda path: os.kill(os.getpid(), signal.SIGKILL)
write_in_batches(Path(sys.argv[1]), False)
"""


@pytest.mark.parametrize("left", [["a.h5.partial", "a.h5.journal"], ["a.h5.journal"]])
def test_files_that_a_kill_left_beside_a_finished_cache_are_removed(tmp_path, left, caplog):
    path = tmp_path / "a.h5"
    done = subprocess.run([sys.executable, "-c", KILLED, path], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert {each.name for each in tmp_path.iterdir()} == {
        *("a.h5", "a.h5.lock", "a.h5.partial", "a.h5.journal")
    }
    if len(left) == 1:
        (tmp_path / "a.h5.partial").unlink()
    assert message_of_lookup(path) == (
        f"{path}: the file exists; replace it with --overwrite or name another"
    )
    assert caplog.messages == [
        f"{path}: removed the leftovers of a killed process: {', '.join(left)}"
    ]
    assert_identical(read_cache(path), CACHE)
    assert list(tmp_path.iterdir()) == [path]
