import json
from functools import partial
from pathlib import Path

import pytest

from clip_cfr.extract.datasets.common.overrides import parse_class_names
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.manifest import Sentence
from tests.extract.datasets import loading

load = partial(loading.load, "folder")
load_error = partial(loading.load_error, "folder")


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    (tmp_path / "metadata.csv").write_text("filename,y,a,split\na.jpg,0,0,0\nb.jpg,1,1,1\n")
    return tmp_path


def test_class_names_replace_names_and_prompts(root: Path):
    manifest = load(root, class_names=(" dog", "Panthera sp."))
    assert manifest.class_names == ("dog", "Panthera sp.")
    assert manifest.class_prompts == (("dog",), ("Panthera sp.",))
    assert not any(isinstance(entry, Sentence) for (entry,) in manifest.class_prompts)


@pytest.mark.parametrize(
    "names", [{"0": "dog"}, {"0.0": "dog"}, {"landbird": "dog"}, {"LandBird": "dog"}]
)
def test_new_names_by_old_ones_leave_the_others(root: Path, names: dict[str, str]):
    found = loading.load("folder", root, class_names=names) if "0" in min(names) else None
    if found is not None:
        assert found.class_names == ("dog", "1")
        assert found.class_prompts == (("dog",), ("1",))
    listed = root / "metadata.csv"
    listed.write_text(listed.read_text().replace(",0,0,0", ",landbird,0,0"))
    listed.write_text(listed.read_text().replace(",1,1,1", ",water_bird,1,1"))
    found = load(root, class_names=names)
    assert found.class_names == ("dog", "water_bird")
    assert found.class_prompts == (("dog",), ("water bird",))


def test_classes_with_equal_new_names_are_merged(root: Path, write_images):
    write_images(root, ["c.jpg", "d.jpg"])
    (root / "metadata.csv").write_text(
        "filename,label,split\na.jpg,Dog,0\nb.jpg,cat,1\nc.jpg,dog,2\nd.jpg,fox,0\n"
    )
    manifest = load(root, class_names={"Dog": "dog", "fox": "red fox"})
    assert manifest.class_names == ("dog", "cat", "red fox")
    assert manifest.rows.labels.tolist() == [0, 1, 0, 2]
    assert manifest.warnings == ()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("dog,cat", ("dog", "cat")),
        (" dog , 'cat' ", ("dog", "cat")),
        ('"dog, large",cat', ("dog, large", "cat")),
        ("U.K.,Example Ltd.", ("U.K.", "Example Ltd.")),
        ("0=dog,1=cat", {"0": "dog", "1": "cat"}),
        ("sea_lion = sea lion", {"sea_lion": "sea lion"}),
    ],
)
def test_parses_class_names(text: str, names):
    assert parse_class_names(text) == names


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("dog, large\n\n cat\n", ("dog, large", "cat")),
        ("\ufeffn01=dog, large\nn02=cat\n", {"n01": "dog, large", "n02": "cat"}),
        ('["a=b", "cat"]', ("a=b", "cat")),
        ('{"a=b": "dog", "c": "cat"}', {"a=b": "dog", "c": "cat"}),
    ],
)
def test_reads_class_names_from_a_file(tmp_path: Path, content: str, names):
    path = tmp_path / "names.txt"
    path.write_text(content, encoding="utf-8")
    assert parse_class_names(str(path)) == names
    assert parse_class_names(f"@{path}") == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a=b,c",
            "--class-names: found 'c', expected old=new like the others; write names that contain "
            "= as a JSON list in a file",
        ),
        (
            "a=b,c=",
            "--class-names: found 'c=', expected old=new like the others; write names that "
            "contain = as a JSON list in a file",
        ),
        ("a=b,a=c", "--class-names: an old name occurs twice, expected one new name for each"),
        ("cat,dog,cat", "--class-names has the name 'cat' twice, expected distinct names"),
        (
            "names.txt",
            "--class-names names.txt: expected two names or more, separated by commas, or old=new, "
            "or an existing file",
        ),
    ],
)
def test_rejects_class_names_of_another_form(text: str, message: str):
    with pytest.raises(OptionError) as error:
        parse_class_names(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"a": "dog", " a": "cat"}',
            "--class-names: an old name occurs twice, expected one new name for each",
        ),
        (
            '{"a": "dog", "a": "cat"}',
            "--class-names: an old name occurs twice, expected one new name for each",
        ),
        ('["a", "a "]', "--class-names has the name 'a' twice, expected distinct names"),
    ],
)
def test_rejects_repeated_names_in_json(tmp_path: Path, content: str, message: str):
    (tmp_path / "names.json").write_text(content)
    with pytest.raises(OptionError) as error:
        parse_class_names(str(tmp_path / "names.json"))
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("[" * 100_000, "is not valid JSON (maximum recursion depth exceeded"),
        ('{"a": {"b": "c"}}', "has values that are not text, expected a name, or old=new, in each"),
    ],
)
def test_rejects_nested_json(tmp_path: Path, content: str, found: str):
    path = tmp_path / "names.json"
    path.write_text(content)
    with pytest.raises(ExtractError) as error:
        parse_class_names(str(path))
    assert str(error.value).startswith(f"{path} {found}")


def test_only_a_prompts_file_has_sentences(root: Path):
    prompts = {"classes": [["a dog. ", "dog"], ["a cat."]], "attributes": [["x."], ["y"]]}
    (root / "p.json").write_text(json.dumps(prompts), encoding="utf-8-sig")
    manifest = load(root, prompts=root / "p.json")
    entries = (*manifest.class_prompts, *manifest.attribute_prompts)
    assert entries == (("a dog.", "dog"), ("a cat.",), ("x.",), ("y",))
    kinds = [[isinstance(entry, Sentence) for entry in each] for each in entries]
    assert kinds == [[True, False], [True], [True], [False]]


def test_prompts_may_be_given_by_names_in_another_spelling(root: Path):
    names = (root / "metadata.csv").read_text().replace(",0,0,0", ",Sea_Lion,0,0")
    (root / "metadata.csv").write_text(names.replace(",1,1,1", ",fox,1,1"))
    (root / "p.json").write_text('{"classes": {"fox": ["red fox"], "sea lion": ["eared seal"]}}')
    manifest = load(root, prompts=root / "p.json")
    assert manifest.class_prompts == (("eared seal",), ("red fox",))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("a", "b", "c"),
            "--class-names has 3 names (a, b, c), expected 2, one for each class of waterbirds",
        ),
        (("a", "a "), "--class-names is 'a', 'a', expected distinct names that are not blank"),
        (("a", " "), "--class-names is 'a', '', expected distinct names that are not blank"),
        (
            {"crow": "a"},
            "--class-names crow=...: waterbirds has no such class, found landbird, waterbird",
        ),
        (
            {"2": "a"},
            "--class-names 2=...: waterbirds has no such class, found landbird, waterbird",
        ),
        (
            {"landbird": "bird", "waterbird": "bird"},
            "--class-names leaves one class, 'bird', expected at least two",
        ),
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
            ": 'classes' has 1 entry, expected 2 lists, one for each of 0, 1",
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
        "ROOT/p.json cannot be read (No such file or directory); check the path"
    )
