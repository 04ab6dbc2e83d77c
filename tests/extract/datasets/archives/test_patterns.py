from pathlib import Path

import pytest

from clip_cfr.extract.datasets.archives.patterns import (
    expand_braces,
    expand_pattern,
    is_pattern,
    natural_key,
)
from clip_cfr.extract.errors import ExtractError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("{0..3}.tar", ["0.tar", "1.tar", "2.tar", "3.tar"]),
        ("{08..11}", ["08", "09", "10", "11"]),
        ("{000..2}", ["000", "001", "002"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{0..10..5}", ["0", "5", "10"]),
        ("{train,val}-{0..1}", ["train-0", "train-1", "val-0", "val-1"]),
        ("{a,{b,c}}", ["a", "b", "c"]),
        ("x{,y}", ["x", "xy"]),
        ("{abc}", ["{abc}"]),
    ],
)
def test_braces_are_expanded_as_in_a_shell(text: str, expected: list[str]):
    assert expand_braces(text) == expected


def test_a_range_has_a_limit():
    with pytest.raises(ExtractError, match=r"names over 1,000,000 files"):
        expand_braces("{0..99999999999}")


@pytest.mark.parametrize("text", ["{0..3}.tar", "*.tar", "a?.tar", "[ab].tar", "a.tar::b.tar"])
def test_recognises_patterns(text: str):
    assert is_pattern(text)
    assert not is_pattern("shards/000.tar")


def test_a_pattern_keeps_the_order_of_its_braces_and_sorts_wildcards_by_number(tmp_path: Path):
    for name in ("2.tar", "10.tar", "a.tar", "x/1.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert names(tmp_path, "{10,2}.tar") == ["10.tar", "2.tar"]
    assert names(tmp_path, "*.tar") == ["2.tar", "10.tar", "a.tar"]
    assert names(tmp_path, "**/*.tar") == ["2.tar", "10.tar", "a.tar", "1.tar"]
    assert names(tmp_path, f"a.tar::{tmp_path}/*.tar") == ["a.tar", "2.tar", "10.tar"]


def names(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in expand_pattern(f"{folder}/{pattern}")]


def test_names_the_first_missing_file_of_a_range(tmp_path: Path):
    (tmp_path / "00.tar").touch()
    with pytest.raises(ExtractError) as error:
        expand_pattern(f"{tmp_path}/{{00..02}}.tar")
    assert str(error.value) == (
        f"--root {tmp_path}/{{00..02}}.tar: there is no file {tmp_path}/01.tar (2 of 3 are "
        "missing); complete the files, or correct the pattern"
    )


def test_numbers_are_sorted_by_value():
    paths = [Path("a10/2.tar"), Path("a9/10.tar"), Path("a9/2.tar")]
    assert sorted(paths, key=natural_key) == [paths[2], paths[1], paths[0]]
