"""Labels, attributes, splits and rows of a list, as people really write them."""

from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.datasets.common.metadata_manifest import ListedManifest, make_manifest
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.tables.read_table import read_table
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.manifest import Manifest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


def read_listed(path: Path, content: str, **options) -> ListedManifest:
    """Return the manifest of a list with this content, and its entries."""
    path.write_text(content)
    chosen = DatasetOptions(**options)
    return make_manifest(read_table(path, chosen.columns), dataset="mine", options=chosen)


def read_manifest(path: Path, content: str, **options) -> Manifest:
    return read_listed(path, content, **options).manifest


def read_error(path: Path, content: str, kind: type[Exception] = ExtractError, **options) -> str:
    """Return the message of the exception that reading raises, with LIST for the file."""
    with pytest.raises(kind) as error:
        read_manifest(path, content, **options)
    return str(error.value).replace(str(path), "LIST")


def label_list(*labels: str, rest: str = "") -> str:
    """Return a list with these labels, which is one row for each split if there are three."""
    rows = (f"{i}.jpg,{label},{i % 3}{rest}" for i, label in enumerate(labels))
    return "\n".join(["filename,label,split", *rows])


def test_reads_names(path: Path):
    manifest = read_manifest(
        path,
        "filename,label,attribute,split\n"
        "0.jpg,dog,snow,train\n1.jpg,cat,grass,val\n2.jpg,dog,grass,2\n",
    )
    assert manifest.dataset == "mine"
    assert manifest.rows.ids == ("0.jpg", "1.jpg", "2.jpg")
    assert manifest.class_names == ("cat", "dog")
    assert manifest.rows.labels.tolist() == [1, 0, 1]
    assert manifest.attribute_names == ("grass", "snow")
    assert manifest.rows.attributes.tolist() == [1, 0, 0]
    assert manifest.rows.splits.tolist() == [0, 1, 2]
    assert manifest.class_prompts == (("cat",), ("dog",))
    assert manifest.attribute_prompts == (("grass",), ("snow",))
    assert manifest.rows.subjects is None
    assert manifest.warnings == ()


def test_reads_numbers(path: Path):
    manifest = read_manifest(path, "filename,y,a,split\n0.jpg,0,2,0\n1.jpg,1,1,1\n2.jpg,1,0,2\n")
    assert manifest.rows.labels.tolist() == [0, 1, 1]
    assert manifest.rows.attributes.tolist() == [2, 1, 0]
    assert (manifest.class_names, manifest.attribute_names) == (("0", "1"), ("0", "1", "2"))
    assert manifest.attribute_prompts == ()
    assert manifest.warnings == ()


# Labels


@pytest.mark.parametrize(
    "labels", [("0", "1", "0"), ("0.0", "1.0", "0"), ("0", "1.0", "0.0"), ("00", "01", "0e0")]
)
def test_numbers_in_every_spelling_are_numbers(path: Path, labels: tuple[str, ...]):
    for names in (None, ("cat", "dog")):
        manifest = read_manifest(path, label_list(*labels), class_names=names)
        assert manifest.rows.labels.tolist() == [0, 1, 0]
        assert manifest.class_names == (names or ("0", "1"))
        assert manifest.warnings == ()


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("True", "False", "True"), ("False", "True")),
        (("yes", "no", "YES"), ("no", "yes")),
        (("t", "f", "t"), ("f", "t")),
        (("1", "no", "yes"), ("no", "yes")),
        (("1.0", "False", "True"), ("False", "True")),
    ],
)
def test_yes_and_no_are_1_and_0(path: Path, labels: tuple[str, ...], names: tuple[str, ...]):
    manifest = read_manifest(path, label_list(*labels))
    assert manifest.rows.labels.tolist() == [1, 0, 1]
    assert manifest.class_names == names
    assert manifest.warnings == (
        f"{path}: in the column label, {names[0]} is 0 ({names[0]}), {names[1]} is 1 ({names[1]})",
    )
    manifest = read_manifest(path, label_list(*labels), class_names=("cat", "dog"))
    assert manifest.rows.labels.tolist() == [1, 0, 1]
    assert manifest.warnings == (
        f"{path}: in the column label, {names[0]} is 0 (cat), {names[1]} is 1 (dog)",
    )


@pytest.mark.parametrize(
    ("labels", "codes", "rest"),
    [
        (("1", "2", "3"), [0, 1, 2], "start at 1; they are counted from 0 here: 1 is 0 (a), "),
        (("5", "7", "0"), [1, 2, 0], "start at 0 and have gaps; they are counted from 0 here: "),
        (("1", "-1", "0"), [2, 0, 1], "start at -1; they are counted from 0 here: -1 is 0 (a), "),
    ],
)
def test_numbers_that_do_not_count_from_0_take_the_names_in_order(path, labels, codes, rest):
    manifest = read_manifest(path, label_list(*labels), class_names=("a", "b", "c"))
    assert manifest.rows.labels.tolist() == codes
    assert manifest.class_names == ("a", "b", "c")
    [warning] = manifest.warnings
    assert warning.startswith(f"{path}: the numbers in the column label {rest}")


def test_numbers_that_do_not_count_from_0_are_names_and_noted(path: Path):
    manifest = read_manifest(path, label_list("-1", "1", "-1"))
    assert manifest.rows.labels.tolist() == [0, 1, 0]
    assert manifest.class_names == ("-1", "1")
    assert manifest.warnings == (
        f"{path}: the numbers in the column label start at -1 and have gaps; they are counted from "
        "0 here: -1 is 0, 1 is 1",
    )


def test_numbers_within_the_names_are_indices(path: Path):
    manifest = read_manifest(path, label_list("1", "2", "1"), class_names=("a", "b", "c", "d"))
    assert manifest.rows.labels.tolist() == [1, 2, 1]
    assert manifest.warnings == ()


def test_a_column_of_names_names_the_numbers(path: Path):
    content = (
        "path,class_id,class_name,split\na.jpg,2,owl,0\nb.jpg,0,wren,1\nc.jpg,1,finch,2\n"
        "d.jpg,0,wren,0\n"
    )
    manifest = read_manifest(path, content)
    assert manifest.class_names == ("wren", "finch", "owl")
    assert manifest.rows.labels.tolist() == [2, 0, 1, 0]
    assert manifest.warnings == ()
    manifest = read_manifest(path, content, class_names=("owl", "finch", "wren"))
    assert manifest.rows.labels.tolist() == [0, 2, 1, 2]
    manifest = read_manifest(path, content, class_names=("zero", "one", "two"))
    assert manifest.rows.labels.tolist() == [2, 0, 1, 0]
    assert manifest.class_names == ("zero", "one", "two")


def test_names_determine_the_order_of_words(path: Path):
    content = "filename,label,split\n0.jpg,dog,0\n1.jpg,cat,0\n2.jpg, 'Bird',1\n"
    manifest = read_manifest(path, content, class_names=("dog", "cat", "bird", "fox"))
    assert manifest.rows.labels.tolist() == [0, 1, 2]
    assert manifest.class_names == ("dog", "cat", "bird", "fox")


def test_names_are_stripped_composed_and_unquoted(path: Path):
    manifest = read_manifest(path, label_list(" cat", "'cat'", "Zoe\u0308", "Zo\u00eb"))
    assert manifest.class_names == ("Zo\u00eb", "cat")
    assert manifest.rows.labels.tolist() == [1, 1, 0, 0]


def test_prompts_spell_names_as_words(path: Path):
    content = "filename,label,attribute,split\n0.jpg,001.Snow_Owl,on_land,0\n1.jpg,fox,sea,1\n"
    manifest = read_manifest(path, content)
    assert manifest.class_names == ("001.Snow_Owl", "fox")
    assert manifest.class_prompts == (("Snow Owl",), ("fox",))
    assert manifest.attribute_prompts == (("on land",), ("sea",))


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (
            ("a", "dgo", "a"),
            {"class_names": ("a", "dog")},
            "LIST, row 3: label is 'dgo', expected one of a, dog; to rename labels, write "
            "--class-names a=NEW,...",
        ),
        (
            ("0", "1", "7"),
            {"class_names": ("a", "b")},
            "LIST, row 4: label is '7', expected one of 0 to 1 for the 2 names a, b; the column "
            "has 3 different numbers, from 0 to 7",
        ),
        (
            ("0.5", "1.0", "2"),
            {},
            "LIST, row 2: label is '0.5', expected whole numbers or names; name another column "
            "with --columns label=COLUMN",
        ),
        (
            ("yes", "no", "yes"),
            {"class_names": ("a",)},
            "LIST: label has the values no, yes, expected as many as the names a",
        ),
    ],
)
def test_rejects_labels(path: Path, labels: tuple, options: dict, message: str):
    assert read_error(path, label_list(*labels), **options) == message


# Attributes


def test_without_a_column_every_row_has_attribute_zero(path: Path):
    manifest = read_manifest(path, "filename,label,split\n0.jpg,a,0\n1.jpg,b,1\n")
    assert manifest.rows.attributes.tolist() == [0, 0]
    assert manifest.attribute_names == ()
    assert manifest.attribute_prompts == ()


@pytest.mark.parametrize(
    ("values", "names", "codes"),
    [
        (("-1", "1", "1"), ("-1", "1"), [0, 1, 1]),
        (("True", "False", "True"), ("False", "True"), [1, 0, 1]),
        (("1.0", "0.0", "2"), ("0", "1", "2"), [1, 0, 2]),
    ],
)
def test_attributes_are_read_like_labels(path: Path, values: tuple, names: tuple, codes: list):
    rows = [f"{i}.jpg,a{i % 2},{value},{i}" for i, value in enumerate(values)]
    manifest = read_manifest(path, "\n".join(["filename,label,a,split", *rows]))
    assert manifest.attribute_names == names
    assert manifest.rows.attributes.tolist() == codes
    assert manifest.attribute_prompts == ()


def test_a_group_of_label_and_attribute_is_divided(path: Path):
    rows = [f"{i}.jpg,{i // 2 % 2},{i % 4},{i % 3}" for i in range(12)]
    manifest = read_manifest(path, "\n".join(["filename,y,group,split", *rows]))
    assert manifest.attribute_names == ("0", "1")
    assert manifest.rows.attributes.tolist() == [i % 2 for i in range(12)]
    assert manifest.warnings == (
        f"{path}: the column group numbers the groups of label and attribute; its remainder by 2 "
        "is taken as the attribute",
    )


def test_columns_without_values_have_no_role(path: Path):
    rows = [f"{i}.jpg,{'ab'[i % 2]},,nan" for i in range(20)]
    manifest = read_manifest(path, "\n".join(["filename,label,attribute,split", *rows]))
    assert manifest.attribute_names == ()
    assert np.bincount(manifest.rows.splits).tolist() == [12, 4, 4]


def test_warns_of_unused_columns(path: Path):
    manifest = read_manifest(
        path, ",filename,label,label_name,atribute,split\n0,0.jpg,0,dog,snow,0\n1,1.jpg,1,cat,x,1\n"
    )
    assert manifest.attribute_names == ()
    assert manifest.class_names == ("dog", "cat")
    assert manifest.warnings == (
        f"{path}: unused columns: atribute; the columns that are read are "
        "filename, label, attribute and split; name others with --columns",
    )


# Splits


@pytest.mark.parametrize(
    "splits",
    [
        ("train", "valid", "test"),
        ("TRAIN", "Val", "Test"),
        ("training", "dev", "testing"),
        ("0.0", "1.0", "2.0"),
        ("'train'", " eval", "test"),
    ],
)
@pytest.mark.parametrize("name", ["split", "set", "Partition", "data set", "fold"])
def test_reads_splits_in_every_spelling(path: Path, splits: tuple[str, ...], name: str):
    rows = [f"{i}.jpg,{'ab'[i % 2]},{split}" for i, split in enumerate(splits)]
    manifest = read_manifest(path, "\n".join([f"filename,label,{name}", *rows]))
    assert manifest.rows.splits.tolist() == [0, 1, 2]


def test_lists_unknown_splits_with_their_counts(path: Path):
    content = "filename,label,split\n0.jpg,a,train\n1.jpg,a,ood\n2.jpg,b,ood\n3.jpg,b,x\n"
    assert read_error(path, content) == (
        "LIST, row 3: split is 'ood', expected train, val, test or 0, 1, 2; found train (1 row), "
        "ood (2 rows), x (1 row); leave out such rows with --ignore-splits ood,x, or draw the "
        "splits again with --columns split="
    )


def test_ignores_splits(path: Path):
    content = "filename,label,split\n0.jpg,a,train\n1.jpg,c,OOD\n2.jpg,b,valid\n3.jpg,b,test\n"
    listed = read_listed(path, content, ignore_splits=("ood", "test"))
    assert listed.manifest.rows.ids == ("0.jpg", "2.jpg")
    assert listed.manifest.class_names == ("a", "b")
    assert (listed.entries.tolist(), listed.num_entries) == ([0, 2], 4)
    assert listed.manifest.warnings == (f"{path}: left out the splits OOD (1 row), test (1 row)",)


@pytest.mark.parametrize("ignored", [("ood",), ("train", "ood"), ("train", "val")])
def test_rejects_ignored_splits_that_do_not_occur(path: Path, ignored: tuple[str, ...]):
    content = "filename,label,split\n0.jpg,a,train\n1.jpg,a,val\n"
    assert read_error(path, content, OptionError, ignore_splits=ignored) == (
        f"--ignore-splits {','.join(ignored)}: LIST has the splits train, val, expected some of "
        "them"
    )


def test_a_set_that_holds_no_splits_is_another_column(path: Path):
    rows = [f"{i}.jpg,{'ab'[i % 2]},birds" for i in range(20)]
    manifest = read_manifest(path, "\n".join(["filename,label,dataset", *rows]))
    assert np.bincount(manifest.rows.splits).tolist() == [12, 4, 4]
    assert manifest.warnings[0].startswith(f"{path}: unused columns: dataset; ")


def test_draws_splits_stratified_by_group(path: Path):
    rows = (f"{row}.jpg,{'dog' if row < 50 else 'cat'},{row % 2}" for row in range(100))
    manifest = read_manifest(path, "\n".join(["filename,label,attribute", *rows]))
    groups = manifest.rows.labels * 2 + manifest.rows.attributes
    counts = {g: np.bincount(manifest.rows.splits[groups == g]).tolist() for g in range(4)}
    assert counts == {group: [15, 5, 5] for group in range(4)}
    assert manifest.warnings == (
        f"mine: {path} has no column split; drew 60 rows as train, 20 rows as val, 20 rows as test "
        "(60/20/20 %) with seed 42, stratified by group",
    )


@pytest.mark.parametrize(
    ("name", "options"), [("patient_id", {}), ("Subject", {}), ("site", {"split_by": "SITE"})]
)
def test_drawn_splits_do_not_share_subjects(path: Path, name: str, options: dict):
    rows = (f"{row}.jpg,{'ab'[row // 4 % 2]},p{row // 4}" for row in range(100))
    manifest = read_manifest(path, "\n".join([f"filename,label,{name}", *rows]), **options)
    splits = manifest.rows.splits.reshape(25, 4)
    assert (splits == splits[:, :1]).all()
    assert np.bincount(splits[:, 0]).tolist() == [15, 5, 5]
    assert len(set(manifest.rows.subjects)) == 25
    assert manifest.warnings == (
        f"mine: {path} has no column split; drew 60 rows as train, 20 rows as val, 20 rows as test "
        f"(60/20/20 %) with seed 42, by subject ({name})",
    )


def test_two_subjects_are_too_few_to_draw_splits(path: Path):
    content = "filename,label,site\n0.jpg,a,x\n1.jpg,b,y\n2.jpg,b,y\n"
    assert read_error(path, content, OptionError, split_by="site") == (
        "LIST: the column site has 2 values, expected at least 3, because splits do not share "
        "them; add a column split, or name another one with --split-by"
    )
    assert read_error(path, content, split_by="sites") == (
        "--split-by sites: LIST has no such column, found the columns filename, label, site"
    )


# Missing values and repeated rows


MISSING = "filename,label,attribute,split\n0.jpg,a,x,0\n1.jpg,nan,x,1\n2.jpg,b,N/A,2\n,b,y,0\n"


def test_rejects_missing_values_with_their_rows(path: Path):
    assert read_error(path, MISSING) == (
        "LIST: 1 value is missing in the column filename (empty) in row 5; 1 value is missing in "
        "the column label ('nan') in row 3; 1 value is missing in the column attribute ('N/A') in "
        "row 4; fill them in, or leave 3 of 4 rows out with --drop-missing"
    )


def test_drops_rows_with_missing_values(path: Path):
    listed = read_listed(path, MISSING + "4.jpg,b,y,0\n", drop_missing=True)
    assert listed.manifest.rows.ids == ("0.jpg", "4.jpg")
    assert listed.entries.tolist() == [0, 4]
    [warning] = listed.manifest.warnings
    assert warning.startswith(f"{path}: left out 3 of 5 rows: 1 value is missing in the column fil")


def test_names_ten_rows_of_missing_values(path: Path):
    rows = [f"{i}.jpg,{'a' if i < 4 else 'None'},{i % 3}" for i in range(20)]
    message = read_error(path, "\n".join(["filename,label,split", *rows]))
    assert message == (
        "LIST: 16 values are missing in the column label ('None') in rows 6, 7, 8, 9, 10, 11, 12, "
        "13, 14, 15, ...; fill them in, or leave 16 of 20 rows out with --drop-missing"
    )


@pytest.mark.parametrize("names", [("cat", "none"), {"None": "nothing"}])
def test_a_class_may_be_called_none_if_the_user_names_it(path: Path, names):
    manifest = read_manifest(path, label_list("cat", "None", "cat"), class_names=names)
    assert len(manifest.class_names) == 2


def test_drops_equal_rows_and_says_so(path: Path):
    content = "filename,label,split\n0.jpg,a,0\n1.jpg,b,0\n0.jpg,a,train\n0.jpg,a,0\n"
    listed = read_listed(path, content)
    assert listed.manifest.rows.ids == ("0.jpg", "1.jpg")
    assert listed.entries.tolist() == [0, 1]
    assert listed.manifest.warnings == (
        f"{path}: left out 2 rows that repeat an earlier one, the first is row 4 ('0.jpg', as in "
        "row 2)",
    )


@pytest.mark.parametrize(
    ("row", "field"),
    [("0.jpg,b,x,0", "label"), ("0.jpg,a,y,0", "attribute"), ("0.jpg,a,x,1", "split")],
)
def test_rejects_contradicting_rows(path: Path, row: str, field: str):
    content = f"filename,label,attribute,split\n0.jpg,a,x,0\n1.jpg,b,y,0\n{row}\n"
    assert read_error(path, content) == (
        f"LIST, row 4: '0.jpg' is already listed in row 2 with another {field}; remove one of the "
        "two rows"
    )


# Ids of rows without images


@pytest.mark.parametrize(
    "start", ["/data/", "D:\\photos\\", "https://example.org/a//", "../", "./", "a/../"]
)
def test_ids_stay_as_they_are(path: Path, start: str):
    content = f"filename,label,split\n{start}0.jpg,a,0\n{start}1.jpg,b,1\n"
    assert read_manifest(path, content).rows.ids == (f"{start}0.jpg", f"{start}1.jpg")


def test_without_a_column_of_names_ids_are_row_numbers(path: Path):
    manifest = read_manifest(path, "label,split\na,0\n\nb,1\n")
    assert manifest.rows.ids == ("row 2", "row 4")
    assert manifest.warnings == (f"{path} has no column filename; the ids are its row numbers",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "filename,clas\n0.jpg,a\n",
            "LIST has no column label, found the columns filename, clas; name the one to take with "
            "--columns label=COLUMN",
        ),
        (
            "filename,class,target\n0.jpg,0,1\n1.jpg,0,0\n",
            "LIST has 2 columns that may be the label: class, target; choose one with --columns "
            "label=class",
        ),
    ],
)
def test_rejects_lists_without_a_label(path: Path, content: str, message: str):
    assert read_error(path, content) == message
