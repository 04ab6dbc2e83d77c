"""Refuse files that are damaged, truncated, of another kind or of another version."""

import hashlib
import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.encoding import encode_text
from clip_cfr.cache.read.info import content_digest, read_info
from clip_cfr.cache.read.reader import open_cache, read_cache, verify_cache
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import assert_identical, make_cache

DAMAGED = "; the file is damaged: restore it, or write it again with --overwrite"
# Files by which a run folder and a grid folder are recognised.
RUN = '{"format": "clip-cfr-run"}'
GRID = '{"digest": "00", "points": []}'


@pytest.fixture
def path(tmp_path) -> Path:
    """Write an undamaged cache."""
    write_cache(tmp_path / "a.h5", make_cache())
    return tmp_path / "a.h5"


def message_of(read, path: Path) -> str:
    """Return the message of the CacheError, without the path that it begins with."""
    with pytest.raises(CacheError) as error:
        read(path)
    name, message = str(error.value).split(": ", 1)
    assert name == str(path)
    return message


def positions(size: int) -> list[int]:
    """Return the first two hundred positions, and every eleventh of the others."""
    return [*range(200), *range(200, size, 11)]


def test_a_flipped_byte_is_detected_or_harmless(path):
    good, cache = path.read_bytes(), make_cache()
    detected = 0
    for position in positions(len(good)):
        bad = bytearray(good)
        bad[position] ^= 0xFF
        path.write_bytes(bad)
        try:
            assert_identical(read_cache(path), cache)
        except CacheError:
            detected += 1
    # Most bytes of a small file are metadata of HDF5, some of them unused.
    assert detected > 0.9 * len(positions(len(good)))


def read_row_1500(path):
    with open_cache(path) as cache:
        cache.features[np.array([3])]  # In another chunk, which is not damaged.
        cache.features[np.array([3, 1500])]


def test_a_flipped_bit_of_features_names_the_rows(tmp_path):
    path, cache = tmp_path / "a.h5", make_cache(n=3000, dim=512)
    write_cache(path, cache)
    good = bytearray(path.read_bytes())
    good[good.index(cache.features[2000].tobytes()) + 7] ^= 1
    path.write_bytes(good)
    expected = "features, rows 1024 to 2047: expected data that matches its checksum, found "
    for read in (read_cache, verify_cache, read_row_1500):
        assert message_of(read, path) == expected + "damaged data" + DAMAGED
    # `info` does not read features.
    assert read_info(path)["features"] == {"shape": [3000, 512], "dtype": "float16"}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.999])
def test_a_truncated_file_is_refused(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    expected = "expected a complete HDF5 file, found a truncated or damaged one" + DAMAGED
    assert message_of(read_cache, path) == expected


@pytest.mark.parametrize("data", [b"", b"\x89HD", b"PK\x03\x04 not HDF5"])
def test_a_file_of_another_kind_is_refused(path, data):
    path.write_bytes(data)
    found = f"a file that begins with {data[:8]!r}" if data else "an empty file"
    expected = f"expected an HDF5 file, found {found}"
    assert message_of(read_cache, path) == expected


def test_another_hdf5_file_is_refused(path):
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros((3, 2))
    assert message_of(read_cache, path) == (
        "expected the root attribute format = clip-cfr-cache, found none; "
        "this HDF5 file is not a feature cache: write one with extract or import"
    )


def test_a_missing_file_is_refused(tmp_path):
    expected = "no such file; write it with extract or import, --out"
    for read in (read_cache, verify_cache, read_info, content_digest):
        assert message_of(read, tmp_path / "a.h5") == expected


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("notes.txt", "", "a folder"),
        ("run.json", RUN, "a run folder; show it with: clip-cfr show '{}'"),
        ("grid.json", GRID, "a grid folder; show it with: clip-cfr show '{}'"),
        *[(name, "", "a folder") for name in ("run.json", "grid.json")],
        *[(name, '{"format": "another"}', "a folder") for name in ("run.json", "grid.json")],
        ("run.json", "[[" * 10_000, "a folder"),
    ],
)
def test_a_folder_is_refused_and_one_of_this_program_is_recognised(tmp_path, name, content, found):
    folder = tmp_path / "my folder"
    folder.mkdir()
    (folder / name).write_text(content)
    for read in (read_cache, verify_cache, read_info, content_digest):
        assert message_of(read, folder) == f"expected a feature cache, found {found.format(folder)}"


def test_a_command_to_paste_has_the_name_of_the_called_program(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/cli.py", "info", str(tmp_path)])
    (tmp_path / "grid.json").write_text(GRID)
    assert message_of(read_info, tmp_path) == (
        "expected a feature cache, found a grid folder; show it with: "
        f"python cli.py show {tmp_path}"
    )


def test_a_newer_version_is_refused(path):
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = np.int32(2)
    assert message_of(read_cache, path) == (
        "expected format version 1, found 2; install a newer clip-cfr"
    )


def sign(data: h5py.Dataset) -> None:
    """Set the SHA-256 of an HDF5 dataset to that of its bytes."""
    digest = encode_text("sha256", hashlib.sha256(data[()].tobytes()).hexdigest())
    data.attrs.create("sha256", digest[0], dtype=digest.dtype)


def rewrite(path: Path, name: str, array: np.ndarray, **settings) -> None:
    """Replace an HDF5 dataset by another one with the right SHA-256."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        del file[name]
        sign(file.create_dataset(name, data=array, **settings))


CHUNKED = {"chunks": True, "fletcher32": True}
FEATURES = make_cache().features.copy()
NAN = FEATURES.copy()
NAN[6, 2] = np.nan
BROKEN = [
    ("features", NAN, "features, row 6: expected finite numbers, found nan in column 2"),
    (
        "features",
        FEATURES[:, :5],
        "head/projection: expected shape (5, 4), found shape (6, 4)",
    ),
    ("features", FEATURES[:11], "valid: expected shape (11,), found shape (12,)"),
    (
        "features",
        FEATURES.astype(">f2"),
        "features: expected type float16 or float32, found >f2",
    ),
    ("valid", np.ones(12, np.int8), "valid: expected type bool, found int8"),
    (
        "valid",
        np.zeros(12, bool),
        "features, row 0: expected zeros in an invalid row, found ",
    ),
    ("splits", np.full(12, 3, np.int8), "splits, row 0: expected a value from 0 to 2, found 3"),
    (
        "text/class_prompt_owners",
        np.array([0, 1, 1], np.int32),
        "text/class_prompt_owners, row 1: expected class 0, found 1",
    ),
]


@pytest.mark.parametrize(("name", "array", "message"), BROKEN)
def test_a_file_that_breaks_a_rule_is_refused(path, name, array, message):
    rewrite(path, name, array, **CHUNKED)
    for read in (read_cache, verify_cache):
        found = message_of(read, path)
        assert found.startswith(message)
        assert found.endswith(DAMAGED)


def test_ids_without_checksums_are_refused(path):
    # HDF5 cannot filter variable-length text, so the type shows that there are no checksums.
    rewrite(path, "ids", np.array(make_cache().rows.ids, h5py.string_dtype()))
    assert message_of(read_cache, path) == (
        "ids: expected type fixed-length utf-8, found variable-length utf-8" + DAMAGED
    )


def test_features_without_checksums_are_refused(path):
    rewrite(path, "features", FEATURES)
    assert message_of(read_cache, path) == (
        "features: expected chunks with checksums (fletcher32), found none" + DAMAGED
    )


def test_a_missing_array_is_named(path):
    with h5py.File(path, "r+") as file:
        del file["labels"]
    assert message_of(read_cache, path) == (
        "labels: expected an HDF5 dataset of this name, found none" + DAMAGED
    )


def test_a_group_instead_of_an_array_is_refused(path):
    with h5py.File(path, "r+") as file:
        del file["labels"]
        file.create_group("labels")
    assert message_of(read_cache, path).startswith("labels: expected an HDF5 dataset of this name")


def test_verify_detects_features_that_do_not_match_their_digest(path):
    with h5py.File(path, "r+") as file:
        file["features"][0, 0] = 7
        file.flush()
        found = hashlib.sha256(file["features"][()].tobytes()).hexdigest()
        expected = file["features"].attrs["sha256"].decode()
    read_cache(path)
    assert message_of(verify_cache, path) == (
        f"features: expected SHA-256 {expected}, found {found}{DAMAGED}"
    )


def test_columns_that_do_not_match_their_digest_are_refused(path):
    with h5py.File(path, "r+") as file:
        file["labels"][3] = 1 - file["labels"][3]
    assert message_of(read_cache, path).startswith("labels: expected SHA-256 ")


def test_changed_root_attributes_are_refused(path):
    with h5py.File(path, "r+") as file:
        names = encode_text("class_names", json.dumps(["dog", "cat"]))
        file.attrs.create("class_names", names[0], dtype=names.dtype)
    found = message_of(read_cache, path)
    assert found.startswith("root attributes: expected SHA-256 ")


def test_a_missing_root_attribute_is_named(path):
    with h5py.File(path, "r+") as file:
        del file.attrs["provenance"]
    assert message_of(read_cache, path) == (
        "root attribute provenance: expected fixed-length text, found none" + DAMAGED
    )


def test_unknown_arrays_are_ignored(path):
    with h5py.File(path, "r+") as file:
        file["notes/mine"] = np.arange(3)
    assert_identical(read_cache(path), make_cache())
