"""Predictions as text, and the file that they are written to."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from clip_cfr.cache.errors import CacheError, OutputError
from clip_cfr.extract.predict.classifier import Prediction
from clip_cfr.extract.predict.formats import render
from clip_cfr.extract.predict.output_file import reserve_file, write_lines

PREDICTIONS = [
    Prediction('a, "b".png', "a cat", 0.87654321, 0.75308642),
    Prediction("猫\n\r.png", "猫", 1.0, 1.0),
    Prediction("c.png", error="the file is empty"),
]
CLASSES = ("a cat", "猫")


def test_csv_is_read_back(tmp_path: Path):
    write_lines(tmp_path / "a.csv", render(PREDICTIONS, "csv", CLASSES))
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["image", "class", "probability", "margin", "error"],
            ['a, "b".png', "a cat", "0.876543", "0.753086", ""],
            ["猫\n\r.png", "猫", "1.0", "1.0", ""],
            ["c.png", "", "", "", "the file is empty"],
        ]


def test_json_lines_are_read_back():
    names = ("image", "class", "probability", "margin", "error")
    assert [tuple(json.loads(line).items()) for line in render(PREDICTIONS, "jsonl", CLASSES)] == [
        tuple(zip(names, values, strict=True))
        for values in (
            ('a, "b".png', "a cat", 0.876543, 0.753086, None),
            ("猫\n\r.png", "猫", 1.0, 1.0, None),
            ("c.png", None, None, None, "the file is empty"),
        )
    ]


def test_the_table_is_aligned_by_terminal_cells():
    assert list(render(PREDICTIONS, "table", CLASSES)) == [
        "class  probability  margin  image",
        'a cat        0.877   0.753  a, "b".png',
        "猫           1.000   1.000  猫\n\r.png",
        "                            c.png: the file is empty",
    ]


def test_a_name_that_is_not_utf8_is_escaped(tmp_path):
    write_lines(tmp_path / "a.csv", render([Prediction("\udcff.png", "x", 1.0, 1.0)], "csv", "x"))
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == r"\udcff.png,x,1.0,1.0,"


def test_lines_are_computed_as_they_are_taken():
    def one_then_error() -> Iterator[Prediction]:
        yield PREDICTIONS[0]
        raise AssertionError("taken too early")

    for form, count in (("table", 2), ("csv", 2), ("jsonl", 1)):
        lines = render(one_then_error(), form, CLASSES)
        assert len([next(lines) for _ in range(count)]) == count


def test_an_error_keeps_the_older_file(tmp_path):
    def failing() -> Iterator[str]:
        yield "line"
        raise KeyboardInterrupt

    path = tmp_path / "a.csv"
    path.write_text("image,class,probability,margin,error\n")
    with pytest.raises(KeyboardInterrupt), reserve_file(path, True, ()) as target:
        write_lines(target, failing())
    assert path.read_text() == "image,class,probability,margin,error\n"
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("content", "overwrite", "message"),
    [
        ("image,class,probability,margin,error\n", False, "the file exists; replace it with "),
        ("my notes", True, "exists and is not a file of predictions; name another one"),
    ],
)
def test_a_file_is_kept(tmp_path, content, overwrite, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(CacheError) as error, reserve_file(path, overwrite, ()):
        pass
    assert str(error.value).startswith(f"{path}: {message}")
    assert path.read_text() == content


def test_an_input_is_not_replaced(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("image,class,probability,margin,error\n")
    with pytest.raises(OutputError) as error, reserve_file(path, True, [path]):
        pass
    assert str(error.value) == f"--out {path} is one of the files to read; name another"
