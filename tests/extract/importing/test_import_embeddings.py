import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.cli import main
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.importing.import_embeddings import EmbeddingFiles, import_embeddings

ROOT = Path(__file__).parents[3]
DIM, EMBEDDING = 6, 4
LIST = """filename,label,attribute,split
a.jpg,dog,snow,0
b.jpg,cat,snow,0
c.jpg,dog,grass,0
d.jpg,cat,grass,1
e.jpg,dog,snow,2
"""


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, DIM)).astype(np.float32)


@pytest.fixture
def files(tmp_path: Path, features: np.ndarray) -> EmbeddingFiles:
    """All that an import needs, and no image."""
    np.save(tmp_path / "F.npy", features)
    (tmp_path / "list.csv").write_text(LIST)
    return EmbeddingFiles(tmp_path / "F.npy", tmp_path / "list.csv")


@pytest.fixture
def all_files(files: EmbeddingFiles) -> EmbeddingFiles:
    """The same with a projection and class embeddings of length 1."""
    rng = np.random.default_rng(1)
    folder = files.features.parent
    np.save(folder / "W.npy", rng.normal(size=(DIM, EMBEDDING)))
    texts = rng.normal(size=(2, EMBEDDING))
    np.save(folder / "T.npy", texts / np.linalg.norm(texts, axis=1, keepdims=True))
    return EmbeddingFiles(files.features, files.metadata, folder / "T.npy", folder / "W.npy")


def refusal(files: EmbeddingFiles, kind: type[Exception] = ExtractError, **options) -> str:
    with pytest.raises(kind) as caught:
        import_embeddings(files, **options)
    return str(caught.value).replace(str(files.metadata.parent), "DIR")


def test_rows_come_from_the_metadata(files: EmbeddingFiles, features: np.ndarray):
    cache, _ = import_embeddings(files)
    assert cache.dataset == "imported"
    assert cache.rows.ids == ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    assert cache.rows.labels.tolist() == [1, 0, 1, 0, 1]
    assert cache.rows.attributes.tolist() == [1, 1, 0, 0, 1]
    assert cache.rows.splits.tolist() == [0, 0, 0, 1, 2]
    assert cache.texts.class_names == ("cat", "dog")
    assert cache.texts.attribute_names == ("grass", "snow")
    assert cache.valid.all()
    assert (cache.features == features).all()


def test_alone_the_head_is_the_identity_and_classes_are_means(
    files: EmbeddingFiles, features: np.ndarray
):
    cache, notes = import_embeddings(files)
    assert (cache.head.projection == np.eye(DIM)).all()
    assert (cache.head.bias, cache.head.logit_scale) == (None, 100.0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    dog = unit[0] + unit[2]
    expected = np.stack([unit[1], dog / np.linalg.norm(dog)])
    assert cache.texts.class_embeddings == pytest.approx(expected, abs=1e-6)
    assert cache.texts.class_prompts == ()
    assert cache.texts.class_prompt_embeddings.shape == (0, DIM)
    assert cache.texts.attribute_embeddings is None
    assert notes == (
        "no projection was given: the head starts as the identity, 6 x 6",
        "no class embeddings were given: they are the unit-length class means of the training "
        "split, so zero-shot is a nearest-mean classifier that has seen the training labels",
    )


def test_class_means_are_of_projected_embeddings(all_files: EmbeddingFiles, features: np.ndarray):
    files = EmbeddingFiles(all_files.features, all_files.metadata, None, all_files.projection)
    cache, notes = import_embeddings(files)
    cat = features[1] @ np.load(all_files.projection)
    assert cache.texts.class_embeddings[0] == pytest.approx(cat / np.linalg.norm(cat), abs=1e-6)
    assert len(notes) == 1


def test_what_is_given_is_taken(all_files: EmbeddingFiles):
    cache, notes = import_embeddings(all_files)
    assert cache.head.projection == pytest.approx(np.load(all_files.projection))
    assert cache.head.projection.dtype == np.float32
    assert cache.texts.class_embeddings == pytest.approx(np.load(all_files.class_embeddings))
    assert notes == ()


def test_class_embeddings_are_made_unit_length_and_it_says_so(all_files: EmbeddingFiles):
    unit = np.load(all_files.class_embeddings)
    np.save(all_files.class_embeddings, unit * [[2], [5]])
    cache, notes = import_embeddings(all_files)
    assert cache.texts.class_embeddings == pytest.approx(unit, abs=1e-6)
    assert notes == ("the class embeddings had lengths of 2 to 5 and were made 1",)


@pytest.mark.parametrize(
    ("given", "stored"),
    [("float16", "float16"), ("float32", "float32"), ("float64", "float32"), (">f4", "float32")],
)
def test_types_of_features(files: EmbeddingFiles, features: np.ndarray, given: str, stored: str):
    np.save(files.features, features.astype(given))
    cache, _ = import_embeddings(files)
    assert cache.features.dtype == np.dtype(stored)
    assert cache.features == pytest.approx(features, rel=1e-3)


def test_an_npz_file_with_one_array(files: EmbeddingFiles, features: np.ndarray):
    path = files.features.with_suffix(".npz")
    np.savez(path, embeddings=features)
    cache, _ = import_embeddings(EmbeddingFiles(path, files.metadata))
    assert (cache.features == features).all()
    np.savez(path, train=features, test=features)
    assert refusal(EmbeddingFiles(path, files.metadata)) == (
        "DIR/F.npz holds the arrays train, test, expected one; save the one that is meant as .npy"
    )


def test_provenance_says_where_everything_came_from(all_files: EmbeddingFiles):
    cache, _ = import_embeddings(all_files, dataset="mine")
    digest = hashlib.sha256(all_files.features.read_bytes()).hexdigest()
    assert cache.dataset == "mine"
    assert cache.provenance["model"] == "imported"
    assert cache.provenance["features"] == {"file": "F.npy", "sha256": digest}
    assert cache.provenance["projection"]["file"] == "W.npy"
    assert len(cache.provenance["manifest_sha256"]) == 64
    assert json.loads(json.dumps(cache.provenance)) == cache.provenance
    alone, _ = import_embeddings(EmbeddingFiles(all_files.features, all_files.metadata))
    assert alone.provenance["projection"] == "identity"
    assert alone.provenance["class_embeddings"] == "class means of the training split"


def test_drawn_splits_are_noted(files: EmbeddingFiles, features: np.ndarray):
    rows = "".join(f"{number}.jpg,{number % 2}\n" for number in range(50))
    files.metadata.write_text("filename,y\n" + rows)
    np.save(files.features, np.tile(features, (10, 1)))
    cache, notes = import_embeddings(files, seed=3)
    assert np.bincount(cache.rows.splits).tolist() == [30, 10, 10]
    assert cache.texts.attribute_names == ()
    assert notes[0] == (
        f"imported: {files.metadata} has no column split, so 60 % train, 20 % val and 20 % test "
        "were drawn with seed 3, stratified by group"
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 2), np.int64), "DIR/F.npy holds int64 of shape (5, 2)"),
        (np.zeros(5), "DIR/F.npy holds float64 of shape (5,)"),
        (np.zeros((0, 4)), "DIR/F.npy holds float64 of shape (0, 4)"),
        (np.zeros((5, 2), complex), "DIR/F.npy holds complex128 of shape (5, 2)"),
    ],
)
def test_refuses_what_is_no_matrix(files: EmbeddingFiles, array: np.ndarray, message: str):
    np.save(files.features, array)
    assert refusal(files) == f"{message}, expected a matrix of float16, float32 or float64"


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_names_rows_that_are_not_finite(files: EmbeddingFiles, features: np.ndarray, value: float):
    features = features.astype(np.float64)
    features[[1, 3], 2] = value
    np.save(files.features, features)
    assert refusal(files) == (
        "DIR/F.npy: 2 of 5 rows hold NaN or infinity (counted from 0: 1, 3); "
        "make them again, or leave them out of every file"
    )


def test_names_rows_without_a_direction(files: EmbeddingFiles, features: np.ndarray):
    np.save(files.features, np.concatenate([features] + [features * 0] * 3))
    assert refusal(files) == (
        "DIR/F.npy: 15 of 20 rows are all zero and have no direction "
        "(counted from 0: 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, ...); "
        "make them again, or leave them out of every file"
    )


def test_refuses_another_number_of_rows(files: EmbeddingFiles, features: np.ndarray):
    np.save(files.features, features[:-1])
    assert refusal(files) == (
        "DIR/F.npy has 4 rows, but DIR/list.csv 5; "
        "expected one row for each image, in the same order"
    )


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (
            "F.pt",
            "import torch, numpy; numpy.save('DIR/F.npy', "
            "torch.load('DIR/F.pt', weights_only=True).numpy())",
        ),
        (
            "F.pkl",
            "import pickle, numpy; numpy.save('DIR/F.npy', pickle.load(open('DIR/F.pkl', 'rb')))",
        ),
    ],
)
def test_refuses_pickles_and_says_how_to_convert(files: EmbeddingFiles, name: str, command: str):
    path = files.features.with_name(name)
    assert refusal(EmbeddingFiles(path, files.metadata)) == (
        f"DIR/{name} is not read, as such a file may run code; if you trust it, convert it: "
        f'python -c "{command}"'
    )


def test_the_conversion_of_a_tensor_works(files: EmbeddingFiles, features: np.ndarray):
    torch = pytest.importorskip("torch")
    path = files.features.with_suffix(".pt")
    files.features.unlink()
    torch.save(torch.from_numpy(features), path)
    with pytest.raises(ExtractError) as caught:
        import_embeddings(EmbeddingFiles(path, files.metadata))
    code = str(caught.value).partition('-c "')[2].removesuffix('"')
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (import_embeddings(files)[0].features == features).all()


def test_refuses_a_pickle_by_any_name(files: EmbeddingFiles):
    np.save(files.features, np.array([{}], object), allow_pickle=True)
    assert refusal(files) == (
        "DIR/F.npy is no .npy file that can be read "
        "(Object arrays cannot be loaded when allow_pickle=False)"
    )


@pytest.mark.parametrize("length", [0, 5, 100, 200])
def test_refuses_a_file_that_is_cut_off(files: EmbeddingFiles, length: int):
    files.features.write_bytes(files.features.read_bytes()[:length])
    assert refusal(files).startswith("DIR/F.npy is no .npy file that can be read (")


def test_refuses_a_file_that_is_not_there(files: EmbeddingFiles):
    files.features.unlink()
    assert refusal(files) == "DIR/F.npy: cannot be read (No such file or directory)"


def test_refuses_a_projection_of_another_shape(all_files: EmbeddingFiles):
    projection = np.load(all_files.projection)
    np.save(all_files.projection, projection.T)
    assert refusal(all_files) == (
        "DIR/W.npy has shape (4, 6), expected (6, ..), as DIR/F.npy has 6 columns; "
        "it looks transposed, save its .T"
    )
    np.save(all_files.projection, projection[:-1])
    assert refusal(all_files) == (
        "DIR/W.npy has shape (5, 4), expected (6, ..), as DIR/F.npy has 6 columns"
    )


def test_refuses_class_embeddings_of_another_shape(all_files: EmbeddingFiles):
    files = EmbeddingFiles(all_files.features, all_files.metadata, all_files.class_embeddings)
    assert refusal(files) == (
        "DIR/T.npy has shape (2, 4), expected (2, 6): a row for each of the classes cat, dog, "
        "a column for each of the head's outputs"
    )


def test_refuses_a_class_without_training_rows(files: EmbeddingFiles):
    files.metadata.write_text(LIST.replace("b.jpg,cat,snow,0", "b.jpg,cat,snow,1"))
    assert refusal(files) == (
        "the training split has no row of class cat, so its mean is unknown; "
        "give --class-embeddings, or rows of every class"
    )


def test_class_names_name_and_order_classes(all_files: EmbeddingFiles):
    cache, _ = import_embeddings(all_files, class_names=("dog", "cat"))
    assert cache.texts.class_names == ("dog", "cat")
    assert cache.rows.labels.tolist() == [0, 1, 0, 1, 0]


def test_refuses_class_names_that_are_equal(files: EmbeddingFiles):
    files.metadata.write_text(LIST.replace("dog", "0").replace("cat", "1"))
    assert refusal(files, OptionError, class_names=("a", "a")) == (
        "--class-names gives 'a', 'a', expected names that differ and are not blank"
    )


def run(files: EmbeddingFiles, *more: str):
    arguments = ["import", "--features", files.features, "--metadata", files.metadata]
    if files.projection:
        arguments += ["--projection", files.projection]
    if files.class_embeddings:
        arguments += ["--class-embeddings", files.class_embeddings]
    out = files.metadata.parent / "mine.h5"
    return CliRunner().invoke(main, [*map(str, arguments), "--out", str(out), *more]), out


def test_the_command_writes_a_sound_cache(all_files: EmbeddingFiles, features: np.ndarray):
    result, out = run(all_files, "--dataset", "mine", "--class-names", "dog,cat")
    assert result.exit_code == 0, result.output
    verify_cache(out)
    cache = read_cache(out)
    assert cache.dataset == "mine"
    assert cache.texts.class_names == ("dog", "cat")
    assert (cache.features == features).all()
    assert "note:" not in result.output


def test_the_command_says_what_it_assumed(files: EmbeddingFiles):
    result, _ = run(files)
    assert result.exit_code == 0, result.output
    assert "note: no class embeddings were given: they are the unit-length class means of the" in (
        result.stdout
    )
    result, _ = run(files, "--overwrite", "--json")
    found = json.loads(result.stdout)
    assert found["notes"][0] == "no projection was given: the head starts as the identity, 6 x 6"
    assert found["features"] == {"shape": [5, 6], "dtype": "float32"}


def test_the_command_replaces_nothing_unasked(files: EmbeddingFiles):
    run(files)
    result, out = run(files)
    assert result.exit_code == 1
    assert str(out) in result.stderr
    assert "--overwrite" in result.stderr


def test_errors_and_usage_errors_have_their_exit_codes(files: EmbeddingFiles):
    files.metadata.write_text(LIST.replace("dog", "0").replace("cat", "1"))
    result, out = run(files, "--class-names", "a,a")
    assert result.exit_code == 2
    files.features.unlink()
    result, out = run(files)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"Error: {files.features}: cannot be read (No such file or directory)"
    )
    assert not out.exists()


def test_importing_needs_neither_torch_nor_images(files: EmbeddingFiles):
    """On a machine that only calibrates none of these is installed."""
    code = (
        "import sys\n"
        "from cli import main\n"
        f"main(['import', '--features', {str(files.features)!r}, '--metadata', "
        f"{str(files.metadata)!r}, '--out', {str(files.metadata.parent / 'x.h5')!r}, '--json'], "
        "standalone_mode=False)\n"
        "print([name for name in ('torch', 'transformers', 'PIL', 'openpyxl', 'tokenizers') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
