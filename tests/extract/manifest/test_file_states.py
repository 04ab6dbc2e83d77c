"""Digests of the state of image files: what changes them, and what does not."""

import os

import numpy as np
import pytest

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.file_states import (
    ROWS_PER_CALL,
    check_files_unchanged,
    digest_file_states,
    read_file_states,
)
from clip_cfr.extract.manifest.image_source import FileSource, SelectedImages

NUM_FILES = 2 * ROWS_PER_CALL + 3


@pytest.fixture
def images(tmp_path) -> FileSource:
    names = tuple(f"{row}.png" for row in range(NUM_FILES))
    for row, name in enumerate(names):
        (tmp_path / name).write_bytes(bytes(row))
        os.utime(tmp_path / name, ns=(0, 1_000_000_007 * row))
    return FileSource(tmp_path, names)


def test_states_are_sizes_and_times_in_row_order(images):
    (images.root / "3.png").unlink()
    expected = np.array([(row, 1_000_000_007 * row) for row in range(NUM_FILES)])
    expected[3] = -1
    for rows in (range(NUM_FILES), range(2, 9)):
        np.testing.assert_array_equal(read_file_states(images, rows), expected[rows])
    selected = SelectedImages(images, np.array([9, 4]))
    np.testing.assert_array_equal(read_file_states(selected, range(2)), expected[[9, 4]])


def test_a_digest_depends_on_size_time_and_presence(images):
    rows = range(5, 8)
    before = digest_file_states(images, rows)
    assert digest_file_states(images, rows) == before
    path = images.root / "6.png"
    path.write_bytes(bytes(7))
    os.utime(path, ns=(0, 6_000_000_042))
    larger = digest_file_states(images, rows)
    path.write_bytes(bytes(6))
    os.utime(path, ns=(0, 6_000_000_043))
    later = digest_file_states(images, rows)
    path.unlink()
    missing = digest_file_states(images, rows)
    assert len({before, larger, later, missing}) == 4


class Pixels:
    """Images made in memory."""

    def read(self, row: int) -> np.ndarray:
        return np.zeros((2, 2, 3), np.uint8)


def test_images_without_files_have_no_digest():
    assert digest_file_states(Pixels(), range(3)) is None
    assert digest_file_states(SelectedImages(Pixels(), np.arange(3)), range(3)) is None


class Listed:
    """A manifest with images and ids only."""

    def __init__(self, images: FileSource):
        self.images, self.rows = images, self
        self.ids = images.paths


def test_the_first_changed_batch_is_named(images):
    saved = [(rows, digest_file_states(images, rows)) for rows in (range(70), range(70, 100))]
    check_files_unchanged(Listed(images), [])
    check_files_unchanged(Listed(images), saved)
    os.utime(images.root / "84.png")
    with pytest.raises(ExtractError) as error:
        check_files_unchanged(Listed(images), saved)
    assert str(error.value) == (
        "rows 70 to 99 (70.png to 99.png): the size or the time of an image file has changed since "
        "the unfinished job encoded it; restore the files and run the same command again to "
        "resume, or start again with --overwrite"
    )
