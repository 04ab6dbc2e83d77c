"""Several files of features and lists, features with ids, and folders of clip-retrieval."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from clip_cfr.extract.errors import OptionError
from tests.extract.importing.examples import Inputs, import_error, read_contents

SPLITS = ("train", "val", "test")
IDS = tuple(f"{name}.jpg" for name in "abcdefghi")
LABELS = ("cat", "dog") * 4 + ("cat",)


@pytest.fixture
def numbers() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)


def write_list(path: Path, rows: slice = slice(None), **columns) -> Path:
    table = {"filename": IDS[rows], "label": LABELS[rows], **columns}
    pd.DataFrame(table).to_csv(path, index=False)
    return path


def write_parts(folder: Path, numbers: np.ndarray, names=SPLITS) -> list[Path]:
    """Save the first, second and last three rows in files of their own."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{name}.npy" for name in names]
    for index, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        np.save(path, numbers[3 * index : 3 * index + 3])
    return paths


def write_lists(folder: Path, names=SPLITS) -> list[Path]:
    return [
        write_list(folder / f"{name}.csv", slice(3 * index, 3 * index + 3))
        for index, name in enumerate(names)
    ]


def assert_rows(cache, numbers: np.ndarray, splits: list[int] | None = None):
    """Assert that all rows are there, in the order of the files."""
    assert cache.rows.ids == IDS
    assert [cache.texts.class_names[label] for label in cache.rows.labels] == [*LABELS]
    np.testing.assert_array_equal(cache.features, numbers)
    if splits is not None:
        assert cache.rows.splits.tolist() == splits


BY_THREES = [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_each_split_has_features_and_a_list(tmp_path: Path, numbers: np.ndarray):
    features, lists = write_parts(tmp_path, numbers), write_lists(tmp_path)
    cache, notes = read_contents(Inputs(features, lists))
    assert_rows(cache, numbers, BY_THREES)
    assert notes[0] == (
        "the splits are those of the names of the files: "
        f"{lists[0]} is train, {lists[1]} is val, {lists[2]} is test"
    )


@pytest.mark.parametrize(
    "names",
    [
        ("train_features", "valid_features", "test_features"),
        ("X-training", "X-dev", "X-test"),
        ("train/x", "val/x", "test/x"),
    ],
)
def test_one_list_for_the_features_of_all_splits(tmp_path: Path, numbers: np.ndarray, names):
    features = write_parts(tmp_path, numbers, names)
    cache, notes = read_contents(Inputs(features, write_list(tmp_path / "list.csv")))
    assert_rows(cache, numbers, BY_THREES)
    assert notes[0].startswith("the splits are those of the names of the files: ")


def test_keys_of_an_archive_name_the_splits(tmp_path: Path, numbers: np.ndarray):
    path = tmp_path / "F.npz"
    np.savez(path, train=numbers[:3], val=numbers[3:6], test=numbers[6:])
    features = [f"{path}:{split}" for split in SPLITS]
    cache, _ = read_contents(Inputs(features, write_list(tmp_path / "list.csv")))
    assert_rows(cache, numbers, BY_THREES)


def test_lists_of_splits_for_one_file_of_features(tmp_path: Path, numbers: np.ndarray):
    np.save(tmp_path / "F.npy", numbers)
    cache, _ = read_contents(Inputs(tmp_path / "F.npy", write_lists(tmp_path)))
    assert_rows(cache, numbers, BY_THREES)


def test_a_column_of_splits_precedes_the_names_of_files(tmp_path: Path, numbers: np.ndarray):
    features = write_parts(tmp_path, numbers)
    table = write_list(tmp_path / "list.csv", split=["test", "val", "train"] * 3)
    cache, notes = read_contents(Inputs(features, table))
    assert_rows(cache, numbers, [2, 1, 0] * 3)
    assert not any("names of the files" in note for note in notes)


def test_files_of_other_names_are_concatenated(tmp_path: Path, numbers: np.ndarray):
    features = write_parts(tmp_path, numbers, ("part0", "part1", "part2"))
    table = write_list(tmp_path / "list.csv", split=["train", "val", "test"] * 3)
    assert_rows(read_contents(Inputs(features, table))[0], numbers, [0, 1, 2] * 3)


def test_unusable_rows_are_named_by_file(tmp_path: Path, numbers: np.ndarray):
    numbers[[4, 8]] = 0
    inputs = Inputs(write_parts(tmp_path, numbers), write_lists(tmp_path))
    assert import_error(inputs).startswith(
        "DIR/val.npy: 1 of 3 rows is not usable: zeros only in row 1 (counted from 0); "
        "DIR/test.npy: 1 of 3 rows is not usable: zeros only in row 2 (counted from 0); "
    )


def test_a_row_of_one_of_several_lists_is_named_with_its_file(tmp_path: Path, numbers: np.ndarray):
    inputs = Inputs(write_parts(tmp_path, numbers), write_lists(tmp_path))
    (tmp_path / "val.csv").write_text("filename,label\nd.jpg,dog\na.jpg,dog\nf.jpg,cat\n")
    assert import_error(inputs).startswith("DIR/val.csv, row 3: 'a.jpg' is already listed in ")


def test_rejects_a_list_of_another_length_than_its_features(tmp_path: Path, numbers: np.ndarray):
    features, lists = write_parts(tmp_path, numbers), write_lists(tmp_path)
    write_list(lists[1], slice(3, 5))
    assert import_error(Inputs(features, lists)) == (
        "DIR/val.npy has 3 rows, but DIR/val.csv has 2, expected one row for each image, in the "
        "same order"
    )


def test_rejects_a_list_of_another_length_than_all_features(tmp_path: Path, numbers: np.ndarray):
    features = write_parts(tmp_path, numbers)
    table = write_list(tmp_path / "list.csv", slice(0, 8))
    assert import_error(Inputs(features, table)) == (
        "DIR/train.npy + DIR/val.npy + DIR/test.npy has 9 rows (3 + 3 + 3), but DIR/list.csv has "
        "8, expected one row for each image, in the same order"
    )


def test_rejects_other_numbers_of_files(tmp_path: Path, numbers: np.ndarray):
    inputs = Inputs(write_parts(tmp_path, numbers), write_lists(tmp_path)[:2])
    assert import_error(inputs, OptionError) == (
        "--features is given 3 times and --metadata 2 times, expected one list for all features, "
        "or one for each of them"
    )


def test_rejects_features_of_another_width(tmp_path: Path, numbers: np.ndarray):
    inputs = Inputs(write_parts(tmp_path, numbers), write_lists(tmp_path))
    np.save(tmp_path / "val.npy", numbers[:3, :3])
    assert import_error(inputs) == (
        "DIR/val.npy has 3 columns, expected 4 as in DIR/train.npy: features of one model"
    )


def test_rejects_lists_of_other_columns(tmp_path: Path, numbers: np.ndarray):
    inputs = Inputs(write_parts(tmp_path, numbers), write_lists(tmp_path))
    write_list(tmp_path / "val.csv", slice(3, 6), attribute=["a", "b", "a"])
    assert import_error(inputs) == (
        "DIR/val.csv has the columns filename, label, attribute, expected filename, label as in "
        "DIR/train.csv"
    )


def write_with_ids(path: Path, numbers: np.ndarray, ids=IDS, **columns) -> Path:
    frame = pd.DataFrame(numbers, columns=[f"f{index}" for index in range(4)])
    for name, values in {"image_path": ids, **columns}.items():
        frame[name] = values
    frame.to_csv(path, index=False)
    return path


def test_features_with_ids_are_matched_to_the_list(tmp_path: Path, numbers: np.ndarray):
    order = np.random.default_rng(1).permutation(9)
    ids = [f"/data/images/{IDS[index]}" for index in order]
    features = write_with_ids(tmp_path / "F.csv", numbers[order], ids)
    cache, notes = read_contents(Inputs(features, write_list(tmp_path / "list.csv")))
    assert cache.rows.ids == tuple(IDS[index] for index in order)
    assert [cache.texts.class_names[label] for label in cache.rows.labels] == [
        LABELS[index] for index in order
    ]
    np.testing.assert_array_equal(cache.features, numbers[order])
    assert notes[0] == (
        f"the rows of {tmp_path / 'list.csv'} are matched to those of {features} by id"
    )


def test_features_that_are_not_listed_are_left_out(tmp_path: Path, numbers: np.ndarray):
    features = write_with_ids(tmp_path / "F.csv", numbers)
    table = write_list(tmp_path / "list.csv", slice(2, 8))
    cache, notes = read_contents(Inputs(features, table))
    assert cache.rows.ids == IDS[2:8]
    np.testing.assert_array_equal(cache.features, numbers[2:8])
    assert notes[1] == f"3 of 9 rows of {features} are not in {table} and are left out"


def test_listed_rows_without_features(tmp_path: Path, numbers: np.ndarray):
    features = write_with_ids(tmp_path / "F.csv", numbers[:7], IDS[:7])
    inputs = Inputs(features, write_list(tmp_path / "list.csv", split=[*SPLITS] * 3))
    fault = "2 of 9 rows have no features in DIR/F.csv ('h.jpg', 'i.jpg')"
    assert import_error(inputs) == (
        f"DIR/list.csv: {fault}; complete the features, or keep such rows as not valid with "
        "--on-error skip"
    )
    cache, notes = read_contents(inputs, skip_unusable=True)
    assert cache.rows.ids == IDS
    assert cache.valid.tolist() == [True] * 7 + [False] * 2
    np.testing.assert_array_equal(cache.features[:7], numbers[:7])
    assert not cache.features[7:].any()
    assert f"{fault}; kept as not valid" in notes[1].replace(str(tmp_path), "DIR")


def test_rejects_features_and_a_list_without_a_common_id(tmp_path: Path, numbers: np.ndarray):
    features = write_with_ids(tmp_path / "F.csv", numbers, [f"x-{name}" for name in IDS])
    assert import_error(Inputs(features, write_list(tmp_path / "list.csv"))) == (
        "DIR/F.csv and DIR/list.csv have no id in common: 'x-a.jpg' ... and 'a.jpg' ...; give both "
        "the same names"
    )


def test_features_with_ids_and_labels_need_no_list(tmp_path: Path, numbers: np.ndarray):
    columns = {"label": LABELS, "split": [*SPLITS] * 3}
    features = write_with_ids(tmp_path / "F.csv", numbers, **columns)
    cache, notes = read_contents(Inputs(features, None))
    assert_rows(cache, numbers, [0, 1, 2] * 3)
    assert [note for note in notes if "no projection" not in note and "class emb" not in note] == []


def test_arrays_beside_the_features_may_be_the_list(tmp_path: Path, numbers: np.ndarray):
    columns = {"label": np.array(LABELS), "paths": np.array(IDS), "split": np.arange(9) // 3}
    np.savez(tmp_path / "F.npz", features=numbers, **columns)
    assert_rows(read_contents(Inputs(tmp_path / "F.npz", None))[0], numbers, BY_THREES)


def test_row_numbers_beside_the_features_are_not_ids(tmp_path: Path, numbers: np.ndarray):
    np.savez(tmp_path / "F.npz", features=numbers, id=np.arange(9))
    inputs = Inputs(tmp_path / "F.npz", write_list(tmp_path / "list.csv"))
    assert_rows(read_contents(inputs)[0], numbers)


def test_the_same_file_may_be_the_list(tmp_path: Path, numbers: np.ndarray):
    table = pa.table({"key": IDS, "embedding": [*numbers], "class": LABELS})
    parquet.write_table(table, tmp_path / "F.parquet")
    cache, _ = read_contents(Inputs(tmp_path / "F.parquet", tmp_path / "F.parquet"))
    assert_rows(cache, numbers)


def test_says_that_features_bring_no_labels(tmp_path: Path, numbers: np.ndarray):
    np.save(tmp_path / "F.npy", numbers)
    assert import_error(Inputs(tmp_path / "F.npy", None), OptionError) == (
        "DIR/F.npy has features, but no labels; give a list of its rows with --metadata, with the "
        "columns filename and label"
    )
    write_with_ids(tmp_path / "F.csv", numbers, dx=LABELS)
    assert import_error(Inputs(tmp_path / "F.csv", None), OptionError) == (
        "DIR/F.csv has features beside the columns image_path, dx, but no labels; give a list of "
        "its rows with --metadata, with the columns filename and label, or name the column of "
        "labels with --columns label=COLUMN"
    )
    inputs = Inputs(tmp_path / "F.csv", None)
    assert_rows(read_contents(inputs, columns={"label": "dx"})[0], numbers)


def write_clip_retrieval(folder: Path, numbers: np.ndarray, **columns) -> Path:
    """Write the folder of a run of clip-retrieval: one row, six rows, two rows."""
    for name in ("img_emb", "metadata", "text_emb"):
        (folder / name).mkdir(parents=True)
    # Sorted by name, part 10 would precede part 2.
    for number, rows in {0: slice(0, 1), 2: slice(1, 7), 10: slice(7, 9)}.items():
        np.save(folder / f"img_emb/img_emb_{number}.npy", numbers[rows].astype(np.float16))
        values = {"image_path": [f"/data/{name}" for name in IDS], **columns}
        table = pa.table({name: column[rows] for name, column in values.items()})
        parquet.write_table(table, folder / f"metadata/metadata_{number}.parquet")
    return folder


def test_a_folder_of_clip_retrieval_with_a_list(tmp_path: Path, numbers: np.ndarray):
    folder = write_clip_retrieval(tmp_path / "out", numbers)
    for path in (folder, folder / "img_emb"):
        cache, _ = read_contents(Inputs(path, write_list(tmp_path / "list.csv")))
        assert cache.features.dtype == np.float16
        assert_rows(cache, numbers.astype(np.float16))


def test_a_folder_of_clip_retrieval_with_labels(tmp_path: Path, numbers: np.ndarray):
    folder = write_clip_retrieval(tmp_path / "out", numbers, label=[*LABELS], split=[*SPLITS] * 3)
    cache, _ = read_contents(Inputs(folder, None))
    assert cache.rows.ids == tuple(f"/data/{name}" for name in IDS)
    np.testing.assert_array_equal(cache.features, numbers.astype(np.float16))
    assert cache.rows.splits.tolist() == [0, 1, 2] * 3


def test_a_folder_of_clip_retrieval_without_metadata(tmp_path: Path, numbers: np.ndarray):
    folder = write_clip_retrieval(tmp_path / "out", numbers)
    for path in (folder / "metadata").iterdir():
        path.unlink()
    cache, _ = read_contents(Inputs(folder, write_list(tmp_path / "list.csv")))
    assert_rows(cache, numbers.astype(np.float16))


def test_rejects_an_incomplete_folder_of_clip_retrieval(tmp_path: Path, numbers: np.ndarray):
    folder = write_clip_retrieval(tmp_path / "out", numbers)
    inputs = Inputs(folder, write_list(tmp_path / "list.csv"))
    np.save(folder / "img_emb/img_emb_2.npy", numbers[:3])
    assert import_error(inputs) == (
        "DIR/out/metadata/metadata_2.parquet has 6 rows, expected 3 as the embeddings of this part"
    )
    (folder / "metadata/metadata_2.parquet").unlink()
    assert import_error(inputs) == (
        "DIR/out: part 2 has no file of the same number in both img_emb and metadata; complete the "
        "folder"
    )


def test_rejects_another_folder(tmp_path: Path, numbers: np.ndarray):
    write_parts(tmp_path / "F", numbers)
    assert import_error(Inputs(tmp_path / "F", write_list(tmp_path / "list.csv"))) == (
        "DIR/F is a folder without img_emb/img_emb_0.npy as clip-retrieval writes it (it has "
        "test.npy, train.npy, val.npy); give files, each with --features"
    )


def write_own_table(path: Path, numbers: np.ndarray, blank: int, **columns) -> Path:
    """Write features beside columns that are null in the row `blank`."""
    values = {
        name: [None if index == blank else value for index, value in enumerate(column)]
        for name, column in {"image_path": IDS, **columns}.items()
    }
    table = pa.table({**values, "embedding": [*numbers]})
    if path.suffix == ".feather":
        feather.write_feather(table, str(path))
    else:
        parquet.write_table(table, path)
    return path


@pytest.mark.parametrize("name", ["F.parquet", "F.feather"])
def test_a_row_of_nulls_keeps_the_place_of_its_features(
    tmp_path: Path, numbers: np.ndarray, name: str
):
    inputs = Inputs(write_own_table(tmp_path / name, numbers, 2, label=LABELS), None)
    assert import_error(inputs).startswith(
        f"DIR/{name}: 1 value is missing in the column image_path (empty) in row 3; 1 value is "
        "missing in the column label (empty) in row 3; fill them in"
    )
    cache, _ = read_contents(inputs, drop_missing=True)
    assert cache.rows.ids == IDS[:2] + IDS[3:]
    np.testing.assert_array_equal(cache.features, np.delete(numbers, 2, axis=0))


def test_features_with_a_null_id_are_matched_to_the_list(tmp_path: Path, numbers: np.ndarray):
    features = write_own_table(tmp_path / "F.parquet", numbers, 2)
    table = write_list(tmp_path / "list.csv", slice(3, 9))
    cache, notes = read_contents(Inputs(features, table))
    assert cache.rows.ids == IDS[3:]
    np.testing.assert_array_equal(cache.features, numbers[3:])
    assert notes[1] == (f"3 of 9 rows of {features}:embedding are not in {table} and are left out")


def test_a_row_of_nulls_in_a_folder_of_clip_retrieval(tmp_path: Path, numbers: np.ndarray):
    folder = write_clip_retrieval(tmp_path / "out", numbers, label=[*LABELS])
    table = pa.table({"image_path": [*"ab", None, *"def"], "label": [*"xy", None, *"xyx"]})
    parquet.write_table(table, folder / "metadata/metadata_2.parquet")
    cache, _ = read_contents(Inputs(folder, None), drop_missing=True)
    np.testing.assert_array_equal(cache.features, np.delete(numbers, 3, axis=0).astype(np.float16))
