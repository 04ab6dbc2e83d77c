import numpy as np
import pytest

from clip_cfr.extract.datasets.digits.handwritten import divide_digits, load_handwritten
from clip_cfr.extract.datasets.digits.picture_plan import Picture, plan_pictures


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return plan_pictures(np.random.RandomState(42))


def test_filenames_are_unique_and_ordered_by_split_and_number(pictures):
    filenames = [picture.filename for picture in pictures]
    assert len(set(filenames)) == len(filenames) == 600 + 480 + 1000
    keys = [(("train", "val", "test").index(p.split), p.number) for p in pictures]
    assert keys == sorted(keys)


@pytest.mark.parametrize(("split", "agreeing"), [("train", 57), ("val", 24), ("test", 50)])
def test_the_colour_agrees_equally_often_with_every_number(pictures, split, agreeing):
    numbers = [p.number for p in pictures if p.split == split and p.label == p.attribute]
    assert np.bincount(numbers).tolist() == [agreeing] * 10


def test_every_val_and_test_subject_has_both_colours_equally_often(pictures):
    colours: dict[int, list[int]] = {}
    for picture in pictures:
        if picture.split != "train":
            colours.setdefault(picture.subject, []).append(picture.attribute)
    unbalanced = {subject: c for subject, c in colours.items() if sorted(c) != [0, 0, 1, 1]}
    assert unbalanced == {}


def test_label_and_number_are_those_of_the_subject(pictures):
    _, numbers = load_handwritten()
    assert [p.number for p in pictures] == [numbers[p.subject] for p in pictures]
    assert [p.label for p in pictures] == [int(p.number >= 5) for p in pictures]


def test_no_subject_is_in_two_splits(pictures):
    subjects = [{p.subject for p in pictures if p.split == s} for s in ("train", "val", "test")]
    assert [len(each) for each in subjects] == [600, 120, 250]
    assert len(set.union(*subjects)) == 600 + 120 + 250


def test_no_subject_has_trained_the_tiny_clip(pictures):
    assert {picture.subject for picture in pictures} & set(divide_digits().tiny_clip) == set()
