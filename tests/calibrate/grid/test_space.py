"""Search spaces: valid values, the order of the axes, and every error."""

from dataclasses import fields

import numpy as np
import pytest

from clip_cfr.calibrate.comparison.titles import format_settings
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.stage_spec import SHARED_SETTINGS
from clip_cfr.calibrate.grid.axes import Choices, Interval
from clip_cfr.calibrate.grid.space import (
    check_space,
    parse_assignment,
    read_space,
    search_space,
    sort_settings,
)
from clip_cfr.calibrate.methods import ALL_METHODS, METHODS, load_method

KNOWN = ", ".join(ALL_METHODS)


def space(*assignments, fixed_names=(), methods=("cfr",)):
    """Return the space of `--set` options."""
    return read_space(assignments, None, fixed=Settings(), fixed_names=fixed_names, methods=methods)


def message_of(function, *arguments, **keywords) -> str:
    """Return the message of the SettingsError that a call raises."""
    with pytest.raises(SettingsError) as error:
        function(*arguments, **keywords)
    return str(error.value)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "name", "values"),
        [
            ("lr=1e-4,1e-3", "lr", (1e-4, 1e-3)),
            ("identification-lr=1e-4", "identification_lr", (1e-4,)),
            ("identification_lr = 1e-4 , 2", "identification_lr", (1e-4, 2.0)),
            ("steps=10,20", "steps", (10, 20)),
            ("positive=dps,rps", "positive", ("dps", "rps")),
            ("nns_pool=all,64", "nns_pool", ("all", "64")),
            ("freeze-logit-scale=true,False", "freeze_logit_scale", (True, False)),
            ("calibration_size=none,0.5,100", "calibration_size", (None, 0.5, 100.0)),
        ],
    )
    def test_have_the_type_of_their_setting(self, text, name, values):
        assert space(text) == {name: Choices(values)}
        assert [type(each) for each in space(text)[name].values] == [type(v) for v in values]

    def test_every_setting_but_the_selection_can_be_varied_at_its_default(self):
        for each in fields(Settings):
            if each.name != "selection":
                text = f"{each.name}={each.default}"
                methods = (
                    next(m for m in ("cfr", *METHODS) if each.name in load_method(m).used_settings),
                )
                assert space(text, methods=methods) == {each.name: Choices((each.default,))}

    @pytest.mark.parametrize(
        ("method", "text", "used"),
        [
            ("erm", "lr=1", "erm_lr, erm_steps, batch_size, momentum, weight_decay, dropout, "),
            ("dfr", "erm_lr=1", "dfr_subsamples"),
            ("cfr", "dfr_subsamples=9", "identification_lr, identification_steps, lr, steps, "),
            ("zeroshot", "lr=1", "no setting at all"),
        ],
    )
    def test_that_the_method_ignores_are_refused(self, method, text, used):
        message = message_of(space, text, methods=(method,))
        name = text.partition("=")[0]
        assert message.startswith(f"--set {text}: {method} does not depend on {name}, ")
        assert used in message

    def test_that_no_method_depends_on_are_refused(self):
        assert message_of(space, "lr=1", methods=("erm", "dfr")) == (
            "--set lr=1: none of erm, dfr depends on lr; leave it out"
        )

    def test_that_one_of_the_methods_depends_on_are_kept(self):
        assert set(space("lr=1", "erm_lr=2", methods=("erm", "cfr"))) == {"lr", "erm_lr"}

    def test_of_every_method_exist(self):
        known = {each.name for each in fields(Settings)} - {"selection"}
        for name in METHODS:
            assert set(load_method(name).used_settings) <= known

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("lr=", "--set lr=: a value is missing"),
            ("lr=1,,2", "--set lr=1,,2: a value is missing"),
            ("lr=fast", "--set lr=fast: 'fast' is not a valid float."),
            ("steps=1.5", "--set steps=1.5: '1.5' is not a valid integer."),
            ("lr=0.1,0", "--set lr=0.1,0: lr is 0.0, expected above 0"),
            ("lr=nan", "--set lr=nan: lr is nan, expected a finite number above 0"),
            ("lr=none", "--set lr=none: 'none' is not a valid float."),
            ("dropout=1", "--set dropout=1: dropout is 1.0, expected at least 0 and at most 0.99"),
            ("positive=x", "--set positive=x: positive is 'x', expected one of: dps, rps"),
            (
                "nns_pool=0",
                "--set nns_pool=0: nns_pool is '0', expected all, minibatch or a number of rows",
            ),
            (
                "calibration_size=0.5:100",
                "--set calibration_size=0.5:100: the range 0.5:100 mixes fractions with numbers "
                "of rows; end it at 1, or begin it at 2",
            ),
            ("lr=1e-3,0.001", "--set lr=1e-3,0.001: 0.001 is given twice"),
        ],
    )
    def test_that_are_invalid_are_refused_with_the_message_of_calibrate(self, text, message):
        assert message_of(space, text) == message


class TestIntervals:
    def test_of_floats_above_0_are_logarithmic_if_they_span_a_factor_of_10(self):
        assert space("lr=1e-5:1e-2")["lr"] == Interval(1e-5, 1e-2)
        assert Interval(1e-5, 1e-4).log
        assert not Interval(1e-5, 9e-5).log
        assert not Interval(0.0, 1.0).log
        assert not Interval(1, 1000).log

    def test_of_integers_have_integer_bounds(self):
        found = space("batch_size=16:32")["batch_size"]
        assert (found.low, found.high) == (16, 32)
        assert isinstance(found.low, int)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("lr=1:1", "--set lr=1:1: the range 1:1 is empty, expected LOW:HIGH"),
            ("lr=1:", "--set lr=1:: a value is missing"),
            ("lr=0:1", "--set lr=0:1: lr is 0.0, expected above 0"),
            ("steps=1:2.5", "--set steps=1:2.5: '2.5' is not a valid integer."),
            (
                "lr=0.1:0.2,0.3",
                "--set lr=0.1:0.2,0.3: the range 0.1:0.2 is listed with other values; "
                "give the range alone",
            ),
            ("positive=a:b", "--set positive=a:b: positive is 'a:b', expected one of: dps, rps"),
        ],
    )
    def test_that_are_invalid_are_refused(self, text, message):
        assert message_of(space, text) == message


class TestNames:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("lr", "--set lr: expected NAME=VALUE,VALUE or NAME=LOW:HIGH"),
            (
                "temprature=1",
                "--set temprature=1: there is no setting 'temprature'; did you mean temperature?",
            ),
            (
                "colour=1",
                "--set colour=1: there is no setting 'colour'; calibrate --help lists them",
            ),
            (
                "selection=last,average",
                "--set selection=last,average: all points are ranked by one criterion; "
                "fix it with --selection",
            ),
        ],
    )
    def test_that_are_unknown_are_refused(self, text, message):
        assert message_of(space, text) == message

    def test_that_occur_twice_are_refused(self):
        expected = "--set calibration_size=2: calibration_size is varied already"
        assert message_of(space, "calibration-size=1", "calibration_size=2") == expected

    def test_that_an_option_fixes_are_refused(self):
        expected = "--set batch_size=1: batch_size is fixed by --batch-size; leave one out"
        assert message_of(space, "batch_size=1", fixed_names={"batch_size", "steps"}) == expected

    def test_are_required(self):
        expected = "nothing to vary: give --set NAME=VALUE,VALUE or --settings FILE"
        assert message_of(space) == expected

    def test_of_shared_stages_come_first(self):
        found = list(space("lr=1,2", "identification_lr=1,2", "positive=dps"))
        assert found == ["identification_lr", "lr", "positive"]
        names = sort_settings([each.name for each in fields(Settings)])
        assert set(names[: len(SHARED_SETTINGS)]) == set(SHARED_SETTINGS)

    def test_are_sorted_whatever_the_order_of_the_options(self):
        assert list(space("lr=1", "steps=2")) == list(space("steps=2", "lr=1"))


class TestPythonSpaces:
    def test_are_converted_to_axes_in_the_same_order(self):
        values = {
            "lr": [1e-4, 1],
            "identification_lr": np.geomspace(1e-4, 1e-3, 2),
            "steps": Interval(1, 5),
            "calibration_size": (None, 5),
            "positive": Choices(("dps",)),
        }
        found = check_space(values, Settings(), ("cfr",))
        assert found == {
            "identification_lr": Choices((1e-4, 1e-3)),
            "lr": Choices((1e-4, 1.0)),
            "steps": Interval(1, 5),
            "positive": Choices(("dps",)),
            "calibration_size": Choices((None, 5.0)),
        }
        assert list(found) == sort_settings(found)
        assert {type(each) for each in found["identification_lr"].values} == {float}

    def test_of_the_command_line_are_left_unchanged(self):
        parsed = space("lr=1e-4,1", "calibration_size=none,0.5", "steps=1:5")
        assert check_space(parsed, Settings(), ("cfr",)) == parsed

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({}, "nothing to vary: give a space such as {'lr': [1e-4, 1e-3]}"),
            ({"lr": []}, "space['lr']: a value is missing"),
            ({"lr": "1e-4"}, "space['lr']: expected an Interval or a list of values, found '1e-4'"),
            ({"lr": 1e-4}, "space['lr']: expected an Interval or a list of values, found 0.0001"),
            ({"lr": ["a"]}, "space['lr']: lr is 'a', expected float"),
            ({"steps": [1.5]}, "space['steps']: steps is 1.5, expected int"),
            ({"lr": [1e-3, 1e-3]}, "space['lr']: 0.001 is given twice"),
            ({"lr": [-1]}, "space['lr']: lr is -1.0, expected above 0"),
            ({"lr": Interval(2, 1)}, "space['lr']: the range 2:1 is empty, expected LOW:HIGH"),
            (
                {"positive": Interval(1, 2)},
                "space['positive']: positive is 1, expected str",
            ),
            (
                {"temprature": [1]},
                "space['temprature']: there is no setting 'temprature'; did you mean temperature?",
            ),
            (
                {"dfr_subsamples": [1]},
                "space['dfr_subsamples']: cfr does not depend on dfr_subsamples, only on "
                "identification_lr, ",
            ),
        ],
    )
    def test_that_are_invalid_are_refused(self, values, message):
        assert message_of(check_space, values, Settings(), ("cfr",)).startswith(message)

    @pytest.mark.parametrize(
        ("methods", "message"),
        [
            ((), f"methods is (), expected a list of: {KNOWN}"),
            ("cfr", f"methods is 'cfr', expected a list of: {KNOWN}"),
            (["mlp"], f"there is no method 'mlp', expected one of: {KNOWN}"),
        ],
    )
    def test_of_unknown_methods_are_refused(self, methods, message):
        assert message_of(check_space, {"lr": [1]}, Settings(), methods) == message


class TestSearchSpaces:
    def test_have_intervals_and_choices(self):
        found = search_space("jtt")
        assert found["erm_lr"] == Interval(1e-4, 1e-1)
        assert found["erm_lr"].log
        assert found["jtt_upweight"] == Choices((5, 10, 20, 50, 100))
        assert search_space("cfr")["init"] == Choices(("clip", "identification"))

    @pytest.mark.parametrize("method", ["zeroshot", "dfr", "linear-probe", "wise-ft", "afr"])
    def test_are_empty_for_methods_that_train_nothing_or_choose_on_val(self, method):
        assert search_space(method) == {}

    @pytest.mark.parametrize("method", [each for each in METHODS if load_method(each).search])
    def test_are_valid(self, method):
        found = search_space(method)
        assert check_space(found, Settings(), [method]) == found


def test_a_value_may_hold_equal_signs():
    assert parse_assignment("positive=a=b").texts == ("a=b",)


def test_values_are_formatted_briefly():
    values = {"lr": 0.1 + 0.2, "steps": 4, "freeze_logit_scale": True, "calibration_size": None}
    expected = "lr 0.3, steps 4, freeze_logit_scale true, calibration_size none"
    assert format_settings(values) == expected
