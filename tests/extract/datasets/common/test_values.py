import pytest

from clip_cfr.extract.datasets.common.values import (
    clean_text,
    is_missing,
    parse_flag,
    parse_number,
    parse_split,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" cat\u00a0", "cat"),
        ("'cat'", "cat"),
        ('"cat"', "cat"),
        ("“cat”", "cat"),
        ("''cat''", "'cat'"),
        ("cat's", "cat's"),
        ("'", "'"),
        ("\ufeffcat\u200b", "cat"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("sea  lion", "sea  lion"),
    ],
)
def test_names_are_stripped_composed_and_unquoted_once(text: str, expected: str):
    assert clean_text(text) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "nan", "NaN", "None", "null", "NULL", "N/A", "n/a", "#N/A", "NA", "<NA>", "?"]
)
def test_missing_values(text: str):
    assert is_missing(text)


@pytest.mark.parametrize("text", ["0", "no", "nano", "unknown", "Nana", "other"])
def test_other_values_are_not_missing(text: str):
    assert not is_missing(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("1.0", 1), ("-1", -1), ("-1.0", -1), ("+1", 1), ("01", 1), ("1e0", 1), ("2.", 2)],
)
def test_whole_numbers_in_every_spelling(text: str, number: int):
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["", "0.5", "cat", "1_0", "inf", "nan", "1-1", "n1", "1e999"])
def test_other_texts_are_not_whole_numbers(text: str):
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "flag"),
    [("True", True), ("TRUE", True), ("yes", True), ("Y", True), ("f", False), ("No", False)],
)
def test_flags(text: str, flag: bool):
    assert parse_flag(text) is flag


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        (0, ["train", "TRAIN", "Training", "train_set", "training split", "0", "0.0", "train2017"]),
        (1, ["val", "valid", "Validation", "dev", "eval", "1", "1.0", "val-set", "VALID"]),
        (2, ["test", "Testing", "TEST", "2", "2.0", "test data"]),
        (None, ["ood", "3", "-1", "id_val", "trainval", "", "fold", "extra"]),
    ],
)
def test_splits_in_every_spelling(code: int | None, texts: list[str]):
    assert {text: parse_split(text) for text in texts} == dict.fromkeys(texts, code)
