"""Search spaces in YAML and JSON files, valid and invalid ones."""

import json

import pytest

from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.axes import Choices, Interval
from clip_cfr.calibrate.grid.space import read_space


def read_file(path, *assignments):
    """Return the space of a file and of `--set` options."""
    return read_space(assignments, path, fixed=Settings(), fixed_names=(), methods=("cfr",))


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a text to a file and reads the space in it."""

    def read(text, *assignments, name="space.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_file(path, *assignments)

    return read


def test_yaml_values_are_parsed_like_options(read):
    text = (
        "# a search\nlr: [1e-4, 1e-3]\nidentification-lr: 1e-4\npositive:\n  - dps\n  - rps\n"
        "steps: 16:32\n"
    )
    assert read(text) == {
        "identification_lr": Choices((1e-4,)),
        "lr": Choices((1e-4, 1e-3)),
        "steps": Interval(16, 32),  # not a sexagesimal number, as YAML 1.1 has it
        "positive": Choices(("dps", "rps")),
    }


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_read(read, indent):
    values = {"lr": [1e-4, 1], "freeze_logit_scale": [True, False], "calibration_size": [None, 5]}
    assert read(json.dumps(values, indent=indent), name="space.json") == {
        "freeze_logit_scale": Choices((True, False)),
        "lr": Choices((1e-4, 1.0)),
        "calibration_size": Choices((None, 5.0)),
    }


def test_options_add_axes_to_the_file(read):
    assert set(read("lr: [1, 2]", "steps=3")) == {"lr", "steps"}


@pytest.mark.parametrize(
    ("text", "assignments", "message"),
    [
        ("lr: 1\nlr: 2\n", (), "line 2, lr: lr is varied already"),
        ("lr: 1\n", ("lr=2",), "line 1, lr: lr is varied already"),
        ("steps: 5\ntemprature: 1\n", (), "line 2, temprature: there is no setting 'temprature'"),
        ("steps: 5\nlr:\n  - 0.1\n  - -1\n", (), "line 2, lr: lr is -1.0, expected above 0"),
        ("lr: []\n", (), "line 1, lr: a value is missing"),
        ("lr:\n", (), "line 1, lr: a value is missing"),
    ],
)
def test_invalid_settings_are_named_with_their_line(read, text, assignments, message):
    with pytest.raises(SettingsError) as error:
        read(text, *assignments)
    assert f"space.yaml, {message}" in str(error.value)


EXPECTED = "expected a mapping of settings to a value or a list of values"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f": {EXPECTED}, found nothing"),
        ("# nothing\n", f": {EXPECTED}, found nothing"),
        ("- lr\n", f": {EXPECTED}, found a list"),
        ("lr\n", f": {EXPECTED}, found a single value"),
        ("steps: 1\nlr: {a: 1}\n", f", line 2: {EXPECTED}, found a mapping"),
        ("lr: [[1], 2]\n", f", line 1: {EXPECTED}, found a list"),
        ("? [a, b]\n: 1\n", f", line 1: {EXPECTED}, found a list"),
        ("lr: [1, 2\nsteps: 1\n", f", line 2: expected ',' or ']', but got ':'; {EXPECTED}"),
        ("lr: &a [*a]\n", f", line 1: {EXPECTED}, found a list"),
        ("lr: *a\n", f", line 1: found undefined alias 'a'; {EXPECTED}"),
        ("[" * 20_000, f": nested too deeply; {EXPECTED}"),
        (b"lr: \xff\n", ": expected text in UTF-8, found other bytes"),
    ],
)
def test_a_file_without_a_mapping_is_refused(read, tmp_path, text, message):
    with pytest.raises(CalibrationError) as error:
        read(text)
    assert str(error.value) == f"{tmp_path / 'space.yaml'}{message}"
    assert not isinstance(error.value, SettingsError)


def test_control_characters_are_refused(read):
    with pytest.raises(CalibrationError, match=r"space\.yaml: unacceptable character"):
        read("lr: \x00\n")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CalibrationError) as error:
        read_file(tmp_path / "none.yaml")
    missing = tmp_path / "none.yaml"
    assert str(error.value) == f"{missing}: cannot be read: No such file or directory"
