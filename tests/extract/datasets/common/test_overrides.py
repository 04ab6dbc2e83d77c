import json
from functools import partial
from pathlib import Path

import pytest

from clip_cfr.extract.errors import OptionError
from tests.extract.datasets import loading

load = partial(loading.load, "folder")
load_error = partial(loading.load_error, "folder")


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    (tmp_path / "metadata.csv").write_text("filename,y,a,split\na.jpg,0,0,0\nb.jpg,1,1,2\n")
    return tmp_path


def test_class_names_replace_names_and_prompts(root: Path):
    manifest = load(root, class_names=("dog", "a photo of a cat."))
    assert manifest.class_names == ("dog", "a photo of a cat.")
    assert manifest.class_prompts == (("dog",), ("a photo of a cat.",))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("a", "b", "c"),
            "--class-names has 3 names (a, b, c), expected 2, one for each class of waterbirds",
        ),
        (("a", "a"), "--class-names is 'a', 'a', expected distinct names that are not blank"),
        (("a", " "), "--class-names is 'a', ' ', expected distinct names that are not blank"),
    ],
)
def test_rejects_class_names_that_do_not_match(root: Path, names: tuple, message: str):
    assert loading.load_error("waterbirds", root, OptionError, class_names=names) == message


@pytest.mark.parametrize(
    "classes", [[["a dog."], ["a cat.", "kitten"]], {"1": ["a cat.", "kitten"], "0": ["a dog."]}]
)
def test_a_prompts_file_replaces_prompts_and_keeps_names(root: Path, classes):
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
        ("[1]", f" is a JSON list, {FORM}"),
        ("{}", f" is an empty object, {FORM}"),
        ('{"class": []}', f" is an object with the keys class, {FORM}"),
        ("classes: dog", f" is not valid JSON (Expecting value: line 1 column 1 (char 0)), {FORM}"),
        (
            '{"classes": [["x"]]}',
            ": 'classes' has 1 entries, expected 2 lists, one for each of 0, 1",
        ),
        (
            '{"classes": "x"}',
            ": 'classes' has 'x', expected 2 lists, one for each of 0, 1",
        ),
        (
            '{"classes": {"0": ["x"], "2": ["y"]}}',
            ": 'classes' has the keys 0, 2, expected 0, 1",
        ),
        (
            '{"attributes": [["x"], "y"]}',
            ": 'attributes' of '1' is 'y', expected a list of names or sentences",
        ),
        (
            '{"classes": [["x"], []]}',
            ": 'classes' of '1' is [], expected a list of names or sentences",
        ),
        (
            '{"classes": [["x"], [" "]]}',
            ": 'classes' of '1' is [' '], expected a list of names or sentences",
        ),
    ],
)
def test_rejects_prompts_of_another_form(root: Path, content: str, message: str):
    (root / "p.json").write_text(content)
    assert load_error(root, prompts=root / "p.json") == f"ROOT/p.json{message}"


def test_rejects_a_missing_prompts_file(root: Path):
    assert load_error(root, prompts=root / "p.json") == (
        "ROOT/p.json cannot be read (No such file or directory); check --prompts"
    )
