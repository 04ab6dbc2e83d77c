from pathlib import Path

import pytest

from clip_cfr.extract.datasets.archives.find_archives import Archives, find_archives
from clip_cfr.extract.errors import ExtractError

ENDINGS = (".tar", ".tar.gz")


def find(root: Path) -> Archives:
    return find_archives(root, ENDINGS, "{0..9}.tar")


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_takes_the_archives_of_a_folder_in_the_order_of_their_numbers(tmp_path: Path):
    write(tmp_path, "2.tar", "10.TAR", "1.tar.gz", "._2.tar", ".x.tar", "2.parquet", "2_stats.json")
    found = find(tmp_path)
    assert found.names == ("1", "2", "10")
    assert [path.name for path in found.paths] == ["1.tar.gz", "2.tar", "10.TAR"]
    assert found.warnings == ()


def test_finds_archives_in_the_folders_below_and_says_so(tmp_path: Path):
    write(tmp_path, "train/0.tar", "val/0.tar", "__MACOSX/0.tar", ".cache/0.tar")
    found = find(tmp_path)
    assert found.names == ("train/0", "val/0")
    assert found.warnings == (
        f"{tmp_path} contains no .tar files itself; using the 2 in train, val",
    )


def test_takes_one_archive_of_any_ending_or_a_pattern(tmp_path: Path):
    write(tmp_path, "data.bin", "a/0.tar", "b/0.tar", "{x}.tar")
    assert find(tmp_path / "data.bin").names == ("data.bin",)
    assert find(tmp_path / "{b,a}" / "0.tar").names == ("b/0", "a/0")
    assert find(tmp_path / "{x}.tar").names == ("{x}",)


@pytest.mark.parametrize("root", ["https://a.b/0.tar", "pipe:curl x", "s3://bucket/{0..9}.tar"])
def test_rejects_addresses(root: str):
    with pytest.raises(ExtractError, match="is a URL, expected files of this machine"):
        find(Path(root))


def test_describes_what_it_expects(tmp_path: Path):
    with pytest.raises(ExtractError) as error:
        find(tmp_path / "none")
    assert str(error.value) == (
        f"{tmp_path}/none is not an existing folder; set --root to a folder that contains .tar "
        "files, to one of them, or to a pattern such as '{0..9}.tar'"
    )
    with pytest.raises(ExtractError, match=r"contains no \.tar files; set --root to a folder"):
        find(tmp_path)
