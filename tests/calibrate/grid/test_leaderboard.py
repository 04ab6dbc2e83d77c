"""Leaderboard, result and table of a grid: order, columns, and the command of the best point."""

import csv
import json
import shlex
from dataclasses import asdict
from datetime import datetime, timedelta
from io import StringIO

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from clip_cfr.cache.runs.encoding import csv_bytes, json_bytes
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.axes import Choices, Interval
from clip_cfr.calibrate.grid.leaderboard import columns, leaderboard
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.points import METRICS
from clip_cfr.calibrate.grid.result import refuse_no_result, summarise
from clip_cfr.calibrate.grid.table import render

SPACE = {"lr": Choices((1e-4, 1e-3, 1e-2, 1e-1, 1.0))}
BEGAN = datetime(2026, 1, 1)


def make_plan(**changes) -> Plan:
    given = {"cache": "0" * 64, "space": SPACE, "fixed": Settings(), "seeds": (0, 1), **changes}
    return Plan(**given)


def make_trial(number, state=TrialState.COMPLETE, val=(), test=(), lr=1e-3, reason=None):
    """A finished trial whose accuracies on a split are all the same."""
    runs = [
        {"seed": seed, "selected_step": 5, "val": dict.fromkeys(METRICS, v)}
        | {"test": dict.fromkeys(METRICS, t)}
        for seed, (v, t) in enumerate(zip(val, test, strict=True))
    ]
    notes = {"reason": reason} if reason else {"runs": runs}
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=sum(val) / len(val) if val else None,
        datetime_start=BEGAN,
        datetime_complete=BEGAN + timedelta(seconds=3),
        params={"lr": lr},
        distributions={"lr": FloatDistribution(0, 1)},
        user_attrs={"point": number, **notes},
        system_attrs={},
        intermediate_values={},
    )


def make_trials():
    return {
        0: make_trial(0, TrialState.FAIL, lr=1e-4, reason="seed 0: CFR diverged"),
        1: make_trial(1, val=(0.75, 0.25), test=(1.0, 1.0), lr=1e-3),
        2: make_trial(2, TrialState.PRUNED, lr=1e-2, reason="stopped at step 2 of 6"),
        3: make_trial(3, val=(0.75, 0.5), test=(0.0, 0.5), lr=1e-1),
        4: make_trial(4, val=(0.5, 0.75), test=(0.9, 0.9), lr=1.0),
        5: make_trial(5, TrialState.RUNNING),
    }


@pytest.fixture
def rows():
    return leaderboard(make_plan(), make_trials())


@pytest.fixture
def result(rows):
    return {"dataset": "toy", **summarise(make_plan(), rows, "my cache.h5", "study.db", "grid")}


def text_of(result, width=160) -> str:
    console = Console(width=width, file=StringIO())
    console.print(render(result))
    return console.file.getvalue()


class TestRows:
    def test_are_ranked_by_the_validation_criterion_alone_and_then_by_their_turn(self, rows):
        assert [row["point"] for row in rows] == [3, 4, 1, 2, 0]
        states = ["complete", "complete", "complete", "pruned", "failed"]
        assert [row["state"] for row in rows] == states

    def test_hold_means_deviations_and_each_seed(self, rows):
        best = rows[0]
        assert best["n"] == 2
        assert best["val"]["worst_class"] == 0.625
        assert best["test"]["worst_group_std"] == pytest.approx(0.5 / 2**0.5)
        assert [run["test"]["average"] for run in best["runs"]] == [0.0, 0.5]
        assert best["seconds"] == 3
        assert (rows[-1]["val"], rows[-1]["reason"]) == (None, "seed 0: CFR diverged")

    def test_have_no_deviation_of_one_seed(self):
        trials = {0: make_trial(0, val=(0.5,), test=(0.5,))}
        (row,) = leaderboard(make_plan(seeds=(0,)), trials)
        assert "worst_class_std" not in row["val"]

    def test_come_out_as_csv_that_is_read_back(self, rows):
        text = csv_bytes("leaderboard.csv", columns(make_plan(), rows)).decode()
        table = list(csv.DictReader(StringIO(text)))
        assert [row["point"] for row in table] == ["3", "4", "1", "2", "0"]
        assert [row["place"] for row in table] == ["1", "2", "3", "4", "5"]
        assert table[0]["lr"] == "0.1"
        assert float(table[0]["val_worst_class"]) == 0.625
        assert float(table[0]["test_worst_group_seed1"]) == 0.5
        assert table[3]["val_worst_class"] == table[3]["test_average_seed0"] == ""
        assert table[4]["reason"] == "seed 0: CFR diverged"

    def test_of_no_point_have_no_columns(self):
        assert columns(make_plan(), []) == {}


class TestResult:
    def test_is_json(self, result):
        assert json.loads(json_bytes("grid.json", result)) == result
        assert result["counts"] == {"complete": 3, "pruned": 1, "failed": 1}
        assert result["study"] == {"storage": "study.db", "name": "grid"}
        assert set(result["settings"]) == set(asdict(Settings())) - {"lr"}

    def test_names_the_best_point_with_its_command(self, result):
        assert result["best"] == {
            "point": 3,
            "settings": {"lr": 0.1},
            "command": "python cli.py calibrate --cache 'my cache.h5' --lr 0.1 --seeds 2",
        }

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({}, ["--lr", "0.1", "--seeds", "2"]),
            ({"seeds": (3, 4, 5)}, ["--lr", "0.1", "--seed", "3", "--seeds", "3"]),
            (
                {"fixed": Settings(freeze_logit_scale=True, calibration_size=0.5)},
                ["--lr", "0.1", "--freeze-logit-scale", "--calibration-size", "0.5"],
            ),
            ({"hold_rows": 500}, ["--lr", "0.1", "--hold-rows", "500", "--seeds", "2"]),
            ({"method": "dfr"}, ["--method", "dfr", "--lr", "0.1"]),
        ],
    )
    def test_has_a_command_with_what_differs_from_the_defaults(self, rows, changes, words):
        found = summarise(make_plan(**changes), rows, "c.h5", "", "")["best"]["command"]
        expected = ["python", "cli.py", "calibrate", "--cache", "c.h5", *words]
        assert shlex.split(found)[: len(expected)] == expected

    def test_has_a_command_that_calibrate_understands_as_the_point(self):
        from clip_cfr.cli import calibrate, make_settings

        given = Settings(
            lr=3e-7, steps=7, positive="rps", nns_pool="64", freeze_logit_scale=True, dropout=0.0
        )
        space = {"lr": Choices((3e-7,))}
        trials = {0: make_trial(0, val=(0.5,), test=(0.5,), lr=3e-7)}
        plan = make_plan(fixed=given, space=space, seeds=(4,))
        command = summarise(plan, leaderboard(plan, trials), "c d.h5", "", "")["best"]["command"]
        context = calibrate.make_context("calibrate", shlex.split(command)[3:])
        settings = {name: context.params[name] for name in asdict(given)}
        assert make_settings(context, None, settings) == given
        assert str(context.params["path"]) == "c d.h5"
        assert (context.params["seed"], context.params["seeds"]) == (4, 1)

    def test_says_what_the_selection_saw(self, rows):
        note = summarise(make_plan(), rows, "", "", "")["note"]
        assert note == (
            "The best of 3 points is chosen by val worst-class: the maximum of many noisy values "
            "is optimistic. Test accuracies took no part in the choice."
        )
        oracle = make_plan(fixed=Settings(selection="worst-group"))
        found = summarise(oracle, rows, "", "", "")["note"]
        assert "val worst-group, which uses group labels (an oracle): " in found

    def test_without_a_complete_point_is_an_error_with_its_reason(self):
        trials = {0: make_trial(0, TrialState.FAIL, reason="CFR diverged")}
        result = summarise(make_plan(), leaderboard(make_plan(), trials), "", "", "")
        with pytest.raises(CalibrationError) as error:
            refuse_no_result(result)
        assert str(error.value) == "no point could be fitted: CFR diverged"


class TestTable:
    def test_shows_the_complete_points(self, result):
        lines = [line.split() for line in text_of(result).splitlines()]
        assert ["1", "0.1", "62.5", "±", "17.7", "25.0", "±", "35.4", "25.0"] in [
            line[:9] for line in lines
        ]
        assert [line[:2] for line in lines if line[:1] == ["3"]] == [["3", "0.001"]]

    def test_says_what_it_does_not_show(self, result):
        text = text_of(result)
        assert "Not shown: 1 pruned; all are in leaderboard.csv." in text
        assert "Failed: lr 0.0001: seed 0: CFR diverged" in text

    def test_takes_names_in_brackets_as_they_are(self):
        reason = "the erm head gets 0 training rows wrong ([/b] 0, [red]dog 0)"
        trials = {0: make_trial(0, TrialState.FAIL, reason=reason)}
        result = summarise(make_plan(), leaderboard(make_plan(), trials), "", "", "")
        text = text_of({"dataset": "[/set]", **result})
        assert reason in text
        assert "[/set]: CFR, accuracy in per cent" in text

    def test_is_cut_after_the_first_points(self):
        trials = {
            point: make_trial(point, val=(0.5, 0.5), test=(0.5, 0.5), lr=(point + 1) / 100)
            for point in range(25)
        }
        plan = make_plan(space={"lr": Interval(0.001, 1.0)}, sampler="random", trials=25)
        result = summarise(plan, leaderboard(plan, trials), "", "", "")
        text = text_of({"dataset": "toy", **result})
        assert "Not shown: 5 more; all are in leaderboard.csv." in text
        assert " 20 " in text

    def test_fits_a_narrow_terminal(self, result):
        assert max(map(len, text_of(result, width=80).splitlines())) <= 80
        assert "62.5 ± 17.7" in text_of(result, width=80)

    def test_leaves_out_settings_of_one_value(self, rows):
        space = {**SPACE, "temperature": Choices((0.5,))}
        plan = make_plan(space=space)
        result = summarise(plan, rows, "", "", "")
        assert "temperature" not in text_of({"dataset": "toy", **result})
