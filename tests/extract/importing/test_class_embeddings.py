from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.extract.importing.class_embeddings import MEANS_NOTE
from tests.extract.importing.examples import (
    DIM,
    EMBEDDING,
    METADATA,
    Inputs,
    import_error,
    read_contents,
)


def test_class_means_are_averages_of_unit_length_training_rows(
    inputs: Inputs, features: np.ndarray
):
    cache, notes = read_contents(inputs)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    dog = unit[0] + unit[2]
    expected = np.stack([unit[1], dog / np.linalg.norm(dog)])
    np.testing.assert_allclose(cache.texts.class_embeddings, expected, atol=1e-6)
    assert cache.texts.class_embeddings.dtype == np.float32
    assert (
        notes[-1]
        == MEANS_NOTE
        == (
            "no class embeddings were given: they are the unit-length class means of the training "
            "split, so zero-shot is a nearest-mean classifier that has seen the training labels"
        )
    )


def test_there_are_no_prompts(inputs: Inputs):
    texts = read_contents(inputs)[0].texts
    assert texts.class_prompts == texts.attribute_prompts == ()
    assert texts.class_prompt_embeddings.shape == (0, DIM)
    assert texts.attribute_embeddings is None


def test_class_means_are_averages_after_the_projection(all_inputs: Inputs, features: np.ndarray):
    cache, notes = read_contents(replace(all_inputs, class_embeddings=None))
    cat = features[1] @ np.load(all_inputs.projection)
    cat /= np.linalg.norm(cat)
    np.testing.assert_allclose(cache.texts.class_embeddings[0], cat, atol=1e-6)
    assert notes == (MEANS_NOTE,)


def test_class_means_leave_out_rows_that_are_not_usable(inputs: Inputs, features: np.ndarray):
    features[2] = np.nan
    np.save(inputs.features, features)
    cache, _ = read_contents(inputs, skip_unusable=True)
    dog = features[0] / np.linalg.norm(features[0])
    np.testing.assert_allclose(cache.texts.class_embeddings[1], dog, atol=1e-6)


def test_reads_given_class_embeddings(all_inputs: Inputs):
    cache, notes = read_contents(all_inputs)
    expected = np.load(all_inputs.class_embeddings)
    np.testing.assert_allclose(cache.texts.class_embeddings, expected, atol=1e-6)
    assert notes == ()


def test_scales_class_embeddings_to_unit_length_with_a_note(all_inputs: Inputs):
    unit = np.load(all_inputs.class_embeddings)
    np.save(all_inputs.class_embeddings, unit * [[2], [5]])
    cache, notes = read_contents(all_inputs)
    np.testing.assert_allclose(cache.texts.class_embeddings, unit, atol=1e-6)
    assert notes == ("the class embeddings had lengths from 2 to 5 and were scaled to unit length",)


def test_takes_transposed_class_embeddings_with_a_note(all_inputs: Inputs):
    embeddings = np.load(all_inputs.class_embeddings)
    np.save(all_inputs.class_embeddings, embeddings.T)
    cache, notes = read_contents(all_inputs)
    np.testing.assert_allclose(cache.texts.class_embeddings, embeddings, atol=1e-6)
    assert notes == (
        f"{all_inputs.class_embeddings} has shape (4, 2): it was transposed before use",
    )


def test_reads_class_embeddings_and_projection_by_key(all_inputs: Inputs):
    path = all_inputs.projection.with_name("model.npz")
    arrays = {"text": np.load(all_inputs.class_embeddings), "W": np.load(all_inputs.projection)}
    np.savez(path, **arrays)
    expected, _ = read_contents(all_inputs)
    found, _ = read_contents(
        replace(all_inputs, class_embeddings=f"{path}:text", projection=f"{path}:W")
    )
    np.testing.assert_array_equal(found.texts.class_embeddings, expected.texts.class_embeddings)
    np.testing.assert_array_equal(found.head.projection, expected.head.projection)


def test_rejects_class_embeddings_that_lack_the_projection(all_inputs: Inputs):
    assert import_error(replace(all_inputs, projection=None)) == (
        "DIR/T.npy has shape (2, 4), expected (2, 6): a row for each of the classes cat, dog "
        "and a column for each output of the head; the features have 6 columns: give the matrix "
        "(6, 4) that maps them to these embeddings with --projection"
    )


def test_rejects_class_embeddings_of_another_shape(all_inputs: Inputs):
    np.save(all_inputs.class_embeddings, np.ones((3, EMBEDDING)))
    assert import_error(all_inputs) == (
        "DIR/T.npy has shape (3, 4), expected (2, 4): a row for each of the classes cat, dog "
        "and a column for each output of the head"
    )


@pytest.mark.parametrize(
    ("value", "fault"),
    [(np.nan, "contain NaN or infinity"), (0, "are all zero and have no direction")],
)
def test_rejects_unusable_class_embeddings(all_inputs: Inputs, value: float, fault: str):
    embeddings = np.load(all_inputs.class_embeddings)
    embeddings[1] = value
    np.save(all_inputs.class_embeddings, embeddings)
    assert import_error(all_inputs) == (
        f"DIR/T.npy: 1 of 2 rows {fault} (indices from 0: 1); compute them again"
    )


def test_rejects_a_class_without_training_rows(inputs: Inputs):
    inputs.metadata.write_text(METADATA.replace("b.jpg,cat,snow,0", "b.jpg,cat,snow,1"))
    assert import_error(inputs) == (
        "DIR/list.csv has no training row of class cat, so its mean is undefined; "
        "give --class-embeddings, or training rows of every class"
    )
