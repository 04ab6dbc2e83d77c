"""Texts such as `F.npz:key`."""

from pathlib import Path

import pytest

from clip_cfr.extract.importing.arrays.reference import ArrayReference, parse_reference


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "F.h5").touch()
    return tmp_path / "F.h5"


@pytest.mark.parametrize("key", ["x", "/train/x", "a:b"])
def test_a_key_follows_a_colon(path: Path, key: str):
    found = parse_reference(f"{path}:{key}")
    assert found == ArrayReference(path, key)
    assert str(found) == f"{path}:{key}"


def test_a_path_has_no_key(path: Path):
    assert parse_reference(path) == parse_reference(str(path)) == ArrayReference(path)
    assert str(parse_reference(path)) == str(path)


def test_the_name_of_a_file_may_have_a_colon(path: Path):
    other = path.rename(path.with_name("a:b.h5"))
    assert parse_reference(str(other)) == ArrayReference(other)
    assert parse_reference(f"{other}:x") == ArrayReference(other, "x")


def test_a_missing_file_has_no_key(path: Path):
    assert parse_reference("none.h5:x") == ArrayReference(Path("none.h5:x"))


def test_the_home_folder_is_expanded(path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(path.parent))
    assert parse_reference("~/F.h5:x") == ArrayReference(path, "x")
