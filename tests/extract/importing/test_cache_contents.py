from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.read.reader import read_cache
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.importing.cache_contents import read_cache_contents
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from tests.extract.importing.examples import METADATA, import_error


def test_rows_come_from_the_metadata_file(files: EmbeddingFiles, features: np.ndarray):
    cache, _ = read_cache_contents(files)
    assert cache.dataset == "imported"
    assert cache.rows.ids == ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    assert cache.rows.labels.tolist() == [1, 0, 1, 0, 1]
    assert cache.rows.attributes.tolist() == [1, 1, 0, 0, 1]
    assert cache.rows.splits.tolist() == [0, 0, 0, 1, 2]
    assert cache.texts.class_names == ("cat", "dog")
    assert cache.texts.attribute_names == ("grass", "snow")
    assert cache.valid.tolist() == [True] * 5
    np.testing.assert_array_equal(cache.features, features)


def test_notes_come_in_the_order_of_the_command_line(files: EmbeddingFiles):
    files.metadata.write_text(METADATA.replace("split", "batch"))
    _, notes = read_cache_contents(files)
    starts = ["unused columns", "has no column split", "no projection", "no class embeddings"]
    assert [start in note for start, note in zip(starts, notes, strict=True)] == [True] * 4, notes


def test_paths_may_be_strings_and_the_cache_can_be_written(files: EmbeddingFiles, tmp_path: Path):
    strings = EmbeddingFiles(str(files.features), str(files.metadata))
    assert strings == files
    cache, _ = read_cache_contents(strings, dataset="mine")
    write_cache(tmp_path / "mine.h5", cache)
    assert read_cache(tmp_path / "mine.h5").dataset == "mine"


def test_drawn_splits_are_noted(files: EmbeddingFiles, features: np.ndarray):
    rows = "".join(f"{number}.jpg,{number % 2}\n" for number in range(50))
    files.metadata.write_text("filename,y\n" + rows)
    np.save(files.features, np.tile(features, (10, 1)))
    cache, notes = read_cache_contents(files, options=DatasetOptions(seed=3))
    assert np.bincount(cache.rows.splits).tolist() == [30, 10, 10]
    assert cache.texts.attribute_names == ()
    assert notes[0] == (
        f"imported: {files.metadata} has no column split; drew 30 rows as train, 10 rows as val, "
        "10 rows as test (60/20/20 %) with seed 3, stratified by group"
    )


def test_rejects_another_number_of_rows(files: EmbeddingFiles, features: np.ndarray):
    np.save(files.features, features[:-1])
    assert import_error(files) == (
        "DIR/F.npy has 4 rows, but DIR/list.csv has 5, "
        "expected one row for each image, in the same order"
    )


def test_class_names_determine_the_labels(all_files: EmbeddingFiles):
    cache, _ = read_cache_contents(all_files, options=DatasetOptions(class_names=("dog", "cat")))
    assert cache.texts.class_names == ("dog", "cat")
    assert cache.rows.labels.tolist() == [0, 1, 0, 1, 0]


def test_rejects_equal_class_names(files: EmbeddingFiles):
    files.metadata.write_text(METADATA.replace("dog", "0").replace("cat", "1"))
    assert import_error(files, OptionError, class_names=("a", "a")) == (
        "--class-names is 'a', 'a', expected distinct names that are not blank"
    )


@pytest.mark.parametrize(
    ("given", "stored"),
    [("float16", "float16"), ("float32", "float32"), ("float64", "float32"), (">f4", "float32")],
)
def test_dtypes_of_features(files: EmbeddingFiles, features: np.ndarray, given: str, stored: str):
    np.save(files.features, features.astype(given))
    cache, _ = read_cache_contents(files)
    assert cache.features.dtype == np.dtype(stored)
    np.testing.assert_allclose(cache.features, features, rtol=1e-3)
