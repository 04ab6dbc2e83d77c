import pytest

from clip_cfr.extract.datasets.webdataset.member_names import (
    is_climbing,
    is_leftover,
    normalize_name,
    split_name,
)


@pytest.mark.parametrize(
    ("name", "normalized", "climbs"),
    [
        ("a/b.jpg", "a/b.jpg", False),
        ("./a//b.jpg", "a/b.jpg", False),
        ("a/../../b.jpg", "b.jpg", True),
        ("../../x/../b.jpg", "b.jpg", True),
        ("/etc/b.jpg", "etc/b.jpg", True),
        ("//etc/b.jpg", "etc/b.jpg", True),
        ("..a/b.jpg", "..a/b.jpg", False),
        ("b\udcff.jpg", "b\\xff.jpg", False),
    ],
)
def test_paths_become_those_inside_the_archive(name: str, normalized: str, climbs: bool):
    assert normalize_name(name) == normalized
    assert is_climbing(name) == climbs


def test_the_key_ends_at_the_first_dot_of_the_last_part():
    assert split_name("a.b/0001.seg.png") == ("a.b/0001", "seg.png")
    assert split_name("0001") == ("0001", "")


def test_hidden_files_and_those_of_operating_systems_are_leftovers():
    assert all(map(is_leftover, ["a/._0.jpg", ".DS_Store", "__MACOSX/0.jpg", "a/Thumbs.db"]))
    assert not is_leftover("a/0.jpg")
