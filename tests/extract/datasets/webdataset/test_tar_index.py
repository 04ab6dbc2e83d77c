import gzip
from pathlib import Path

import pytest

from clip_cfr.extract.datasets.webdataset.tar_index import index_tar
from clip_cfr.extract.datasets.webdataset.tar_source import TarImages
from clip_cfr.extract.datasets.webdataset.text_fields import TextFields
from clip_cfr.extract.errors import ExtractError
from tests.extract.datasets.webdataset.tars import make_samples, write_tar


@pytest.fixture
def path(tmp_path: Path, jpeg: bytes) -> Path:
    """An archive of eight samples."""
    return write_tar(tmp_path / "a.tar", make_samples(jpeg, 8))


def index_error(path: Path) -> str:
    with pytest.raises(ExtractError) as error:
        index_tar(path, TextFields())
    return str(error.value).replace(str(path), "PATH")


def test_only_headers_are_read_without_fields(path: Path):
    index = index_tar(path, TextFields())
    assert index.keys == tuple(f"{number:06d}" for number in range(8))
    assert index.columns == {}
    assert index.warnings == ()
    assert (index.offsets % 512 == 0).all()


def test_a_truncated_archive_is_named_and_its_start_can_be_kept(path: Path, jpeg: bytes):
    content = path.read_bytes()
    last = content.rindex(b"000007.jpg")
    path.write_bytes(content[: last + 512 + 20])
    assert index_error(path) == (
        "PATH is truncated or damaged after 22 members (unexpected end of data); download or write "
        "it again, or keep the samples before it with --on-error skip"
    )
    index = index_tar(path, TextFields(), skip_damage=True)
    assert len(index.keys) == 7
    assert index.warnings == (
        f"{path} is truncated or damaged after 22 members (unexpected end of data); left out the "
        "rest",
    )
    images = TarImages((path,), (index.state,), [0] * 7, index.offsets, index.sizes, {})
    assert images.read(6) == jpeg + (6).to_bytes(4)


def test_a_damaged_header_is_not_taken_for_the_end(path: Path):
    content = bytearray(path.read_bytes())
    position = content.index(b"000004.jpg")
    content[position + 3] ^= 1
    path.write_bytes(content)
    reason = f"the header at byte {position:,} is invalid"
    assert index_error(path).startswith(f"PATH is truncated or damaged after 12 members ({reason})")
    assert len(index_tar(path, TextFields(), skip_damage=True).keys) == 3


def test_a_missing_end_marker_is_a_warning(path: Path):
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"000007.txt") + 1024])
    index = index_tar(path, TextFields())
    assert len(index.keys) == 8
    assert index.warnings == (f"{path} has no end marker, so samples may be missing at its end",)


def test_data_after_the_end_marker_is_a_warning(path: Path):
    content = path.read_bytes()
    path.write_bytes(content + content)
    (warning,) = index_tar(path, TextFields()).warnings
    assert warning.startswith(f"{path} has {len(content):,} bytes after its end marker")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "PATH is empty, expected a tar archive; download it again"),
        (
            gzip.compress(b"x", mtime=0),
            "PATH is compressed with gzip, expected an uncompressed tar archive, whose images can "
            "be read in any order; decompress it with: gunzip PATH",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "PATH is a Git LFS pointer, expected an uncompressed tar archive, whose images can "
            "be read in any order; fetch it with: git lfs pull -I PATH",
        ),
        (b"x" * 600, "PATH is not a tar archive (invalid header); download it again"),
    ],
)
def test_other_files_are_called_what_they_are(path: Path, content: bytes, message: str):
    path.write_bytes(content)
    assert index_error(path) == message


def test_an_archive_that_has_changed_is_not_read(path: Path, jpeg: bytes):
    index = index_tar(path, TextFields())
    images = TarImages((path,), (index.state,), [0] * 8, index.offsets, index.sizes, {})
    write_tar(path, make_samples(jpeg, 20))
    with pytest.raises(OSError, match=r"had .* when indexed"):
        images.read(0)


def test_an_image_that_ends_behind_the_archive_is_unreadable(path: Path):
    size = path.stat().st_size
    images = TarImages((path,), ((size, 0),), [0], [size - 10], [20], {})
    with pytest.raises(OSError, match="ends before the image does"):
        images.read(0)
