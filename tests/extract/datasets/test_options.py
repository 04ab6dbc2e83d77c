import json
from pathlib import Path

import pytest

from clip_cfr.extract.datasets import DATASETS, load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError, OptionError


def load(root: Path, **options):
    return load_dataset("folder", root, DatasetOptions(**options))


def refusal(kind: type[Exception], root: Path, **options) -> str:
    with pytest.raises(kind) as caught:
        load(root, **options)
    return str(caught.value).replace(str(root), "ROOT")


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    (tmp_path / "metadata.csv").write_text("filename,y,a,split\na.jpg,0,0,0\nb.jpg,1,1,2\n")
    return tmp_path


def test_refuses_an_unknown_data_set(tmp_path: Path):
    with pytest.raises(OptionError) as caught:
        load_dataset("waterbird", tmp_path, DatasetOptions())
    assert str(caught.value) == (
        "no data set is called 'waterbird', expected one of "
        "digits, waterbirds, celeba, metashift, chexpert, cmnist, folder"
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "waterbirds",
            {"target": "Male"},
            "waterbirds has no option --target; "
            "its options are --metadata, --class-names, --prompts",
        ),
        (
            "celeba",
            {"split_by": "patient"},
            "celeba has no option --split-by; "
            "its options are --metadata, --target, --spurious, --class-names, --prompts",
        ),
        (
            "cmnist",
            {"metadata": Path("list.csv")},
            "cmnist has no option --metadata; "
            "its options are --protocol, --seed, --class-names, --prompts",
        ),
        (
            "waterbirds",
            {"seed": 0},
            "waterbirds has no option --seed; its options are --metadata, --class-names, --prompts",
        ),
    ],
)
def test_refuses_the_options_of_other_data_sets(
    tmp_path: Path, name: str, options: dict, message: str
):
    with pytest.raises(OptionError) as caught:
        load_dataset(name, tmp_path, DatasetOptions(**options))
    assert str(caught.value) == message


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ("digits", "folder")])
def test_every_published_data_set_says_that_its_root_is_missing(name: str, tmp_path: Path):
    with pytest.raises(ExtractError, match=f"no folder {tmp_path}/none; give --root a folder with"):
        load_dataset(name, tmp_path / "none", DatasetOptions())


def test_class_names_take_the_place_of_names_and_prompts(root: Path):
    manifest = load(root, class_names=("dog", "a photo of a cat."))
    assert manifest.class_names == ("dog", "a photo of a cat.")
    assert manifest.class_prompts == (("dog",), ("a photo of a cat.",))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("a", "b", "c"),
            "--class-names gives 3 names (a, b, c), expected 2, one for each class of waterbirds",
        ),
        (("a", "a"), "--class-names gives 'a', 'a', expected names that differ and are not blank"),
        (("a", " "), "--class-names gives 'a', ' ', expected names that differ and are not blank"),
    ],
)
def test_refuses_class_names_that_do_not_fit(
    tmp_path: Path, write_images, names: tuple, message: str
):
    write_images(tmp_path, ["a.jpg"])
    (tmp_path / "metadata.csv").write_text("filename,y,a,split\na.jpg,0,0,0\n")
    with pytest.raises(OptionError) as caught:
        load_dataset("waterbirds", tmp_path, DatasetOptions(class_names=names))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "classes", [[["a dog."], ["a cat.", "kitten"]], {"1": ["a cat.", "kitten"], "0": ["a dog."]}]
)
def test_prompts_take_the_place_of_prompts(root: Path, classes):
    (root / "prompts.json").write_text(
        json.dumps({"classes": classes, "attributes": [["x"], ["y"]]})
    )
    manifest = load(root, prompts=root / "prompts.json")
    assert manifest.class_names == ("0", "1")
    assert manifest.class_prompts == (("a dog.",), ("a cat.", "kitten"))
    assert manifest.attribute_prompts == (("x",), ("y",))


FORM = 'expected {"classes": [["a photo of a dog."], ["a photo of a cat."]], "attributes": [..]}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", f"ROOT/p.json holds list, {FORM}"),
        ("{}", f"ROOT/p.json holds nothing, {FORM}"),
        ('{"class": []}', f"ROOT/p.json holds class, {FORM}"),
        (
            '{"classes": [["x"]]}',
            "ROOT/p.json: 'classes' needs 2 lists, one for each of 0, 1",
        ),
        (
            '{"classes": {"0": ["x"], "2": ["y"]}}',
            "ROOT/p.json: 'classes' has 0, 2, expected 0, 1",
        ),
        (
            '{"attributes": [["x"], "y"]}',
            "ROOT/p.json: 'attributes' of '1' is 'y', expected a list of names or sentences",
        ),
        (
            '{"classes": [["x"], []]}',
            "ROOT/p.json: 'classes' of '1' is [], expected a list of names or sentences",
        ),
        (
            '{"classes": [["x"], [" "]]}',
            "ROOT/p.json: 'classes' of '1' is [' '], expected a list of names or sentences",
        ),
    ],
)
def test_refuses_prompts_of_another_form(root: Path, content: str, message: str):
    (root / "p.json").write_text(content)
    assert refusal(ExtractError, root, prompts=root / "p.json") == message


def test_refuses_prompts_that_are_no_json(root: Path):
    (root / "p.json").write_text("classes: dog")
    assert refusal(ExtractError, root, prompts=root / "p.json") == (
        f"ROOT/p.json is no JSON (Expecting value: line 1 column 1 (char 0)), {FORM}"
    )


def test_refuses_prompts_that_are_not_there(root: Path):
    assert refusal(ExtractError, root, prompts=root / "p.json") == (
        "ROOT/p.json: cannot read the prompts (No such file or directory)"
    )
