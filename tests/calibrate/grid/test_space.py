"""The search space: what may be written, in which order it runs, and every refusal."""

from dataclasses import fields

import pytest

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.experiment import ERM_SETTINGS
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.axes import Choices, Interval, settings_text
from clip_cfr.calibrate.grid.space import ordered, parse_option, read_space


def space(*sets, fixed=None, options=(), method="cfr"):
    return read_space(sets, None, fixed or Settings(), options, method)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "name", "values"),
        [
            ("lr=1e-4,1e-3", "lr", (1e-4, 1e-3)),
            ("erm-lr=1e-4", "erm_lr", (1e-4,)),
            ("erm_lr = 1e-4 , 2", "erm_lr", (1e-4, 2.0)),
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
                method = "dfr" if each.name == "dfr_subsamples" else "cfr"
                assert space(text, method=method) == {each.name: Choices((each.default,))}

    @pytest.mark.parametrize(
        ("method", "text", "used"),
        [
            ("erm", "lr=1", "erm_lr, erm_steps, batch_size, momentum, weight_decay, dropout, "),
            ("dfr", "erm_lr=1", "dfr_subsamples"),
            ("cfr", "dfr_subsamples=9", "lr, steps, erm_lr, "),
            ("zeroshot", "lr=1", "no setting at all"),
        ],
    )
    def test_that_the_method_does_not_depend_on_are_refused(self, method, text, used):
        with pytest.raises(SettingsError) as error:
            space(text, method=method)
        name = text.partition("=")[0]
        begins = f"--set {text}: {method} does not depend on {name}, "
        assert str(error.value).startswith(begins)
        assert used in str(error.value)

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
    def test_are_refused_in_the_words_of_calibrate(self, text, message):
        with pytest.raises(SettingsError) as error:
            space(text)
        assert str(error.value) == message


class TestIntervals:
    def test_are_logarithmic_where_they_span_tenfold_above_zero(self):
        assert space("lr=1e-5:1e-2")["lr"] == Interval(1e-5, 1e-2)
        assert Interval(1e-5, 1e-4).log
        assert not Interval(1e-5, 9e-5).log
        assert not Interval(0.0, 1.0).log
        assert not Interval(1, 1000).log

    def test_of_whole_numbers_are_of_whole_numbers(self):
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
                "--set lr=0.1:0.2,0.3: the range 0.1:0.2 stands beside other values, "
                "expected alone",
            ),
            ("positive=a:b", "--set positive=a:b: positive is 'a:b', expected one of: dps, rps"),
        ],
    )
    def test_are_refused(self, text, message):
        with pytest.raises(SettingsError) as error:
            space(text)
        assert str(error.value) == message


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
                "--set selection=last,average: all points are judged by one criterion; "
                "fix it with --selection",
            ),
        ],
    )
    def test_that_are_no_settings_are_refused(self, text, message):
        with pytest.raises(SettingsError) as error:
            space(text)
        assert str(error.value) == message

    def test_occur_once(self):
        with pytest.raises(SettingsError) as error:
            space("erm-lr=1", "erm_lr=2")
        assert str(error.value) == "--set erm_lr=2: erm_lr is varied already"

    def test_are_not_fixed_as_well(self):
        with pytest.raises(SettingsError) as error:
            space("erm_lr=1", options={"erm_lr", "steps"})
        assert str(error.value) == ("--set erm_lr=1: erm_lr is fixed by --erm-lr; leave one out")

    def test_there_has_to_be_one(self):
        with pytest.raises(SettingsError) as error:
            space()
        assert str(error.value) == (
            "nothing to vary: give --set NAME=VALUE,VALUE or --settings FILE"
        )

    def test_that_the_erm_stage_depends_on_come_first(self):
        assert list(space("lr=1,2", "erm_lr=1,2", "positive=dps")) == ["erm_lr", "lr", "positive"]
        names = ordered([each.name for each in fields(Settings)])
        assert set(names[: len(ERM_SETTINGS)]) == set(ERM_SETTINGS)

    def test_do_not_depend_on_the_order_in_which_they_are_given(self):
        assert list(space("lr=1", "steps=2")) == list(space("steps=2", "lr=1"))


def test_an_option_keeps_equal_signs_of_its_value():
    assert parse_option("positive=a=b").texts == ("a=b",)


def test_values_are_shown_in_few_characters():
    values = {"lr": 0.1 + 0.2, "steps": 4, "freeze_logit_scale": True, "calibration_size": None}
    shown = "lr 0.3, steps 4, freeze_logit_scale true, calibration_size none"
    assert settings_text(values) == shown
