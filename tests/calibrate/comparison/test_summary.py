"""A comparison over seeds, and the result that is made from it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.comparison.compare import compare
from clip_cfr.calibrate.comparison.cross_fit import cross_fit, draw_halves
from clip_cfr.calibrate.comparison.method_result import mean
from clip_cfr.calibrate.comparison.result import CacheSummary, Result
from clip_cfr.calibrate.comparison.summary import summarize
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import selections_of
from tests.calibrate.synthetic import quick_settings

OFFERED = selections_of(has_named=False)

NAMES = ("zeroshot", "erm", "cfr", "dfr")
SEEDS = [3, 4]


class Recorder:
    """A reporter that records the fits."""

    on_steps = None

    def __init__(self):
        self.fits = []

    def start_fit(self, method, seed):
        self.fits.append((method, seed))


@pytest.fixture(scope="module")
def recorder():
    return Recorder()


@pytest.fixture(scope="module")
def comparison(prepared, recorder):
    few = quick_settings(calibration_size=20)  # so few that there is something to warn of
    found = compare(prepared, few, NAMES, SEEDS, recorder)
    assert found.failures == {}
    return found


@pytest.fixture(scope="module")
def outcomes(comparison):
    return comparison.outcomes


def cache_of(task) -> CacheSummary:
    groups = tuple(task.group_name(group) for group in range(task.num_groups))
    prompts = (("a photo of class 0.",), ("a photo of class 1.", "class 1."))
    return CacheSummary("toy.h5", "toy", "none", groups, prompts, "prompts")


@pytest.fixture(scope="module")
def result(task, comparison) -> Result:
    return summarize(task, quick_settings(), comparison, SEEDS, cache_of(task))


@pytest.fixture(scope="module")
def summary(result):
    return result.to_json()


class TestCompare:
    def test_runs_every_method_with_every_seed(self, outcomes, recorder):
        assert recorder.fits == [(name, seed) for name in NAMES for seed in SEEDS]
        seeds = {name: [each.experiment.seed for each in found] for name, found in outcomes.items()}
        assert seeds == dict.fromkeys(NAMES, SEEDS)

    def test_methods_of_a_seed_share_the_erm_stage(self, outcomes):
        assert outcomes["erm"][0].experiment is outcomes["cfr"][0].experiment

    def test_a_method_that_cannot_be_fitted_leaves_the_others(self, prepared):
        never, recorder = quick_settings(calibration_minimum=10_000), Recorder()
        found = compare(prepared, never, ["zeroshot", "cfr"], SEEDS, recorder)
        assert {name: len(done) for name, done in found.outcomes.items()} == {"zeroshot": 2}
        assert "expected at least 10000 for a calibration set" in found.failures["cfr"]
        assert ("cfr", SEEDS[1]) not in recorder.fits, "it failed with the first seed"


class TestSummary:
    def test_is_ready_for_json(self, summary):
        assert json.loads(json.dumps(summary, allow_nan=False)) == summary

    def test_is_so_where_training_has_none_of_the_test_groups(self, task):
        usual = task.labels == task.attributes
        apart = replace(task, valid=task.valid & (usual == (task.splits == 0)))
        settings = quick_settings()
        done = compare(prepare(apart), settings, ["zeroshot"], SEEDS, Recorder())
        found = summarize(apart, settings, done, SEEDS, cache_of(apart)).to_json()
        json.dumps(found, allow_nan=False)
        assert found["methods"]["zeroshot"]["test"]["train_weighted_average"] is None
        assert "train_weighted_average_std" not in found["methods"]["zeroshot"]["test"]

    def test_holds_means_and_deviations_over_seeds(self, summary, outcomes):
        for name in NAMES:
            for selection in OFFERED:
                for split in ("val", "test"):
                    found = summary["methods"][name]["by_selection"][selection][split]
                    values = [o.metrics[selection][split].worst_group for o in outcomes[name]]
                    assert found["worst_group"] == pytest.approx(np.mean(values))
                    assert found["worst_group_std"] == pytest.approx(np.std(values, ddof=1))

    def test_shows_the_chosen_selection_on_top(self, summary):
        for method in summary["methods"].values():
            chosen = method["by_selection"]["inferred-groups"]
            assert method["val"] == chosen["val"]
            names = ("worst_group_interval", "worst_class_interval")
            intervals = {name: method["test"][name] for name in names}
            assert method["test"] == {**chosen["test"], **intervals}
            for name, (low, high) in intervals.items():
                first = method["seeds"][0]["by_selection"]["inferred-groups"]["test"]
                assert low < first[name.removesuffix("_interval")] < high

    def test_describes_the_calibration_sets(self, summary, outcomes, task):
        rows = [each.experiment.calibration_set.rows for each in outcomes["cfr"]]
        found = summary["calibration_set"]
        assert found["size"] == np.mean([len(each) for each in rows])
        groups = np.mean([np.bincount(task.groups[each], minlength=4) for each in rows], axis=0)
        assert found["per_group"] == groups.tolist()
        assert found["per_class"] == [sum(groups[:2]), sum(groups[2:])]

    def test_names_the_steps_that_were_selected(self, summary, outcomes):
        assert summary["methods"]["zeroshot"]["selected_steps"] is None
        assert summary["methods"]["cfr"]["selected_steps"] == [
            each.fitted.selected_steps["inferred-groups"] for each in outcomes["cfr"]
        ]

    def test_recommends_cfr_and_never_a_method_with_group_labels(self, summary):
        best = max(NAMES, key=lambda name: summary["methods"][name]["val"]["worst_class"])
        assert best == "dfr"
        assert summary["recommendation"]["method"] == "cfr"
        assert summary["methods"]["dfr"]["group_labels"] == "val"

    def test_compares_heads_on_validation_rows_that_did_not_select_them(
        self, summary, outcomes, task
    ):
        rows = task.rows("val")
        second = draw_halves(np.random.default_rng(SEEDS[0]), task.labels[rows], None)
        lowest = {}
        for name in ("erm", "cfr"):
            correct = [
                cross_fit(task, each.fitted.val_correct, "inferred-groups", second)
                for each in outcomes[name]
            ]
            labels = task.labels[rows]
            lowest[name] = min(np.mean(correct, axis=0)[labels == each].mean() for each in (0, 1))
        margin = summary["recommendation"]["margin"]
        assert margin == pytest.approx(lowest["cfr"] - lowest["erm"])

    def test_compares_with_one_method_on_test_if_asked(self, task, comparison, outcomes):
        settings = quick_settings()
        found = summarize(task, settings, comparison, SEEDS, cache_of(task), versus="erm")
        assert list(found.versus.differences) == ["zeroshot", "cfr", "dfr"]
        averages = [
            np.mean([each.metrics["inferred-groups"]["test"].average for each in outcomes[name]])
            for name in ("cfr", "erm")
        ]
        difference = found.versus.differences["cfr"]["average"]
        assert difference.difference == pytest.approx(averages[0] - averages[1])
        assert difference.is_beyond_noise
        assert Result.from_json(json.loads(json.dumps(found.to_json()))).versus == found.versus

    @pytest.mark.parametrize(
        ("fitted", "warning"),
        [
            (("cfr", "zeroshot"), "erm could not be fitted: no method is compared with it"),
            (("erm",), "no other method was fitted: nothing is compared with erm"),
        ],
    )
    def test_warns_if_there_is_nothing_to_compare(self, task, comparison, fitted, warning):
        few = replace(comparison, outcomes={name: comparison.outcomes[name] for name in fitted})
        found = summarize(task, quick_settings(), few, SEEDS, cache_of(task), versus="erm")
        assert found.versus is None
        assert warning in found.warnings

    def test_names_the_seed_of_a_warning(self, summary):
        assert summary["warnings"] == [
            "seeds 3, 4: the calibration set is nearly empty (20 rows): CFR relies on few images"
        ]

    def test_of_one_seed_has_no_deviations(self, task, comparison):
        first = {name: found[:1] for name, found in comparison.outcomes.items()}
        one = replace(comparison, outcomes=first)
        found = summarize(task, quick_settings(), one, SEEDS[:1], cache_of(task)).to_json()
        assert "worst_group_std" not in found["methods"]["cfr"]["test"]
        assert isinstance(found["calibration_set"]["size"], int)
        assert not any(each.startswith("seed") for each in found["warnings"])

    def test_without_cfr_has_no_calibration_set(self, task, comparison):
        only = replace(comparison, outcomes={"zeroshot": comparison.outcomes["zeroshot"]})
        found = summarize(task, quick_settings(), only, SEEDS, cache_of(task)).to_json()
        assert found["calibration_set"] is None
        assert found["recommendation"] is None

    def test_of_numbers_in_lists_is_taken_number_by_number(self):
        seeds = [{"n": 3, "groups": [{"accuracy": x}, {"accuracy": None}]} for x in (0.25, 0.75)]
        merged = mean(seeds)
        assert merged["n"] == 3
        assert merged["groups"][0]["accuracy"] == 0.5
        assert merged["groups"][1] == {"accuracy": None}


class TestResult:
    def test_comes_back_from_its_json(self, result):
        found = Result.from_json(json.loads(json.dumps(result.to_json())))
        assert found.to_json() == result.to_json()
        assert found.artifacts is None

    @pytest.mark.parametrize("values", [{}, {"methods": 3}, {"cache": "a.h5", "methods": {}}])
    def test_of_other_json_is_refused(self, values):
        with pytest.raises(CalibrationError, match="expected the result of a calibration, found"):
            Result.from_json(values)

    def test_has_the_metrics_of_each_seed(self, summary, outcomes):
        for name in NAMES:
            seeds = summary["methods"][name]["seeds"]
            assert [each["seed"] for each in seeds] == SEEDS
            for found, outcome in zip(seeds, outcomes[name], strict=True):
                for selection in OFFERED:
                    expected = outcome.metrics[selection]["test"].to_json()
                    assert found["by_selection"][selection]["test"] == expected

    def test_names_the_groups_in_the_order_of_their_index(self, summary, task):
        found = [(each["label"], each["attribute"]) for each in summary["groups"]]
        assert found == [task.group_name(group) for group in range(4)]

    def test_frame_has_one_row_for_each_metric(self, result, summary):
        frame = result.to_frame()
        chosen = frame[
            (frame.method == "cfr")
            & (frame.selection == "inferred-groups")
            & (frame.split == "test")
            & (frame.metric == "worst_group")
        ]
        assert chosen.seed.tolist() == SEEDS
        expected = summary["methods"]["cfr"]["test"]["worst_group"]
        assert chosen.value.mean() == pytest.approx(expected)
        groups = frame[frame.metric == "accuracy"]
        assert len(groups) == len(NAMES) * len(SEEDS) * len(OFFERED) * 2 * 4
        assert not groups.label.isna().any()

    def test_recommends_the_seed_that_is_best_on_val(self, result):
        values = {
            each.seed: each.by_selection["inferred-groups"].val.inferred_groups
            for each in result.methods["cfr"].seeds
        }
        assert result.recommended_head == ("cfr", max(values, key=values.get))

    def test_of_one_method_recommends_its_head(self, result):
        methods = {"cfr": result.methods["cfr"], "dfr": result.methods["dfr"]}
        found = replace(result, methods=methods, recommendation=None)
        assert found.recommended_head[0] == "cfr"
        only_dfr = replace(result, methods={"dfr": methods["dfr"]}, recommendation=None)
        assert only_dfr.recommended_head is None


class TestArtifacts:
    def test_hold_the_selected_head_of_every_run(self, result, outcomes, task):
        kept = result.artifacts.heads
        assert list(kept) == [(name, seed) for name in NAMES for seed in SEEDS]
        arrays, rows = kept["cfr", 4], task.rows("test")
        scores = task.features[rows] @ arrays["projection"] @ arrays["class_embeddings"].T
        right = scores.argmax(axis=1) == task.labels[rows]
        expected = outcomes["cfr"][1].metrics["inferred-groups"]["test"].average
        assert right.mean() == pytest.approx(expected, abs=1 / len(rows))

    def test_hold_the_log_of_what_trained(self, result):
        kept = result.artifacts.histories
        assert set(kept) == {(name, seed) for name in ("erm", "cfr") for seed in SEEDS}
        assert kept["cfr", 3]["step"].tolist() == [10, 20, 30, 40, 50, 60]

    def test_hold_predictions_and_calibration_rows(self, result, outcomes, task):
        found = result.artifacts.predictions["dfr", 3]["test"]
        assert found.correct(task).mean() == outcomes["dfr"][0].metrics["last"]["test"].average
        rows = result.artifacts.calibration_rows
        assert {seed: len(each) for seed, each in rows.items()} == {3: 20, 4: 20}
        for seed, predicted in result.artifacts.calibration_predictions.items():
            assert predicted.shape == (20,)
            assert (predicted != task.labels[rows[seed]]).all()
