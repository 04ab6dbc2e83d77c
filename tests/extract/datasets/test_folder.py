from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.extract.datasets import loading

load = partial(loading.load, "folder")
load_error = partial(loading.load_error, "folder")

METADATA = (
    "filename,label,attribute,split\n0.jpg,dog,snow,train\n1.jpg,cat,grass,val\n"
    "2.jpg,cat,snow,test\n"
)
JSON_LINES = (
    '{"file_name": "0.jpg", "label": "dog", "split": "train"}\n'
    '{"file_name": "1.jpg", "label": "cat", "split": "validation"}\n'
    '{"file_name": "2.jpg", "label": "cat", "split": "test"}\n'
)


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    write_images(tmp_path, ["0.jpg", "1.jpg", "2.jpg"])
    (tmp_path / "metadata.csv").write_text(METADATA)
    return tmp_path


def test_reads_images_and_metadata(root: Path, jpeg: bytes):
    manifest = load(root)
    assert manifest.dataset == "folder"
    assert manifest.rows.ids == ("0.jpg", "1.jpg", "2.jpg")
    assert manifest.class_names == ("cat", "dog")
    assert manifest.images.read(0) == jpeg
    assert (manifest.warnings, manifest.drawn_splits) == ((), ())


def test_a_given_metadata_file_takes_precedence(root: Path):
    (root / "list.csv").write_text(METADATA.replace("0.jpg,dog", "0.jpg,bird"))
    assert load(root, metadata=root / "list.csv").class_names == ("bird", "cat")


def test_a_given_metadata_file_may_be_relative_to_the_root(root: Path):
    (root / "lists").mkdir()
    (root / "lists" / "a.csv").write_text(METADATA.replace("0.jpg,dog", "0.jpg,bird"))
    assert load(root, metadata=Path("lists/a.csv")).class_names == ("bird", "cat")


def test_class_names_determine_the_labels(root: Path):
    manifest = load(root, class_names=("dog", "cat", "bird"))
    assert manifest.rows.labels.tolist() == [0, 1, 1]
    assert manifest.class_names == ("dog", "cat", "bird")


def test_the_seed_determines_the_drawn_splits(root: Path, write_images):
    names = [f"{number}.jpg" for number in range(100)]
    write_images(root, names)
    (root / "metadata.csv").write_text("filename,label\n" + "".join(f"{n},a\n" for n in names))
    assert load(root).sha256() == load(root, seed=42).sha256()
    assert load(root).sha256() != load(root, seed=1).sha256()
    assert load(root).drawn_splits == ("val", "test")


def test_columns_and_rows_are_chosen_by_options(root: Path):
    (root / "metadata.csv").write_text(
        "img,dx,split\n0.jpg,dog,train\n1.jpg,cat,ood\n2.jpg,,test\n1.jpg,cat,train\n"
    )
    manifest = load(
        root,
        columns={"filename": "img", "label": "dx"},
        ignore_splits=("ood",),
        drop_missing=True,
    )
    assert manifest.rows.ids == ("0.jpg", "1.jpg")


def test_warns_of_class_names_that_are_numbers(root: Path):
    metadata = METADATA.replace("dog", "0.0").replace("cat", "1.0")
    (root / "metadata.csv").write_text(metadata)
    [warning] = load(root).warnings
    assert warning.startswith("folder: the class names '0', '1' do not describe images")
    assert load(root, class_names=("dog", "cat")).warnings == ()
    (root / "prompts.json").write_text('{"classes": [["dog"], ["cat"]]}')
    assert load(root, prompts=root / "prompts.json").warnings == ()


def test_names_a_missing_image(root: Path):
    (root / "metadata.csv").write_text(METADATA.replace("1.jpg", "none/1.jpg"))
    assert load_error(root) == (
        "ROOT/metadata.csv, row 3: the image ROOT/none/1.jpg does not exist "
        "(1 of 3 images is missing); there is ROOT/1.jpg; complete the folder, correct --root, "
        "shorten the list, or keep their rows as not valid with --on-error skip"
    )
    manifest = load(root, skip_missing=True)
    assert manifest.rows.ids == ("0.jpg", "none/1.jpg", "2.jpg")


def test_takes_the_column_whose_files_exist(root: Path):
    (root / "metadata.csv").write_text("file,path,label,split\nx.jpg,0.jpg,a,0\ny.jpg,1.jpg,b,1\n")
    assert load(root).rows.ids == ("0.jpg", "1.jpg")


# Where the list is


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.json", "Metadata.csv"])
def test_the_usual_list_may_have_any_form(root: Path, name: str):
    (root / "metadata.csv").unlink()
    (root / name).write_text(JSON_LINES)
    manifest = load(root)
    assert manifest.class_names == ("cat", "dog")
    assert manifest.warnings == ()


@pytest.mark.parametrize("name", ["list.csv", "labels.txt", "my data.tsv"])
def test_takes_the_only_list_and_says_so(root: Path, name: str):
    (root / "metadata.csv").rename(root / name)
    (root / "README.txt").write_text("These images show cats and dogs.\n")
    (root / "classes.txt").write_text("cat\ndog\n")
    manifest = load(root)
    assert manifest.rows.ids == ("0.jpg", "1.jpg", "2.jpg")
    assert manifest.warnings == (f"folder: {root} has no metadata.csv; using {name}",)


def test_asks_which_of_several_lists_is_meant(root: Path):
    (root / "metadata.csv").rename(root / "a.csv")
    (root / "b.csv").write_text(METADATA)
    assert load_error(root) == (
        "ROOT holds 2 lists of images: a.csv, b.csv; choose one with --metadata a.csv"
    )
    (root / "metadata.csv").write_text(METADATA)
    (root / "metadata.jsonl").write_text(JSON_LINES)
    assert load_error(root) == (
        "ROOT holds 2 lists of images: metadata.csv, metadata.jsonl; choose one with "
        "--metadata metadata.csv"
    )


def test_lists_may_be_named_by_their_splits(root: Path):
    (root / "metadata.csv").unlink()
    for split, row in (("train", "0.jpg,dog"), ("valid", "1.jpg,cat"), ("test", "2.jpg,cat")):
        (root / f"{split}.csv").write_text(f"image,class\n{row}\n")
    manifest = load(root)
    assert manifest.rows.ids == ("2.jpg", "0.jpg", "1.jpg")
    assert manifest.rows.splits.tolist() == [2, 0, 1]
    assert manifest.warnings == (
        f"folder: {root} has no metadata.csv; using test.csv and train.csv and valid.csv",
    )
    (root / "valid.csv").write_text("image,class\n3.jpg,cat\n")
    assert load_error(root).startswith(
        "ROOT/valid.csv, row 2: the image ROOT/3.jpg does not exist (1 of 3 images is missing); "
    )


def test_each_folder_may_have_a_list_with_paths_relative_to_it(tmp_path: Path, write_images):
    for split in ("train", "validation", "test"):
        write_images(tmp_path / split, ["a.jpg", "b.jpg"])
        (tmp_path / split / "metadata.jsonl").write_text(
            '{"file_name": "a.jpg", "label": 0}\n{"file_name": "b.jpg", "label": 1}\n'
        )
    manifest = load(tmp_path, class_names=("cat", "dog"))
    assert manifest.rows.ids == tuple(
        f"{split}/{name}.jpg" for split in ("test", "train", "validation") for name in "ab"
    )
    assert manifest.rows.splits.tolist() == [2, 2, 0, 0, 1, 1]
    assert manifest.rows.labels.tolist() == [0, 1] * 3
    assert manifest.warnings == ()


def test_a_list_one_folder_down_is_found(tmp_path: Path, write_images):
    write_images(tmp_path / "set", ["0.jpg", "1.jpg", "2.jpg"])
    (tmp_path / "set" / "metadata.csv").write_text(METADATA)
    manifest = load(tmp_path)
    assert manifest.rows.ids == ("set/0.jpg", "set/1.jpg", "set/2.jpg")
    (tmp_path / "set" / "metadata.csv").rename(tmp_path / "set" / "list.csv")
    manifest = load(tmp_path)
    assert manifest.rows.ids == ("set/0.jpg", "set/1.jpg", "set/2.jpg")
    assert f"folder: {tmp_path} has no metadata.csv; using set/list.csv" in manifest.warnings


def test_a_list_of_another_kind_says_what_it_lacks(root: Path):
    (root / "metadata.csv").unlink()
    (root / "list.csv").write_text("img_no,dx\n0.jpg,cat\n")
    assert load_error(root) == (
        "ROOT/list.csv has no column filename, found the columns img_no, dx; name the one to take "
        "with --columns filename=COLUMN"
    )


def test_describes_the_expected_content_of_the_root(root: Path):
    (root / "metadata.csv").unlink()
    expected = (
        "set --root to a folder that contains your images, in folders of classes or with a list of "
        "filename,label[,attribute][,split], or --metadata to the list"
    )
    assert load_error(root) == (
        f"ROOT has neither a list nor folders of classes, such as train/cat/ or cat/; {expected}"
    )
    (root / "a.txt").write_text("cat\n")
    (root / "b.txt").write_text("dog\n")
    assert load_error(root) == (
        "ROOT has neither a list nor folders of classes, such as train/cat/ or cat/ (a.txt, b.txt "
        f"have no columns of image names and labels); {expected}"
    )


def test_names_a_missing_metadata_file(root: Path):
    assert load_error(root, metadata=Path("none.csv")) == (
        "none.csv cannot be read (No such file or directory), nor is there ROOT/none.csv; ROOT has "
        "metadata.csv: check --metadata"
    )
    assert load_error(root, metadata=root / "none.csv") == (
        "ROOT/none.csv cannot be read (No such file or directory); ROOT has metadata.csv: check "
        "--metadata"
    )


@pytest.mark.parametrize("folders", [["images"], ["train_images", "test_images"]])
def test_folders_that_are_not_classes_require_a_list(tmp_path, write_images, folders):
    paths = [f"{folder}/{i}.jpg" for folder in folders for i in range(3)]
    write_images(tmp_path, paths)
    rows = [f"{path},{'ab'[i % 2]},{i % 3}" for i, path in enumerate(paths)]
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "all.csv").write_text("\n".join(["path,label,split", *rows]))
    manifest = load(tmp_path)
    assert manifest.rows.ids == tuple(paths)
    assert manifest.class_names == ("a", "b")


# Folders as classes


def write_tree(write_images, root: Path, *folders: str, n: int = 4) -> None:
    for folder in folders:
        write_images(root, [f"{folder}/{i}.jpg" for i in range(n)])


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "VALID", "Testing"), ("train", "dev", "test")]
)
@pytest.mark.parametrize("form", ["{split}/{label}", "{label}/{split}", "set/{split}/{label}"])
def test_folders_are_splits_and_classes(tmp_path: Path, write_images, names, form: str):
    folders = [form.format(split=split, label=label) for split in names for label in ("cat", "dog")]
    write_tree(write_images, tmp_path, *folders)
    (tmp_path / folders[0] / ".DS_Store").touch()
    (tmp_path / folders[0] / "._0.jpg").write_bytes(b"\0\5\x16\7")
    (tmp_path / folders[0] / "notes.txt").write_text("blurred\n")
    manifest = load(tmp_path)
    assert manifest.class_names == ("cat", "dog")
    assert np.bincount(manifest.rows.splits).tolist() == [8, 8, 8]
    for path, label, split in zip(
        manifest.rows.ids, manifest.rows.labels, manifest.rows.splits, strict=True
    ):
        assert manifest.class_names[label] in path
        assert names[split] in path
    assert manifest.warnings == ()


@pytest.mark.parametrize("before", ["", "photos/", "photos/all/"])
def test_folders_are_classes_and_splits_are_drawn(tmp_path: Path, write_images, before: str):
    write_tree(write_images, tmp_path, f"{before}cat", f"{before}dog/deep", n=50)
    manifest = load(tmp_path)
    assert manifest.class_names == ("cat", "dog")
    assert np.bincount(manifest.rows.splits).tolist() == [60, 20, 20]
    assert manifest.warnings == (
        f"folder: {tmp_path} has no column split; drew 60 rows as train, 20 rows as val, 20 rows "
        "as test (60/20/20 %) with seed 42, stratified by group",
    )


def test_images_of_any_kind_are_found(tmp_path: Path, write_images):
    names = ["a.JPG", "b.jpeg", "c.PNG", "d.webp", "e.tif"]
    write_images(
        tmp_path, [f"{c}/{s}/{n}" for c in ("cat", "dog") for s in ("train", "test") for n in names]
    )
    assert len(load(tmp_path, val_fraction=0.2).rows) == 20


def test_images_without_a_class_are_left_out_with_a_warning(tmp_path: Path, write_images):
    write_tree(write_images, tmp_path, "train/cat", "train/dog", "val/cat", "val/dog", "test")
    manifest = load(tmp_path)
    assert np.bincount(manifest.rows.splits, minlength=3).tolist() == [8, 8, 0]
    assert manifest.warnings[0] == (
        f"folder: left out 4 of 20 images below {tmp_path} that are in no folder of a class, the "
        "first is test/0.jpg"
    )


def test_a_root_above_the_data_set_is_named(tmp_path: Path, write_images):
    names = [f"birds/{split}/{name}/a.jpg" for split in ("train", "val") for name in ("owl", "jay")]
    write_images(tmp_path, [*names, "other/b/a.jpg"])
    assert load_error(tmp_path) == (
        "ROOT/birds holds the folders of splits, so it is a data set instead of one of the "
        "classes birds, other; set --root to it"
    )


def test_splits_of_one_meaning_are_merged_with_a_warning(root: Path):
    text = METADATA.replace("test", "eval").replace("train", "Train")
    (root / "metadata.csv").write_text(text + "0.jpg,dog,snow,train\n")
    assert load(root).warnings[0] == (
        f"{root}/metadata.csv: in the column split, eval and val are all taken as val; leave one "
        "out with --ignore-splits"
    )


def test_unknown_splits_are_ignored_on_demand(tmp_path: Path, write_images):
    write_tree(write_images, tmp_path, *(f"{s}/{c}" for s in ("train", "ood") for c in "xy"))
    assert "leave out such rows with --ignore-splits ood" in load_error(tmp_path)
    manifest = load(tmp_path, ignore_splits=("ood",))
    assert len(manifest.rows) == 8


def test_a_list_without_labels_leaves_them_to_the_folders(tmp_path: Path, write_images):
    write_tree(
        write_images, tmp_path, *(f"{s}/{c}" for s in ("train", "val", "test") for c in "xy")
    )
    (tmp_path / "metadata.csv").write_text("file_name,text\ntrain/x/0.jpg,a cat\n")
    manifest = load(tmp_path)
    assert len(manifest.rows) == 24
    assert manifest.warnings[0] == (
        f"folder: {tmp_path}/metadata.csv has no column label; using folders as classes"
    )
