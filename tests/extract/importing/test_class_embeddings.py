import numpy as np

from clip_cfr.extract.importing.cache_contents import read_cache_contents
from clip_cfr.extract.importing.class_embeddings import MEANS_NOTE
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from tests.extract.importing.examples import DIM, METADATA, import_error


def test_class_means_are_averages_of_unit_length_training_rows(
    files: EmbeddingFiles, features: np.ndarray
):
    cache, notes = read_cache_contents(files)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    dog = unit[0] + unit[2]
    expected = np.stack([unit[1], dog / np.linalg.norm(dog)])
    np.testing.assert_allclose(cache.texts.class_embeddings, expected, atol=1e-6)
    assert (
        notes[-1]
        == MEANS_NOTE
        == (
            "no class embeddings were given: they are the unit-length class means of the training "
            "split, so zero-shot is a nearest-mean classifier that has seen the training labels"
        )
    )


def test_there_are_no_prompts(files: EmbeddingFiles):
    texts = read_cache_contents(files)[0].texts
    assert texts.class_prompts == texts.attribute_prompts == ()
    assert texts.class_prompt_embeddings.shape == (0, DIM)
    assert texts.attribute_embeddings is None


def test_class_means_are_averages_after_the_projection(
    all_files: EmbeddingFiles, features: np.ndarray
):
    files = EmbeddingFiles(all_files.features, all_files.metadata, None, all_files.projection)
    cache, notes = read_cache_contents(files)
    cat = features[1] @ np.load(all_files.projection)
    cat /= np.linalg.norm(cat)
    np.testing.assert_allclose(cache.texts.class_embeddings[0], cat, atol=1e-6)
    assert notes == (MEANS_NOTE,)


def test_reads_given_class_embeddings(all_files: EmbeddingFiles):
    cache, notes = read_cache_contents(all_files)
    expected = np.load(all_files.class_embeddings)
    np.testing.assert_allclose(cache.texts.class_embeddings, expected, atol=1e-6)
    assert notes == ()


def test_scales_class_embeddings_to_unit_length_with_a_note(all_files: EmbeddingFiles):
    unit = np.load(all_files.class_embeddings)
    np.save(all_files.class_embeddings, unit * [[2], [5]])
    cache, notes = read_cache_contents(all_files)
    np.testing.assert_allclose(cache.texts.class_embeddings, unit, atol=1e-6)
    assert notes == ("the class embeddings had lengths from 2 to 5 and were scaled to unit length",)


def test_rejects_class_embeddings_of_another_shape(all_files: EmbeddingFiles):
    files = EmbeddingFiles(all_files.features, all_files.metadata, all_files.class_embeddings)
    assert import_error(files) == (
        "DIR/T.npy has shape (2, 4), expected (2, 6): a row for each of the classes cat, dog "
        "and a column for each output of the head"
    )


def test_rejects_a_class_without_training_rows(files: EmbeddingFiles):
    files.metadata.write_text(METADATA.replace("b.jpg,cat,snow,0", "b.jpg,cat,snow,1"))
    assert import_error(files) == (
        "DIR/list.csv has no training row of class cat, so its mean is undefined; "
        "give --class-embeddings, or training rows of every class"
    )
