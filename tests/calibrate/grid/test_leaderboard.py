"""The leaderboard: the order of the points, and their columns."""

import csv
from io import StringIO

from clip_cfr.cache.runs.encoding import csv_bytes
from clip_cfr.calibrate.grid.leaderboard import leaderboard_columns, sort_points
from tests.calibrate.grid.results import make_point, make_points, make_result


def read_csv(result) -> list[dict[str, str]]:
    """Return the rows of `leaderboard.csv`."""
    text = csv_bytes("leaderboard.csv", leaderboard_columns(result)).decode()
    return list(csv.DictReader(StringIO(text)))


class TestOrder:
    def test_is_by_the_validation_criterion_and_then_by_the_index(self):
        points = sort_points(make_points(), ("cfr",), "worst_class")
        assert [each.point for each in points] == [3, 4, 1, 2, 0]
        states = ["complete", "complete", "complete", "pruned", "failed"]
        assert [each.state for each in points] == states

    def test_is_across_methods(self):
        points = [
            make_point(0, val=(0.5,), test=(0.5,)),
            make_point(1, val=(0.75,), test=(0.5,)),
            make_point(0, method="erm", val=(0.625,), test=(0.5,)),
        ]
        found = sort_points(points, ("erm", "cfr"), "worst_class")
        assert [(each.method, each.point) for each in found] == [("cfr", 1), ("erm", 0), ("cfr", 0)]

    def test_puts_methods_that_train_on_the_validation_split_behind_the_others(self):
        points = [
            make_point(0, method="dfr", val=(1.0,), test=(0.5,)),
            make_point(0, val=(0.5,), test=(0.5,)),
        ]
        found = sort_points(points, ("dfr", "cfr"), "worst_class")
        assert [each.method for each in found] == ["cfr", "dfr"]


class TestColumns:
    def test_are_csv_that_is_read_back(self):
        rows = read_csv(make_result(references=()))
        assert [row["point"] for row in rows] == ["3", "4", "1", "2", "0"]
        assert [row["place"] for row in rows] == ["1", "2", "3", "4", "5"]
        assert {row["method"] for row in rows} == {"cfr"}
        assert rows[0]["lr"] == "0.1"
        assert float(rows[0]["val_worst_class"]) == 0.625
        assert float(rows[0]["test_worst_group_seed1"]) == 0.5
        assert rows[3]["val_worst_class"] == rows[3]["test_average_seed0"] == ""
        assert rows[4]["reason"] == "seed 0: CFR diverged"

    def test_of_references_come_last_and_have_no_place(self):
        rows = read_csv(make_result())[5:]
        assert [(row["place"], row["method"]) for row in rows] == [("", "zeroshot"), ("", "erm")]
        assert [row["reference"] for row in rows] == ["True", "True"]
        assert [row["lr"] for row in rows] == ["", ""]

    def test_are_the_same_for_methods_with_other_settings(self):
        points = [
            make_point(0, method="erm", settings={"erm_lr": 0.5}, val=(0.9,), test=(0.5,)),
            make_point(0, settings={"erm_lr": 0.5, "lr": 0.25}, val=(0.5,), test=(0.5,)),
        ]
        space = {"erm_lr": [0.5], "lr": [0.25]}
        rows = read_csv(make_result(points, space=space, methods=("erm", "cfr")))
        assert [(row["erm_lr"], row["lr"]) for row in rows[:2]] == [("0.5", ""), ("0.5", "0.25")]
        assert list(rows[0])[:7] == [
            "place",
            "method",
            "point",
            "state",
            "reference",
            "erm_lr",
            "lr",
        ]

    def test_without_rows_are_none(self):
        assert leaderboard_columns(make_result([], references=())) == {}
