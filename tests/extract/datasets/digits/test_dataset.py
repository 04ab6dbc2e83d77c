import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from clip_cfr.extract.datasets.common.published_counts import count_groups
from clip_cfr.extract.datasets.digits.handwritten import load_handwritten
from clip_cfr.extract.datasets.digits.rendered_folder import METADATA
from tests.extract.datasets import loading

load = partial(loading.load, "digits")
load_error = partial(loading.load_error, "digits")


def test_the_manifest_of_a_seed_never_changes(manifest):
    assert manifest.sha256() == ("1be8d5416c26c7a2a8733521079e7c1ddab0ba1b84614ab90e9460b3bded6099")


def test_groups_are_unbalanced_in_the_training_split_only(manifest):
    assert count_groups(manifest.rows, 4, 2) == {
        "train": [285, 15, 15, 285],
        "val": [120, 120, 120, 120],
        "test": [250, 250, 250, 250],
    }


def test_label_and_subject_are_those_of_the_digit(manifest):
    numbers = load_handwritten()[1][manifest.rows.subjects]
    np.testing.assert_array_equal(manifest.rows.labels, numbers >= 5)
    assert [int(Path(name).parent.name) for name in manifest.rows.ids] == numbers.tolist()


def test_images_are_png_files_in_the_colour_of_their_attribute(manifest):
    for row in range(0, len(manifest.rows), 20):
        encoded = manifest.images.read(row)
        assert encoded.startswith(b"\x89PNG\r\n\x1a\n")
        pixels = np.asarray(Image.open(manifest.images.root / manifest.rows.ids[row]))
        assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)
        red, green, _ = pixels.astype(int).max(axis=(0, 1))
        assert (green > red) == manifest.rows.attributes[row], manifest.rows.ids[row]


def test_names_and_prompts(manifest):
    assert manifest.class_names == ("a digit from zero to four", "a digit from five to nine")
    assert manifest.attribute_names == ("red", "green")
    assert [len(prompts) for prompts in manifest.class_prompts] == [10, 10]
    assert manifest.class_prompts[1][:2] == ("a photo of the digit five.", "the digit five.")
    assert manifest.attribute_prompts[0] == ("a photo of a red digit.",)


def test_another_seed_changes_splits_and_pictures(manifest, tmp_path):
    other = load(tmp_path / "other", seed=7)
    assert count_groups(other.rows, 4, 2) == count_groups(manifest.rows, 4, 2)
    assert set(other.rows.subjects) == set(manifest.rows.subjects)
    assert other.sha256() != manifest.sha256()


def test_names_a_missing_picture(root, manifest, tmp_path):
    copy = shutil.copytree(root, tmp_path / "images")
    (copy / manifest.rows.ids[3]).unlink()
    assert load_error(copy) == (
        f"ROOT/{METADATA}, row 5: the image ROOT/{manifest.rows.ids[3]} does not exist "
        "(1 of 2,080 images is missing); complete the folder, correct --root, shorten the list, "
        "or keep their rows as not valid with --on-error skip"
    )


def test_names_an_unknown_subject(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "images")
    lines = (copy / METADATA).read_text().splitlines()
    lines[2] = re.sub(r",(\d+),0$", r",9\1\1,0", lines[2])
    (copy / METADATA).write_text("\n".join(lines))
    assert load_error(copy).startswith(f"ROOT/{METADATA}, row 3: subject is '9")
