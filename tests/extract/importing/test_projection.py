from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.reference import ArrayReference
from clip_cfr.extract.importing.projection import MAX_IDENTITY_DIM, read_head
from tests.extract.importing.examples import DIM, Inputs, import_error, read_contents


def test_without_a_projection_the_head_is_the_identity():
    head, notes = read_head(None, "F.npy", DIM)
    np.testing.assert_array_equal(np.asarray(head.projection), np.eye(DIM))
    assert head.projection.dtype == np.float32
    assert (head.bias, head.logit_scale) == (None, 100.0)
    assert notes == ("no projection was given: the head starts as the identity, 6 x 6",)


def test_rejects_an_identity_that_is_too_large_to_train():
    read_head(None, "F.npy", MAX_IDENTITY_DIM)
    with pytest.raises(ExtractError) as error:
        read_head(None, "F.npy", 50_000)
    assert str(error.value) == (
        "F.npy has 50,000 columns: without a projection the head would be an identity of 50,000 x "
        "50,000, which takes 10 GB of memory and several times that in training (the limit is "
        "16,384 columns); give a matrix (50000, P) with --projection, or reduce the columns "
        "first, for example with sklearn.decomposition.PCA"
    )


def test_reads_the_projection_as_float32(all_inputs: Inputs):
    head, notes = read_head(ArrayReference(all_inputs.projection), "F.npy", DIM)
    np.testing.assert_allclose(head.projection, np.load(all_inputs.projection), rtol=1e-6)
    assert head.projection.dtype == np.float32
    assert notes == ()


def test_zero_rows_of_a_projection_are_allowed(all_inputs: Inputs):
    projection = np.load(all_inputs.projection)
    projection[2] = 0
    np.save(all_inputs.projection, projection)
    assert not read_contents(all_inputs)[0].head.projection[2].any()


def test_takes_a_transposed_projection_with_a_note(all_inputs: Inputs):
    expected, _ = read_contents(all_inputs)
    np.save(all_inputs.projection, np.load(all_inputs.projection).T)
    found, notes = read_contents(all_inputs)
    np.testing.assert_array_equal(found.head.projection, expected.head.projection)
    assert notes == (f"{all_inputs.projection} has shape (4, 6): it was transposed before use",)


def test_rejects_a_projection_of_another_shape(all_inputs: Inputs):
    np.save(all_inputs.projection, np.load(all_inputs.projection)[:-1])
    assert import_error(replace(all_inputs, class_embeddings=None)) == (
        "DIR/W.npy has shape (5, 4), expected (6, P), as DIR/F.npy has 6 columns"
    )
