"""A comparison over seeds, its summary, what a run folder keeps of it, and the table."""

import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from clip_cfr.calibrate.comparison.compare import compare
from clip_cfr.calibrate.comparison.record import heads, histories, versions
from clip_cfr.calibrate.comparison.summary import mean, summarise
from clip_cfr.calibrate.comparison.table import (
    advice,
    calibration_line,
    groups_table,
    methods_table,
)
from clip_cfr.calibrate.core.settings import SELECTIONS
from tests.calibrate.synthetic import quick_settings

NAMES = ("zeroshot", "erm", "cfr", "dfr")
SEEDS = [3, 4]


@pytest.fixture(scope="module")
def heard():
    """What `compare` told of its progress."""
    return []


@pytest.fixture(scope="module")
def outcomes(task, heard):
    few = quick_settings(calibration_size=20)  # so few that there is something to warn of
    found, failures = compare(task, few, NAMES, SEEDS, lambda *said: heard.append(said))
    assert failures == {}
    return found


@pytest.fixture(scope="module")
def summary(task, outcomes):
    return summarise(task, quick_settings(), outcomes, SEEDS)


@pytest.fixture(scope="module")
def result(summary):
    return {"dataset": "toy", **summary}


class TestCompare:
    def test_runs_every_method_with_every_seed(self, outcomes, heard):
        assert heard == [(name, seed) for name in NAMES for seed in SEEDS]
        seeds = {name: [each.experiment.seed for each in found] for name, found in outcomes.items()}
        assert seeds == dict.fromkeys(NAMES, SEEDS)

    def test_methods_of_a_seed_share_the_erm_stage(self, outcomes):
        assert outcomes["erm"][0].experiment is outcomes["cfr"][0].experiment

    def test_a_method_that_cannot_be_fitted_leaves_the_others(self, task):
        never = quick_settings(calibration_minimum=10_000)
        said = []
        found, failures = compare(
            task, never, ["zeroshot", "cfr"], SEEDS, lambda *each: said.append(each)
        )
        assert {name: len(done) for name, done in found.items()} == {"zeroshot": 2}
        assert "expected at least 10000 for a calibration set" in failures["cfr"]
        assert ("cfr", SEEDS[1]) not in said, "it failed with the first seed"


class TestSummary:
    def test_is_ready_for_json(self, summary):
        assert json.loads(json.dumps(summary, allow_nan=False)) == summary

    def test_is_so_where_training_has_none_of_the_test_groups(self, task):
        usual = task.labels == task.attributes
        apart = replace(task, valid=task.valid & (usual == (task.splits == 0)))
        found = summarise(
            apart,
            quick_settings(),
            compare(apart, quick_settings(), ["zeroshot"], SEEDS, lambda *_: None)[0],
            SEEDS,
        )
        json.dumps(found, allow_nan=False)
        assert found["methods"]["zeroshot"]["test"]["train_weighted_average"] is None
        assert "train_weighted_average_std" not in found["methods"]["zeroshot"]["test"]

    def test_holds_means_and_deviations_over_seeds(self, summary, outcomes):
        for name in NAMES:
            for selection in SELECTIONS:
                for split in ("val", "test"):
                    found = summary["methods"][name]["by_selection"][selection][split]
                    values = [o.metrics[selection][split]["worst_group"] for o in outcomes[name]]
                    assert found["worst_group"] == pytest.approx(np.mean(values))
                    assert found["worst_group_std"] == pytest.approx(np.std(values, ddof=1))

    def test_shows_the_chosen_selection_on_top(self, summary):
        for method in summary["methods"].values():
            chosen = method["by_selection"]["worst-class"]
            assert method["val"] == chosen["val"]
            bounds = method["test"]["worst_group_interval"]
            assert method["test"] == {**chosen["test"], "worst_group_interval": bounds}
            assert bounds[0] <= bounds[1]

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
            each.fitted.selected_steps["worst-class"] for each in outcomes["cfr"]
        ]

    def test_recommends_cfr_and_never_a_method_with_group_labels(self, summary):
        best = max(NAMES, key=lambda name: summary["methods"][name]["val"]["worst_class"])
        assert best == "dfr"
        assert summary["recommendation"]["method"] == "cfr"
        assert summary["methods"]["dfr"]["group_labels"] == "val"

    def test_names_the_seed_of_a_warning(self, summary):
        nearly_empty = "the calibration set is nearly empty (20 rows): CFR rests on few images"
        assert summary["warnings"] == [f"seed {seed}: {nearly_empty}" for seed in SEEDS]

    def test_of_one_seed_has_no_deviations(self, task, outcomes):
        first = {name: found[:1] for name, found in outcomes.items()}
        found = summarise(task, quick_settings(), first, SEEDS[:1])
        assert "worst_group_std" not in found["methods"]["cfr"]["test"]
        assert isinstance(found["calibration_set"]["size"], int)
        assert not any(each.startswith("seed") for each in found["warnings"])

    def test_without_cfr_has_no_calibration_set(self, task, outcomes):
        only = {"zeroshot": outcomes["zeroshot"]}
        found = summarise(task, quick_settings(), only, SEEDS)
        assert found["calibration_set"] is None
        assert found["recommendation"] is None

    def test_of_numbers_in_lists_is_taken_number_by_number(self):
        seeds = [{"n": 3, "groups": [{"accuracy": x}, {"accuracy": None}]} for x in (0.25, 0.75)]
        merged = mean(seeds)
        assert merged["n"] == 3
        assert merged["groups"][0]["accuracy"] == 0.5
        assert merged["groups"][1] == {"accuracy": None}


class TestRecord:
    def test_keeps_the_selected_head_of_every_run(self, outcomes, task):
        kept = heads(outcomes, "worst-class")
        assert list(kept) == [f"{name}-seed{seed}" for name in NAMES for seed in SEEDS]
        arrays, rows = kept["cfr-seed4"], task.rows("test")
        scores = task.features[rows] @ arrays["projection"] @ arrays["class_embeddings"].T
        right = scores.argmax(axis=1) == task.labels[rows]
        expected = outcomes["cfr"][1].metrics["worst-class"]["test"]["average"]
        assert right.mean() == pytest.approx(expected, abs=1 / len(rows))

    def test_keeps_the_log_of_what_trained(self, outcomes):
        kept = histories(outcomes)
        assert set(kept) == {f"{name}-seed{seed}" for name in ("erm", "cfr") for seed in SEEDS}
        assert kept["cfr-seed3"]["step"].tolist() == [10, 20, 30, 40, 50, 60]

    def test_keeps_versions(self):
        assert set(versions()) == {"python", "jax", "numpy", "optax", "scikit-learn"}


def text_of(table, width: int = 200) -> str:
    paper = StringIO()
    Console(width=width, file=paper).print(table)
    return paper.getvalue()


class TestTable:
    def test_shows_every_method_in_per_cent(self, result):
        text = text_of(methods_table(result))
        test = result["methods"]["cfr"]["test"]
        assert "toy: accuracy on the test split, in per cent" in text
        assert "heads selected by val worst-class" in text
        assert "mean ± standard deviation over 2 seeds" in text
        assert f"{100 * test['worst_group']:.1f} ± {100 * test['worst_group_std']:.1f}" in text
        assert all(name in text for name in ("zero-shot", "ERM", "CFR", "DFR"))

    def test_fits_a_narrow_terminal(self, result):
        text = text_of(methods_table(result), width=80)
        assert "…" not in text
        test = result["methods"]["dfr"]["test"]
        assert f"{100 * test['worst_group']:.1f} ± {100 * test['worst_group_std']:.1f}" in text

    def test_says_that_worst_group_selection_is_an_oracle(self, result):
        text = text_of(methods_table({**result, "selection": "worst-group"}))
        assert "worst-group (an oracle)" in text

    def test_shows_every_group(self, result):
        text = text_of(groups_table(result))
        counts = [str(each["n"]) for each in result["methods"]["erm"]["test"]["groups"]]
        assert all(count in text for count in counts)

    def test_recommends_in_one_sentence(self, result):
        found = {
            "method": "cfr",
            "criterion": "worst-class",
            "margin": 0.081,
            "interval": [0.02, 0.13],
            "over": "erm",
            "reason": "cfr beats erm on the validation split by more than noise",
        }
        assert advice({"recommendation": found}) == (
            "Recommendation: CFR; cfr beats erm on the validation split by more than noise "
            "(+8.1 points of worst-class accuracy over ERM, 95 % interval [+2.0, +13.0])."
        )
        assert ", an oracle over ERM" in advice(
            {"recommendation": {**found, "criterion": "worst-group"}}
        )

    def test_says_that_there_is_nothing_to_recommend(self):
        assert advice({"recommendation": None}) == (
            "Recommendation: none, there are no two methods without group labels to compare."
        )

    def test_describes_the_calibration_set(self):
        found = {"size": 41, "per_class": [20, 21], "per_group": [1, 19, 18, 3]}
        assert calibration_line({"calibration_set": found}) == (
            "Calibration set: 41 rows; per class [20, 21], per group [1, 19, 18, 3]."
        )
        assert calibration_line({"calibration_set": None}) is None
