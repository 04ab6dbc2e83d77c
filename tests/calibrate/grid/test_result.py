"""Results of grids: means, JSON, data frame, and the command of the best point."""

import builtins
import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from clip_cfr.cache.runs.encoding import json_bytes
from clip_cfr.cache.runs.grid import write_grid
from clip_cfr.calibrate.commands.calibrate import calibrate
from clip_cfr.calibrate.commands.options import make_settings
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.point_result import METRICS, SPLITS
from clip_cfr.calibrate.grid.result import GridResult, read_grid_result
from tests.calibrate.grid.results import make_point, make_result

ARCHIVES = Path(__file__).parent / "archives"


class TestPoint:
    def test_has_means_and_deviations_over_seeds(self):
        point = make_point(0, val=(0.75, 0.5), test=(0.0, 0.5))
        assert point.val["worst_class"] == 0.625
        assert point.test["worst_group_std"] == pytest.approx(0.5 / 2**0.5)

    def test_has_no_deviation_of_one_seed(self):
        assert set(make_point(0, val=(0.5,), test=(0.5,)).val) == set(METRICS)

    def test_has_no_accuracy_without_a_run(self):
        point = make_point(0, state="failed", reason="CFR diverged")
        assert (point.val, point.test, point.to_json()["n"]) == (None, None, 0)


class TestJson:
    def test_is_read_back(self):
        result = make_result()
        text = json_bytes("grid.json", result.to_json())
        assert GridResult.from_json(json.loads(text)) == result

    def test_has_every_key(self):
        result = make_result().to_json()
        assert result["counts"] == {"complete": 3, "pruned": 1, "failed": 1}
        assert (result["method"], result["methods"]) == ("cfr", ["cfr"])
        assert result["metric"] == "inferred_groups"
        assert result["study"] == {
            "storage": "study.db",
            "name": "grid",
            "names": {"cfr": "grid"},
        }
        assert set(result["settings"]) == set(asdict(Settings())) - {"lr"}
        assert [row["method"] for row in result["references"]] == ["zeroshot", "erm"]
        assert set(result["points"][0]) == {
            *("method", "point", "state", "settings", "n", "val", "test", "runs", "seconds"),
            "reason",
        }

    def test_of_several_methods_has_no_single_one(self):
        studies = {"cfr": "grid-cfr", "erm": "grid-erm"}
        result = make_result(methods=("cfr", "erm"), studies=studies).to_json()
        assert (result["method"], result["methods"]) == (None, ["cfr", "erm"])
        assert result["study"] == {"storage": "study.db", "name": None, "names": studies}

    def test_of_an_earlier_version_is_read(self):
        old = json.loads((ARCHIVES / "grid-of-one-method.json").read_text())
        result = GridResult.from_json(old)
        assert result.methods == ("cfr",)
        assert result.references == ()
        assert result.studies == {"cfr": "grid"}
        new = result.to_json()
        assert {key: new[key] for key in old if key not in ("best", "points", "study")} == {
            key: old[key] for key in old if key not in ("best", "points", "study")
        }
        for row, expected in zip(new["points"], old["points"], strict=True):
            for accuracies in (
                each for run in (expected, *expected["runs"]) for each in run.items()
            ):
                if accuracies[0] in SPLITS and accuracies[1]:
                    accuracies[1].update(inferred_groups=None, worst_named_group=None)
            assert row == {"method": "cfr", **expected}
        assert (new["best"]["point"], new["best"]["settings"]) == (
            old["best"]["point"],
            old["best"]["settings"],
        )
        # The best point's command computes the same: of old, one ERM stage had both purposes.
        assert " --identification-lr 0.0003 --identification-steps 200 " in new["best"]["command"]
        assert " --erm-lr 0.0003 --erm-steps 200 " in new["best"]["command"]
        assert "-source" not in new["best"]["command"]

    def test_of_something_else_is_refused(self, tmp_path):
        write_grid(tmp_path, {"digest": "00"}, {})
        with pytest.raises(CalibrationError) as error:
            read_grid_result(tmp_path)
        assert str(error.value) == (
            f"{tmp_path / 'grid.json'}: expected the result of a grid, found JSON without it "
            "(KeyError('method'))"
        )

    def test_of_a_folder_is_read(self, tmp_path):
        result = make_result()
        write_grid(tmp_path, result.to_json(), {})
        assert read_grid_result(tmp_path) == result


class TestFrame:
    def test_has_one_row_for_each_metric_split_and_seed(self):
        result = make_result()
        frame = result.to_frame()
        assert list(frame.columns) == [
            *("reference", "method", "point", "lr", "seed", "split", "metric", "value"),
        ]
        assert len(frame) == (3 + 2) * 2 * 2 * len(METRICS)
        best = frame[(frame.point == 3) & (frame.metric == "worst_group") & (frame.split == "val")]
        assert list(best.value) == [0.75, 0.5]
        assert list(frame[frame.reference].method.unique()) == ["zeroshot", "erm"]
        assert frame[frame.reference].lr.isna().all()

    def test_without_pandas_names_the_extra(self, monkeypatch):
        import_module = builtins.__import__

        def refuse_pandas(name, *arguments, **keywords):
            if name == "pandas":
                raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
            return import_module(name, *arguments, **keywords)

        monkeypatch.setattr(builtins, "__import__", refuse_pandas)
        with pytest.raises(ModuleNotFoundError) as error:
            make_result().to_frame()
        expected = "to_frame needs pandas; install it with: pip install 'clip-cfr[frame]'"
        assert str(error.value) == expected


class TestBest:
    def test_is_the_first_point_with_its_command(self):
        assert make_result().to_json()["best"] == {
            "method": "cfr",
            "point": 3,
            "settings": {"lr": 0.1},
            "command": "clip-cfr calibrate --cache 'my cache.h5' --lr 0.1 --seeds 2",
        }

    @pytest.mark.parametrize(
        ("seeds", "options"),
        [
            ((0, 5), ["", " --seed 5"]),
            ((3, 4, 0, 2), [" --seed 3 --seeds 2", "", " --seed 2"]),
            ((1, 0), [" --seed 1", ""]),
        ],
    )
    def test_has_a_command_for_each_run_of_consecutive_seeds(self, seeds, options):
        start = "clip-cfr calibrate --cache 'my cache.h5' --lr 0.1"
        expected = " && ".join(f"{start}{each}" for each in options)
        assert make_result(seeds=seeds).best_command == expected

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
            ({"prompts": "name"}, ["--lr", "0.1", "--prompts", "name", "--seeds", "2"]),
        ],
    )
    def test_has_a_command_with_fixed_settings_that_are_not_the_default(self, changes, words):
        found = shlex.split(make_result(**changes).best_command)
        assert found[: 4 + len(words)] == [
            "clip-cfr",
            "calibrate",
            "--cache",
            "my cache.h5",
            *words,
        ]

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"lr": Settings().lr}, ["--lr", "0.003"]),
            ({"freeze_logit_scale": False}, ["--no-freeze-logit-scale"]),
            ({"positive": "dps", "lr": 0.5}, ["--lr", "0.5", "--positive", "dps"]),
            ({"calibration_size": None}, []),
        ],
    )
    def test_has_a_command_with_every_varied_setting(self, settings, words):
        point = make_point(0, settings=settings, val=(0.5,), test=(0.5,))
        space = {name: [value] for name, value in settings.items()}
        command = shlex.split(make_result([point], space=space).best_command)
        assert command[4:] == [*words, "--seeds", "2"]

    def test_of_another_method_names_it(self):
        point = make_point(0, method="dfr", settings={}, val=(0.5,), test=(0.5,))
        command = shlex.split(make_result([point], methods=("dfr",)).best_command)
        assert command[4:6] == ["--method", "dfr"]

    def test_has_a_command_that_calibrate_parses_to_its_settings(self):
        settings = Settings(
            lr=3e-7, steps=7, positive="rps", nns_pool="64", freeze_logit_scale=True, dropout=0.0
        )
        point = make_point(0, val=(0.5,), test=(0.5,), lr=3e-7)
        result = make_result([point], fixed=settings, space={"lr": [3e-7]}, seeds=(4,))
        context = calibrate.make_context("calibrate", shlex.split(result.best_command)[2:])
        parsed = {name: context.params[name] for name in asdict(settings)}
        assert make_settings(context, None, parsed) == settings
        assert str(context.params["path"]) == "my cache.h5"
        assert (context.params["seed"], context.params["seeds"]) == (4, 1)

    def test_names_a_selection_that_is_not_the_default_of_named_attributes(self):
        named = {"options": ["--attribute", "red", "--attribute", "green"]}
        for selection, words in (
            ("worst-class", ["--selection", "worst-class"]),
            ("worst-named-group", []),
        ):
            point = make_point(0, settings={}, val=(0.5,), test=(0.5,))
            result = make_result([point], fixed=Settings(selection=selection), space={})
            command = shlex.split(replace(result, named=named).best_command)
            assert command[4:-2] == [*words, *named["options"]]

    def test_is_none_if_every_point_failed(self):
        result = make_result([make_point(0, state="failed", reason="CFR diverged")])
        assert (result.best, result.best_command, result.to_json()["best"]) == (None, None, None)
        with pytest.raises(CalibrationError) as error:
            result.check_any_complete()
        assert str(error.value) == "no point could be fitted: CFR diverged"


class TestNote:
    def test_says_how_the_best_was_chosen(self):
        assert make_result().note == (
            "The best of 3 points is chosen by val inferred-groups: the maximum of many noisy "
            "values is optimistic. Test accuracies took no part in the choice."
        )

    def test_names_an_oracle(self):
        note = make_result(fixed=Settings(selection="worst-group")).note
        assert "val worst-group, which uses group labels (an oracle): " in note

    def test_counts_ranked_points_only(self):
        points = [
            make_point(0, method="dfr", val=(1.0,), test=(0.5,)),
            make_point(0, val=(0.5,), test=(0.5,)),
        ]
        result = make_result(points, methods=("cfr", "dfr"))
        assert result.note.startswith("The best of 1 points")
        assert replace(result, methods=("dfr",)).ranked_methods == ("dfr",)
