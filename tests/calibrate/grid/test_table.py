"""The leaderboard as a table: cells, notes, narrow terminals and other formats."""

import csv
from io import StringIO

from rich.console import Console

from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.result import GridResult
from clip_cfr.calibrate.grid.table import render_grid
from tests.calibrate.grid.results import make_point, make_result


def text_of(result, width=160) -> str:
    """Return what a terminal of some width shows."""
    console = Console(width=width, file=StringIO())
    console.print(render_grid(result))
    return console.file.getvalue()


def rows_of(result) -> list[list[str]]:
    """Return the words of each line."""
    return [line.split() for line in text_of(result).splitlines()]


class TestRows:
    def test_are_the_complete_points(self):
        rows = rows_of(make_result())
        first = ["1", "CFR", "0.1", "62.5", "±", "17.7", "25.0", "±", "35.4", "25.0"]
        assert first in [row[:10] for row in rows]
        assert [row[:3] for row in rows if row[:1] == ["3"]] == [["3", "CFR", "0.001"]]

    def test_of_references_are_marked(self):
        result = make_result()
        rows = [row[:4] for row in rows_of(result) if row[:1] == ["ref"]]
        assert rows == [["ref", "zero-shot", "-", "25.0"], ["ref", "ERM", "-", "50.0"]]
        note = "ref: a reference at the fixed settings with the same seeds; not ranked."
        assert note in text_of(result)

    def test_that_inferred_groups_rank_have_their_definition_below(self):
        note = "inferred-groups: the mean of worst-class accuracy, average accuracy, and mean"
        ranked = {
            fixed: text_of(make_result(fixed=Settings(selection=fixed)))
            for fixed in ("inferred-groups", "worst-class")
        }
        assert [note in each for each in ranked.values()] == [True, False]

    def test_of_a_cache_with_class_means_are_not_called_zero_shot(self):
        text = text_of(make_result(class_embeddings="class means"))
        assert "class means" in text
        assert "zero-shot" not in text

    def test_of_a_method_that_trains_on_the_validation_split_have_no_place(self):
        points = [
            make_point(0, method="dfr", settings={}, val=(1.0,), test=(0.5,)),
            make_point(0, val=(0.5,), test=(0.5,)),
        ]
        result = make_result(points, methods=("cfr", "dfr"))
        rows = [row[:4] for row in rows_of(result)]
        assert ["1", "CFR", "0.001", "50.0"] in rows
        assert ["-", "DFR", "-", "100.0"] in rows
        assert (
            "DFR trains on the validation split with its group labels: shown, not ranked."
            in text_of(result)
        )

    def test_leave_out_settings_of_one_value(self):
        space = {"lr": [1e-4, 1e-3], "temperature": [0.5]}
        assert "temperature" not in text_of(make_result(space=space))

    def test_are_headed_by_class_if_images_have_no_attribute(self):
        assert "test worst group" in text_of(make_result())
        result = make_result(has_attributes=False)
        assert "test worst class" in text_of(result)
        assert "worst group" not in text_of(result)
        assert GridResult.from_json(result.to_json()) == result

    def test_stop_after_the_first_points(self):
        points = [make_point(i, val=(0.5,), test=(0.5,), lr=(i + 1) / 100) for i in range(25)]
        interval = {"lr": {"low": 0.001, "high": 1.0, "log": True}}
        text = text_of(make_result(points, space=interval))
        assert "Not shown: 5 more; all are in leaderboard.csv." in text
        assert " 20 " in text


class TestNotes:
    def test_say_what_is_left_out(self):
        text = text_of(make_result())
        assert "Not shown: 1 pruned; all are in leaderboard.csv." in text
        assert "Failed: lr 0.0001: seed 0: CFR diverged" in text

    def test_name_the_method_of_a_failed_point_where_there_are_several(self):
        points = [make_point(0, state="failed", reason="CFR diverged")]
        text = text_of(make_result(points, methods=("cfr", "erm")))
        assert "Failed: CFR, lr 0.001: CFR diverged" in text

    def test_name_a_failed_reference(self):
        erm = make_point(0, method="erm", settings={}, state="failed", reason="ERM diverged")
        assert "Failed: ERM: ERM diverged" in text_of(make_result(references=(erm,)))


def test_brackets_in_names_are_not_markup():
    reason = "the identification head misclassifies 0 training rows ([/b] 0, [red]dog 0)"
    points = [make_point(0, state="failed", reason=reason)]
    text = text_of(make_result(points, dataset="[/set]"))
    assert reason in text
    assert "[/set]: CFR, accuracy in per cent" in text


def test_a_narrow_terminal_shows_whole_cells():
    text = text_of(make_result(), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "62.5 ± 17.7" in text


def test_markdown_and_latex_have_the_same_cells():
    result = make_result()
    assert "| 1 | CFR | 0.1 | 62.5 ± 17.7 |" in render_grid(result, "markdown")
    assert r"1 & CFR & 0.1 & 62.5 $\pm$ 17.7 &" in render_grid(result, "latex")


def test_csv_has_the_rows_of_the_data_frame():
    result = make_result()
    rows = list(csv.DictReader(StringIO(render_grid(result, "csv"))))
    assert len(rows) == len(result.to_frame())
    assert list(rows[0]) == list(result.to_frame().columns)
    assert float(rows[0]["value"]) == 0.75
