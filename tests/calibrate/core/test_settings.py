"""Settings: every one explained, every range kept, every message exact."""

import re
from dataclasses import fields, replace

import pytest

from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.presets import NOT_REPRODUCED, PRESETS
from clip_cfr.calibrate.core.settings import (
    POOL_WORDS,
    Settings,
    pool_rows,
)

FIELDS = {each.name: each for each in fields(Settings)}
CHOICES = {name: each for name, each in FIELDS.items() if each.metadata["choices"]}
RANGES = {name: each for name, each in FIELDS.items() if each.metadata["within"]}


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_is_described_in_sentences(name):
    text, source = (FIELDS[name].metadata[key] for key in ("help", "source"))
    assert re.fullmatch(r"[A-Z].*\.", text), text
    assert re.fullmatch(r"([A-Z].*\.)?", source), source


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_is_explained(name):
    text = FIELDS[name].metadata["help"]
    for choice in FIELDS[name].metadata["choices"]:
        assert re.search(rf"\b{choice}\b.*: ", text), f"{choice} in: {text}"


@pytest.mark.parametrize("name", sorted(PRESETS["release"]))
def test_a_default_that_differs_from_the_authors_code_says_so(name):
    released = PRESETS["release"][name]
    if released != FIELDS[name].default:
        shown = f"{released:,.4f}".rstrip("0").rstrip(".") if type(released) is float else released
        shown = f"{shown:,}" if type(shown) is int else shown
        assert shown in FIELDS[name].metadata["source"]


@pytest.mark.parametrize(
    "name",
    [n for n, each in FIELDS.items() if each.type is not bool and n not in POOL_WORDS],
)
def test_every_setting_has_a_range_or_choices(name):
    assert (name in RANGES) != (name in CHOICES)


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_kept(name):
    choices = FIELDS[name].metadata["choices"]
    for choice in choices:
        assert getattr(Settings(**{name: choice}), name) == choice
    with pytest.raises(SettingsError) as error:
        Settings(**{name: "other"})
    assert str(error.value) == f"{name} is 'other', expected one of: {', '.join(choices)}"


@pytest.mark.parametrize("name", RANGES)
def test_no_number_may_be_negative(name):
    with pytest.raises(SettingsError, match=rf"^{name} is -1, expected (above|at least) \d"):
        Settings(**{name: -1})


@pytest.mark.parametrize("name", [name for name in RANGES if FIELDS[name].type is float])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_every_number_is_finite(name, value):
    with pytest.raises(
        SettingsError, match=rf"^{name} is {value}, expected a finite number (above|at)"
    ):
        Settings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("lr", 0, "above 0"),
        ("erm_lr", 0.0, "above 0"),
        ("temperature", 0, "above 0"),
        ("logit_scale", 0, "above 0"),
        ("calibration_size", 0, "above 0"),
        ("calibration_size", 1.5, "a fraction up to 1, or a number of rows from 2"),
        ("steps", 0, "at least 1"),
        ("evaluations", 0, "at least 1"),
        ("num_negatives", 0, "at least 1"),
        ("calibration_minimum", 0, "at least 1"),
        ("momentum", 1.1, "at least 0 and at most 1"),
        ("dps_momentum", 2, "at least 0 and at most 1"),
        ("dropout", 1, "at least 0 and at most 0.99"),
        ("alpha", -0.1, "at least 0"),
    ],
)
def test_ranges_are_named(name, value, expected):
    with pytest.raises(SettingsError) as error:
        Settings(**{name: value})
    assert str(error.value) == f"{name} is {value}, expected {expected}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("momentum", 0),
        ("momentum", 1),
        ("weight_decay", 0),
        ("dropout", 0),
        ("dropout", 0.99),
        ("holistic_weight", 0),
        ("alpha", 0),
        ("steps", 1),
        ("calibration_size", None),
        ("calibration_size", 0.1),
        ("calibration_size", 500),
    ],
)
def test_bounds_belong_to_the_range(name, value):
    assert getattr(Settings(**{name: value}), name) == value


class TestPools:
    @pytest.mark.parametrize(
        ("name", "value", "rows"),
        [
            ("nns_pool", "all", None),
            ("nns_pool", "minibatch", None),
            ("nns_pool", "1", 1),
            ("nns_pool", 4096, 4096),
            ("negative_pool", "minibatch", None),
            ("negative_pool", "256", 256),
            ("negative_pool", 64, 64),
        ],
    )
    def test_are_a_word_or_a_number_of_rows(self, name, value, rows):
        assert pool_rows(Settings(**{name: value}), name) == rows

    def test_are_stored_in_one_form(self):
        """In that of earlier versions, so that their grids can be resumed."""
        assert Settings(negative_pool="256") == Settings(negative_pool=256)
        assert Settings(nns_pool="64") == Settings(nns_pool=64)
        assert (Settings(negative_pool="64").negative_pool, Settings(nns_pool=64).nns_pool) == (
            64,
            "64",
        )

    @pytest.mark.parametrize("value", ["0", "-3", "some", "", "1.5", str(2**31)])
    @pytest.mark.parametrize(
        ("name", "words"), [("nns_pool", "all, minibatch"), ("negative_pool", "minibatch")]
    )
    def test_are_nothing_else(self, name, words, value):
        with pytest.raises(SettingsError) as error:
            Settings(**{name: value})
        assert str(error.value) == f"{name} is {value!r}, expected {words} or a number of rows"


def test_a_wrong_setting_is_a_calibration_error():
    assert issubclass(SettingsError, CalibrationError)


def test_replacing_a_setting_checks_it():
    with pytest.raises(SettingsError, match="lr is -1, expected above 0"):
        replace(Settings(), lr=-1)


class TestPresets:
    def test_set_only_what_exists(self):
        for preset in PRESETS.values():
            assert Settings(**preset)

    def test_say_what_they_do_not_reproduce(self):
        assert set(NOT_REPRODUCED) == set(PRESETS)

    def test_the_release_s_are_as_far_as_known(self):
        """Facts of the official code; what is not listed is a default of ours and the same."""
        found = Settings(**PRESETS["release"])
        assert (found.lr, found.erm_lr, found.identification_lr) == (1e-4, 1e-4, 1e-4)
        assert (found.erm_steps, found.identification_steps) == (4000, 4000)
        assert (found.momentum, found.weight_decay) == (0.9, 1e-5)
        assert (found.steps, found.batch_size, found.calibration_batch_size) == (3700, 128, 128)
        assert (found.positive, found.positive_source, found.num_positives) == (
            "rps",
            "correct",
            16,
        )
        assert (found.num_negatives, found.temperature) == (16, 1)
        assert (found.holistic, found.holistic_weight, found.alpha) == ("supcon", 1, 1.5)
        assert (found.alpha_schedule, found.cross_entropy, found.init) == (
            "constant",
            "calibration",
            "clip",
        )
        assert (found.dropout, found.selection, found.supcon_temperature) == (
            0.1,
            "worst-group",
            0.07,
        )
        assert found.logit_scale == pytest.approx(1 / 0.07)
        assert not found.freeze_logit_scale


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("momentum", 0.9),
        ("weight_decay", 1e-5),
        ("batch_size", 128),
        ("calibration_batch_size", 128),
        ("positive", "dps"),
        ("negative", "rns"),
        ("num_positives", 16),
        ("num_negatives", 16),
        ("negative_pool", "minibatch"),
        ("positive_source", "correct"),
        ("holistic", "cosine"),
        ("alpha", 1),
        ("alpha_schedule", "constant"),
        ("nns_pool", "all"),
        ("dps_momentum", 0.9),
        ("dps_weighting", "none"),
        ("logit_scale", 1 / 0.07),
        ("freeze_logit_scale", False),
        ("dropout", 0.1),
        ("evaluations", 100),
        ("calibration_source", "identification"),
        ("calibration_size", None),
        ("calibration_fallback", "none"),
    ],
)
def test_defaults_that_the_paper_or_the_release_gives(name, value):
    assert getattr(Settings(), name) == value
