import numpy as np

from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from clip_cfr.extract.importing.projection import read_head
from tests.extract.importing.examples import DIM, import_error


def test_without_a_projection_the_head_is_the_identity(files: EmbeddingFiles):
    head, notes = read_head(files, DIM)
    np.testing.assert_array_equal(head.projection, np.eye(DIM))
    assert head.projection.dtype == np.float32
    assert (head.bias, head.logit_scale) == (None, 100.0)
    assert notes == ("no projection was given: the head starts as the identity, 6 x 6",)


def test_reads_the_projection_as_float32(all_files: EmbeddingFiles):
    head, notes = read_head(all_files, DIM)
    np.testing.assert_allclose(head.projection, np.load(all_files.projection), rtol=1e-6)
    assert head.projection.dtype == np.float32
    assert notes == ()


def test_recognises_a_transposed_projection(all_files: EmbeddingFiles):
    np.save(all_files.projection, np.load(all_files.projection).T)
    assert import_error(all_files) == (
        "DIR/W.npy has shape (4, 6), expected (6, P), as DIR/F.npy has 6 columns; "
        "it looks transposed, save its .T"
    )


def test_rejects_a_projection_of_another_shape(all_files: EmbeddingFiles):
    np.save(all_files.projection, np.load(all_files.projection)[:-1])
    assert import_error(all_files) == (
        "DIR/W.npy has shape (5, 4), expected (6, P), as DIR/F.npy has 6 columns"
    )
