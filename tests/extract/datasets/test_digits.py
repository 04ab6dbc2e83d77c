import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.atomic import write_lock
from clip_cfr.extract.datasets import DatasetOptions, load_dataset
from clip_cfr.extract.datasets.common.published_counts import group_counts
from clip_cfr.extract.datasets.digits.handwritten import divide_digits, load_handwritten
from clip_cfr.extract.datasets.digits.rendered_folder import DESCRIPTION, METADATA
from clip_cfr.extract.datasets.digits.rendering import (
    COLOURS,
    jitter_ink,
    render_digit,
)
from clip_cfr.extract.errors import ExtractError

DEFAULTS = DatasetOptions()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits") / "images"
    load_dataset("digits", root, DEFAULTS)
    return root


@pytest.fixture(scope="module")
def manifest(root):
    return load_dataset("digits", root, DEFAULTS)


def message_of(root: Path, options: DatasetOptions = DEFAULTS, error=ExtractError) -> str:
    with pytest.raises(error) as caught:
        load_dataset("digits", root, options)
    return str(caught.value)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_groups_are_balanced_but_for_the_training_split(manifest):
    assert group_counts(manifest.rows, 4, 2) == {
        "train": [285, 15, 15, 285],
        "val": [120, 120, 120, 120],
        "test": [250, 250, 250, 250],
    }


@pytest.mark.parametrize(("split", "agreeing"), [(0, 57), (1, 24), (2, 50)])
def test_colour_agrees_equally_often_with_every_number(manifest, split, agreeing):
    rows = manifest.rows
    numbers = load_handwritten()[1][rows.subjects]
    agrees = (rows.splits == split) & (rows.labels == rows.attributes)
    assert np.bincount(numbers[agrees]).tolist() == [agreeing] * 10


def test_every_val_and_test_digit_shows_both_colours_equally_often(manifest):
    rows = manifest.rows
    for subject in np.unique(rows.subjects[rows.splits > 0]):
        assert sorted(rows.attributes[rows.subjects == subject]) == [0, 0, 1, 1]


def test_label_and_subject_are_those_of_the_digit(manifest):
    numbers = load_handwritten()[1][manifest.rows.subjects]
    np.testing.assert_array_equal(manifest.rows.labels, numbers >= 5)
    assert [int(Path(name).parent.name) for name in manifest.rows.ids] == numbers.tolist()


def test_no_digit_is_in_two_splits(manifest):
    splits = [set(manifest.rows.subjects[manifest.rows.splits == code]) for code in range(3)]
    assert [len(subjects) for subjects in splits] == [600, 120, 250]
    assert len(set.union(*splits)) == 600 + 120 + 250


def test_no_digit_that_trains_the_tiny_clip_is_in_a_split(manifest):
    assert not set(manifest.rows.subjects) & set(divide_digits().tiny_clip)


def test_the_division_holds_every_digit_once_and_does_not_change():
    parts = np.concatenate([divide_digits().tiny_clip, divide_digits().held_out.ravel()])
    assert sorted(parts) == list(range(1797))
    assert divide_digits().held_out[:, 0].tolist() == [
        1615,
        479,
        723,
        91,
        1114,
        245,
        1115,
        1381,
        127,
        1488,
    ]
    assert divide_digits().tiny_clip[:5].tolist() == [1205, 1258, 1105, 79, 328]


def test_pictures_are_png_files_in_the_colour_of_their_attribute(manifest):
    for row in range(0, len(manifest.rows), 20):
        encoded = manifest.images.read(row)
        assert encoded.startswith(b"\x89PNG\r\n\x1a\n")
        pixels = np.asarray(Image.open(manifest.images.root / manifest.rows.ids[row]))
        assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)
        red, green, _ = pixels.astype(int).max(axis=(0, 1))
        assert (green > red) == manifest.rows.attributes[row]


def test_names_and_prompts(manifest):
    assert manifest.class_names == ("a digit from zero to four", "a digit from five to nine")
    assert manifest.attribute_names == ("red", "green")
    assert [len(prompts) for prompts in manifest.class_prompts] == [10, 10]
    assert manifest.class_prompts[1][:2] == ("a photo of the digit five.", "the digit five.")
    assert manifest.attribute_prompts[0] == ("a photo of a red digit.",)


def test_the_same_seed_renders_the_same_bytes(root, tmp_path):
    load_dataset("digits", tmp_path / "again", DEFAULTS)
    assert contents(tmp_path / "again") == contents(root)


def test_another_seed_deals_the_digits_and_jitters_them_otherwise(manifest, tmp_path):
    other = load_dataset("digits", tmp_path / "other", DatasetOptions(seed=7))
    assert group_counts(other.rows, 4, 2) == group_counts(manifest.rows, 4, 2)
    assert set(other.rows.subjects) == set(manifest.rows.subjects)
    assert other.sha256() != manifest.sha256()


def test_rendered_digits_are_read_and_left_alone(root, manifest):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    again = load_dataset("digits", root, DEFAULTS)
    assert again.sha256() == manifest.sha256()
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_an_empty_folder_is_filled(tmp_path, manifest, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    filled = load_dataset("digits", Path("empty"), DEFAULTS)
    assert filled.sha256() == manifest.sha256()
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_rendering_that_is_killed_is_begun_anew(root, tmp_path):
    target = tmp_path / "images"
    code = "import sys, pathlib, extract.datasets as d; "
    code += "d.load_dataset('digits', pathlib.Path(sys.argv[1]), d.DatasetOptions())"
    process = subprocess.Popen([sys.executable, "-c", code, target], cwd=Path(__file__).parents[3])
    partial = tmp_path / "images.partial"
    while not (partial / "train" / "1").exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert partial.exists()
    assert not target.exists()

    load_dataset("digits", target, DEFAULTS)
    assert contents(target) == contents(root)
    assert not partial.exists()


def test_digits_of_another_seed_are_refused(root):
    assert message_of(root, DatasetOptions(seed=7)) == (
        f'{root / DESCRIPTION} is {{"dataset": "digits", "version": 1, "seed": 42}}, '
        'expected {"dataset": "digits", "version": 1, "seed": 7}; delete the folder to render '
        "the digits again, or set --root to a new folder"
    )


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert message_of(tmp_path) == (
        f"{tmp_path} is neither empty nor a folder of rendered digits (no rendering.json); "
        "set --root to a new folder"
    )
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_a_root_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    assert message_of(path).startswith(f"{path} is neither empty nor a folder of rendered digits")


def test_a_root_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    root = tmp_path / "file" / "images"
    assert message_of(root, error=CacheError) == (
        f"{root}: cannot be written: File exists; check the folder, or write another file"
    )


def test_two_renderings_at_once_are_refused(tmp_path):
    root = tmp_path / "images"
    with write_lock(root):
        message = message_of(root, error=CacheError)
    assert message.startswith(f"{root}: another process is writing this file; wait until it ends")


def test_a_missing_picture_is_named(tmp_path):
    manifest = load_dataset("digits", tmp_path / "images", DEFAULTS)
    os.remove(tmp_path / "images" / manifest.rows.ids[3])
    assert message_of(tmp_path / "images") == (
        f"{tmp_path / 'images' / METADATA}, row 5: no image "
        f"{tmp_path / 'images' / manifest.rows.ids[3]} (1 of 2080 images are missing); "
        "complete the folder, or check --root"
    )


def test_an_unknown_subject_is_named(tmp_path):
    load_dataset("digits", tmp_path / "images", DEFAULTS)
    path = tmp_path / "images" / METADATA
    lines = path.read_text().splitlines()
    lines[2] = re.sub(r",(\d+),0$", r",9\1\1,0", lines[2])
    path.write_text("\n".join(lines))
    assert message_of(tmp_path / "images").startswith(f"{path}, row 3: subject is '9")


def test_rendering_moves_the_ink_and_keeps_nearly_all_of_it():
    rng = np.random.RandomState(0)
    inks, _ = load_handwritten()
    for ink in inks[:50]:
        coverage = jitter_ink(rng, ink)
        assert coverage.shape == (32, 32)
        enlargement = coverage.sum() / ink.sum()
        assert 2.7**2 * 0.9 < enlargement < 3.5**2 * 1.1


@pytest.mark.parametrize("colour", COLOURS)
def test_the_strongest_pixel_has_about_the_colour(colour):
    inks, _ = load_handwritten()
    pixels = render_digit(np.random.RandomState(0), inks[0], colour).reshape(-1, 3).astype(int)
    strongest = pixels[np.argmax(np.ptp(pixels, axis=1))]
    distances = {name: np.linalg.norm(strongest - rgb) for name, rgb in COLOURS.items()}
    assert min(distances, key=distances.get) == colour
