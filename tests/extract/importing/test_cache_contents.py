"""What becomes of features and a list, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.extract.errors import OptionError
from tests.extract.importing.examples import METADATA, Inputs, import_error, read_contents


def test_rows_come_from_the_list(inputs: Inputs, features: np.ndarray):
    cache, _ = read_contents(inputs)
    assert cache.dataset == "imported"
    assert cache.rows.ids == ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    assert cache.rows.labels.tolist() == [1, 0, 1, 0, 1]
    assert cache.rows.attributes.tolist() == [1, 1, 0, 0, 1]
    assert cache.rows.splits.tolist() == [0, 0, 0, 1, 2]
    assert cache.texts.class_names == ("cat", "dog")
    assert cache.texts.attribute_names == ("grass", "snow")
    assert cache.valid.tolist() == [True] * 5
    np.testing.assert_array_equal(cache.features, features)


def test_notes_come_in_the_order_of_the_command_line(inputs: Inputs):
    inputs.metadata.write_text(METADATA.replace("split", "shape"))
    _, notes = read_contents(inputs)
    starts = ["unused columns", "has no column split", "no projection", "no class embeddings"]
    assert [start in note for start, note in zip(starts, notes, strict=True)] == [True] * 4, notes


def test_drawn_splits_are_noted(inputs: Inputs, features: np.ndarray):
    rows = "".join(f"{number}.jpg,{number % 2}\n" for number in range(50))
    inputs.metadata.write_text("filename,y\n" + rows)
    np.save(inputs.features, np.tile(features, (10, 1)))
    cache, notes = read_contents(inputs, seed=3)
    assert np.bincount(cache.rows.splits).tolist() == [30, 10, 10]
    assert cache.texts.attribute_names == ()
    assert cache.provenance["drawn_splits"] == ["val", "test"]
    assert "has no column split; drew 30 rows as train, 10 rows as val, 10 rows as test" in notes[0]


@pytest.mark.parametrize(
    "name", ["/data/a.jpg", "D:\\photos\\a.jpg", "https://x.org//a.jpg", "../a"]
)
def test_ids_need_not_be_paths(inputs: Inputs, name: str):
    inputs.metadata.write_text(METADATA.replace("a.jpg", name))
    assert read_contents(inputs)[0].rows.ids[0] == name


def test_rejects_another_number_of_rows(inputs: Inputs, features: np.ndarray):
    np.save(inputs.features, features[:-1])
    assert import_error(inputs) == (
        "DIR/F.npy has 4 rows, but DIR/list.csv has 5, "
        "expected one row for each image, in the same order"
    )


def test_recognises_transposed_features(inputs: Inputs, features: np.ndarray):
    np.save(inputs.features, features.T)
    assert import_error(inputs) == (
        "DIR/F.npy has 6 rows, but DIR/list.csv has 5, as many as the features have columns: they "
        "look transposed; save features.T, their transpose"
    )


def test_rows_that_the_list_leaves_out_have_no_features(inputs: Inputs, features: np.ndarray):
    inputs.metadata.write_text(
        METADATA.replace("b.jpg,cat,snow,0", "b.jpg,,snow,0").replace(
            "c.jpg,dog,grass,0", "c.jpg,cat,grass,0"
        )
    )
    cache, _ = read_contents(inputs, drop_missing=True)
    assert cache.rows.ids == ("a.jpg", "c.jpg", "d.jpg", "e.jpg")
    np.testing.assert_array_equal(cache.features, features[[0, 2, 3, 4]])


def test_class_names_determine_the_labels(all_inputs: Inputs):
    cache, _ = read_contents(all_inputs, class_names=("dog", "cat"))
    assert cache.texts.class_names == ("dog", "cat")
    assert cache.rows.labels.tolist() == [0, 1, 0, 1, 0]


def test_rejects_equal_class_names(inputs: Inputs):
    inputs.metadata.write_text(METADATA.replace("dog", "0").replace("cat", "1"))
    assert import_error(inputs, OptionError, class_names=("a", "a")).startswith("--class-names ")


@pytest.mark.parametrize(
    ("given", "stored"),
    [("float16", "float16"), ("float32", "float32"), ("float64", "float32"), (">f4", "float32")],
)
def test_dtypes_of_features(inputs: Inputs, features: np.ndarray, given: str, stored: str):
    np.save(inputs.features, features.astype(given))
    cache, _ = read_contents(inputs)
    assert cache.features.dtype == np.dtype(stored)
    np.testing.assert_allclose(cache.features, features, rtol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_names_rows_that_are_not_usable(inputs: Inputs, features: np.ndarray, value: float):
    features = features.astype(np.float64)
    features[[1, 3], 2], features[4] = value, 0
    np.save(inputs.features, features)
    assert import_error(inputs) == (
        "DIR/F.npy: 3 of 5 rows are not usable: NaN or infinity in rows 1, 3, zeros only in row "
        "4 (counted from 0); compute them again, or keep them as not valid with --on-error skip"
    )


def test_names_rows_too_large_for_float32_arithmetic(inputs: Inputs, features: np.ndarray):
    features[1, 2] = -3e38
    np.save(inputs.features, features)
    assert import_error(inputs) == (
        "DIR/F.npy: 1 of 5 rows is not usable: magnitudes above 1e+15 in row 1 (counted from 0); "
        "compute them again, or keep them as not valid with --on-error skip"
    )


@pytest.mark.parametrize("scale", [1e-37, 1e14])
def test_class_means_do_not_depend_on_the_scale(inputs: Inputs, features: np.ndarray, scale: float):
    np.save(inputs.features, features)
    expected = read_contents(inputs)[0].texts.class_embeddings
    np.save(inputs.features, features * np.float32(scale))
    found = read_contents(inputs)[0].texts.class_embeddings
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_keeps_rows_that_are_not_usable_as_not_valid(inputs: Inputs, features: np.ndarray):
    features[[0, 4]] = [[np.nan], [0]]
    np.save(inputs.features, features)
    cache, notes = read_contents(inputs, skip_unusable=True)
    assert cache.valid.tolist() == [False, True, True, True, False]
    np.testing.assert_array_equal(cache.features, np.nan_to_num(features) * cache.valid[:, None])
    assert notes[0] == (
        f"{inputs.features}: 2 of 5 rows are not usable: NaN or infinity in row 0, zeros only "
        "in row 4 (counted from 0); kept as not valid"
    )


def test_names_the_first_ten_unusable_rows(inputs: Inputs, features: np.ndarray):
    np.save(inputs.features, np.zeros((20, 3)))
    rows = "".join(f"{number}.jpg,{number % 2},0\n" for number in range(20))
    inputs.metadata.write_text("filename,label,split\n" + rows)
    assert "zeros only in rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... (counted" in import_error(inputs)


def test_rejects_features_without_a_usable_row(inputs: Inputs, features: np.ndarray):
    np.save(inputs.features, features * 0)
    assert import_error(inputs, skip_unusable=True).endswith(
        "; no row is usable: compute the features again"
    )


def test_rejects_a_projection_before_the_list_is_read(all_inputs: Inputs):
    all_inputs.metadata.unlink()
    np.save(all_inputs.projection, np.ones((3, 2)))
    assert import_error(all_inputs).startswith("DIR/W.npy has shape (3, 2)")


def test_a_key_that_is_missing_is_named(inputs: Inputs, features: np.ndarray):
    np.savez(inputs.features.with_suffix(".npz"), a=features)
    changed = replace(inputs, features=f"{inputs.features.with_suffix('.npz')}:b")
    assert import_error(changed) == "DIR/F.npz has no array 'b'; it has a (float32 5 x 6)"
