"""Attributes in words as given: their forms, and the message of each wrong one."""

import json

import pytest

from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.named.request import WordAttribute, read_attributes

PLACES = {"background": {"water": ["on water", "on a lake"], "land": "on land"}}
FORM = (
    'an object such as {"background": ["on water", "on land"]} or {"background": {"water": ["on '
    'water", "on a lake"], "land": ["on land"]}}'
)


def test_values_on_the_command_line_are_one_attribute():
    assert read_attributes(("on  water ", "on land")) == (
        WordAttribute("attribute", ("on water", "on land"), (("on water",), ("on land",))),
    )


def test_a_file_and_a_mapping_say_the_same(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**PLACES, "light": ["at night", "by day"]}))
    found = read_attributes(path)
    assert found == read_attributes({**PLACES, "light": ["at night", "by day"]})
    assert found[0].phrases == (("on water", "on a lake"), ("on land",))
    assert found[1].values == ("at night", "by day")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("on water",),
            "--attribute: expected at least two values to choose from, found only 'on water'; add "
            "another, as in --attribute 'on water' --attribute 'on land'",
        ),
        ({"light": {}}, "attributes: light: expected at least two values to choose from, found"),
        (
            {"place": {"a": ["On Water"], "b": ["a lake", "on water"]}},
            "attributes: place: the values 'a' and 'b' have the same phrase 'on water'; describe",
        ),
        (
            [f"word {index}" for index in range(3000)],
            "--attribute: expected at most 100 values, found 3,000: groups of so many would",
        ),
    ],
)
def test_values_that_cannot_be_told_apart_are_refused(given, message):
    with pytest.raises(SettingsError) as error:
        read_attributes(given)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", f"expected {FORM}, found [1]"),
        ("{}", f"expected {FORM}, found {{}}"),
        ('{"place": "on water"}', f'place: expected its values, as in {FORM}, found "on water"'),
        ('{"place": {"a": 3, "b": "x"}}', "place: a: expected a list of phrases, found 3"),
        (
            '{"place": {"a": [""], "b": "x"}}',
            'place: a: a phrase: expected a text that can be printed, found ""',
        ),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(CalibrationError) as error:
        read_attributes(path)
    assert str(error.value) == f"{path}: {message}"


def test_a_file_that_is_missing_or_no_json_is_refused(tmp_path):
    with pytest.raises(CalibrationError, match=r"a\.json: cannot be read: No such file"):
        read_attributes(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(CalibrationError, match=r"b\.json: expected JSON with an object such as"):
        read_attributes(tmp_path / "b.json")
