"""What every manifest gets after its loader."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.extract.datasets.common.finish import finish_manifest
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, Sentence, make_rows


def make_manifest(tmp_path, splits, *, names=("cat", "dog"), entries=None, subjects=None):
    n = len(splits)
    return Manifest(
        dataset="mine",
        rows=make_rows(map(str, range(n)), np.arange(n) % 2, np.zeros(n), splits, subjects),
        images=FileSource(tmp_path, ()),
        class_names=names,
        attribute_names=(),
        class_prompts=entries or tuple((name,) for name in names),
        attribute_prompts=(),
        warnings=("first",),
    )


def finish(manifest: Manifest, has_prompts: bool = True, **options) -> Manifest:
    return finish_manifest(manifest, DatasetOptions(**options), has_prompts=has_prompts)


def test_a_sound_data_set_gets_no_warning(tmp_path):
    manifest = make_manifest(tmp_path, [0, 1, 2])
    assert finish(manifest) == manifest


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            [0, 0, 2],
            "mine: there is no row in val, and calibrate selects on it; draw it from train with "
            "--val-fraction 0.2, here or there",
        ),
        (
            [0, 1, 1],
            "mine: there is no row in test, and calibrate reports accuracy on it; add such rows, "
            "or draw all splits with --columns split=",
        ),
        ([1, 1, 2], "mine: there is no row in train, and calibrate trains on it"),
    ],
)
def test_warns_of_an_empty_split(tmp_path, splits, message):
    assert finish(make_manifest(tmp_path, splits)).warnings == ("first", message)


def test_warns_of_a_single_class(tmp_path):
    assert finish(make_manifest(tmp_path, [0, 1, 2], names=("cat",))).warnings == (
        "first",
        "mine: 'cat' is the only class, calibrate needs two",
    )


def test_draws_val_from_train(tmp_path):
    splits = np.repeat([0, 2], (100, 20))
    manifest = finish(make_manifest(tmp_path, splits), val_fraction=0.2)
    assert np.bincount(manifest.rows.splits).tolist() == [80, 20, 20]
    assert (manifest.rows.splits[100:] == 2).all()
    is_val = manifest.rows.splits == 1
    assert np.bincount(manifest.rows.labels[is_val]).tolist() == [10, 10]
    assert manifest.drawn_splits == ("val",)
    assert manifest.warnings == (
        "first",
        "mine: drew 20 of 100 training rows as val with seed 42, stratified by group",
    )
    again = finish(make_manifest(tmp_path, splits), val_fraction=0.2, seed=42)
    other = finish(make_manifest(tmp_path, splits), val_fraction=0.2, seed=1)
    assert again.sha256() == manifest.sha256() != other.sha256()


def test_val_does_not_share_subjects_with_train(tmp_path):
    splits, subjects = np.repeat([0, 2], (100, 20)), np.arange(120) // 5
    manifest = finish(make_manifest(tmp_path, splits, subjects=subjects), val_fraction=0.25)
    by_split = [set(subjects[manifest.rows.splits == code]) for code in range(2)]
    assert [len(each) for each in by_split] == [15, 5]
    assert not by_split[0] & by_split[1]


def test_says_that_val_cannot_be_drawn_from_one_subject(tmp_path):
    manifest = make_manifest(tmp_path, [0, 0, 2], subjects=np.array([7, 7, 1]))
    reason = (
        "all training rows have one subject, and val needs rows of another one; add rows of other "
        "subjects"
    )
    with pytest.raises(ExtractError) as error:
        finish(manifest, val_fraction=0.5)
    assert str(error.value) == f"--val-fraction 0.5: mine: {reason}, or leave the option out"
    assert finish(manifest).warnings == (
        "first",
        f"mine: there is no row in val, and calibrate selects on it; {reason}",
    )


@pytest.mark.parametrize(
    ("splits", "fraction", "kind", "message"),
    [
        ([0, 0, 2], 0, OptionError, "--val-fraction is 0, expected a number between 0 and 1"),
        ([0, 0, 2], 1.5, OptionError, "--val-fraction is 1.5, expected a number between 0 and 1"),
        (
            [0, 1, 2],
            0.2,
            OptionError,
            "--val-fraction draws val from train where there is none, but mine has 1 row in val; "
            "leave the option out",
        ),
        ([2, 2, 0], 0.2, ExtractError, "mine has 1 row in train, too few to draw val from"),
    ],
)
def test_rejects_a_val_that_cannot_be_drawn(tmp_path, splits, fraction, kind, message):
    with pytest.raises(kind) as error:
        finish(make_manifest(tmp_path, splits), val_fraction=fraction)
    assert str(error.value) == message


def test_warns_of_names_before_anything_is_encoded(tmp_path):
    manifest = finish(make_manifest(tmp_path, [0, 1, 2], names=("0", "1")))
    assert manifest.warnings[1:] == (
        "mine: the class names '0', '1' do not describe images, so CLIP's text tower "
        "learns nothing from them; name the classes with --class-names 0=...,1=..., or give "
        "--prompts",
    )
    named = make_manifest(tmp_path, [0, 1, 2], names=("0", "1"))
    assert finish(named, class_names=("dog", "cat")).warnings == ("first",)
    assert finish(named, has_prompts=False).warnings == ("first",)


def test_names_with_prompts_of_their_own_are_not_warned_of(tmp_path):
    entries = ((Sentence("a photo of the digit zero."),), ("one",))
    manifest = make_manifest(tmp_path, [0, 1, 2], names=("0", "1"), entries=entries)
    assert finish(manifest).warnings == ("first",)


def test_says_how_prompts_spell_names(tmp_path):
    entries = (("sea lion",), ("fox",))
    manifest = make_manifest(tmp_path, [0, 1, 2], names=("sea_lion", "fox"), entries=entries)
    assert finish(manifest).warnings[1:] == (
        "mine: prompts spell 'sea_lion' as 'sea lion'; for other words, give --class-names or "
        "--prompts",
    )
    assert finish(manifest, class_names=("sea_lion", "fox")).class_prompts == (
        ("sea_lion",),
        ("fox",),
    )
    assert finish(manifest, class_names=("sea_lion", "fox")).warnings == ("first",)


def test_a_path_that_is_not_utf8_is_refused_before_encoding(tmp_path):
    manifest = make_manifest(tmp_path, [0, 1, 2])
    ids = ("a.jpg", "b\udce9.jpg", "c\udce9.jpg")
    with pytest.raises(ExtractError) as caught:
        finish(replace(manifest, rows=replace(manifest.rows, ids=ids)))
    assert str(caught.value) == (
        "mine: the path of the image b\udce9.jpg and 1 others is not UTF-8, and the cache holds "
        "paths as text; rename it, for example with `convmv -f latin1 -t utf8 -r --notest` on the "
        "folder"
    )


def test_a_name_that_is_not_utf8_is_refused_before_encoding(tmp_path):
    with pytest.raises(ExtractError) as caught:
        finish(make_manifest(tmp_path, [0, 1, 2], names=("cat", "d\udcf6g")))
    assert str(caught.value) == (
        "mine: the name d\udcf6g of a class or attribute value is not UTF-8; give names with "
        "--class-names, in a terminal that uses UTF-8"
    )
