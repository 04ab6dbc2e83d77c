"""Pure functions of the report, with values computed by hand."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.runs.run import Run
from clip_cfr.calibrate.comparison.group_tables import FEW_ROWS_NOTE, agreement_table
from clip_cfr.calibrate.comparison.trade import Share, Trade
from clip_cfr.calibrate.grid.calibrate_command import calibrate_command
from clip_cfr.calibrate.named.request import WordAttribute
from clip_cfr.calibrate.named.sentences import describe_agreement
from clip_cfr.calibrate.named.summary import GroupAgreement, SplitSummary
from clip_cfr.calibrate.report.cached_rows import choose_map_rows
from clip_cfr.calibrate.report.embeddings import centroid_cosines
from clip_cfr.calibrate.report.options import ReportOptions
from clip_cfr.calibrate.report.overview import make_overview
from clip_cfr.calibrate.report.pictures import Pictures, shrink, to_rgb
from clip_cfr.calibrate.report.plots.heat_maps import lines_of_row
from clip_cfr.calibrate.report.plots.lines import Line
from clip_cfr.calibrate.report.plots.plot import add_legend, finite, safe_json, wrap
from clip_cfr.calibrate.report.section import command_line
from clip_cfr.calibrate.report.sections import groups, recommendation, wrong_images
from clip_cfr.calibrate.report.source import RunSource, read_source
from tests.calibrate.comparison.test_tables import RESULT, TestWithoutAttributes


def test_rows_of_a_small_split_leave_their_share_to_others(rng):
    members = {"train": np.arange(100), "val": np.arange(100, 102), "test": np.arange(102, 202)}
    rows = choose_map_rows(rng, members, np.array([3, 7]), 41)
    counts = np.histogram(rows, [0, 100, 102, 202])[0]
    assert counts.tolist() == [13, 2, 26]
    assert {3, 7} <= set(rows.tolist())
    assert (np.diff(rows) > 0).all()


def test_all_rows_are_chosen_if_there_are_not_more(rng):
    members = {"train": np.arange(3), "val": np.arange(3, 4), "test": np.arange(4, 9)}
    assert choose_map_rows(rng, members, np.arange(0), 1000).tolist() == list(range(9))


def test_cosines_of_centroids():
    embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    found = centroid_cosines(embeddings, np.array([0, 0, 1]), 3)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found[:2, :2], [[1, half], [half, 1]])
    assert np.isnan(found[2]).all()


def test_a_picture_is_the_mean_over_its_pixels():
    pixels = np.arange(16.0).reshape(4, 4)[..., None].repeat(3, axis=2) / 16
    np.testing.assert_allclose(shrink(pixels, 2)[..., 0] * 16, [[2.5, 4.5], [10.5, 12.5]])


def test_grey_and_transparent_images_have_three_colours():
    assert to_rgb(np.zeros((2, 3), np.uint8)).shape == (2, 3, 3)
    assert to_rgb(np.zeros((2, 3, 4), np.float32)).shape == (2, 3, 3)
    np.testing.assert_allclose(to_rgb(np.full((1, 1), 65535, np.uint16)), 1.0)


def test_no_picture_from_outside_the_root_or_of_a_damaged_file(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret.png").write_bytes(b"")
    (tmp_path / "root" / "damaged.png").write_bytes(b"\x89PNG and no more")
    pictures = Pictures(tmp_path / "root", 5)
    pictures.take(["../secret.png", "damaged.png", "missing.png"], "of the map")
    assert pictures.urls == {}
    assert pictures.describe() == (
        "Pictures on this page: 0 of at most 5; 3 images could not be read."
    )


def test_json_cannot_end_its_script():
    assert safe_json({"a": "</script>&"}) == '{"a":"\\u003c/script\\u003e\\u0026"}'


def test_numbers_that_json_lacks_are_none():
    assert finite([1.23456, np.nan, np.inf, None], 2) == [1.23, None, None, None]


def test_labels_are_broken_between_words():
    assert wrap("a digit from zero to four, red") == ["a digit from zero to", "four, red"]


@pytest.mark.parametrize(("selected", "mark"), [(None, None), (25, (20, 2)), (5, (10, 1))])
def test_the_mark_is_the_last_evaluation_up_to_the_step(selected, mark):
    assert Line((10, 20, 30), (1, 2, 3), colour=0, selected=selected).mark == mark


def test_the_command_of_several_methods_names_each():
    command = calibrate_command(
        cache="a.h5",
        methods=["zeroshot", "cfr"],
        varied={},
        fixed={},
        seeds=[0, 1],
        hold_rows=None,
        prompts=None,
    )
    assert command.endswith("calibrate --cache a.h5 --method zeroshot --method cfr --seeds 2")


def test_a_missing_umap_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ModuleNotFoundError) as error:
        ReportOptions(map_method="umap").check()
    assert error.value.name == "umap"


def test_a_legend_has_as_many_columns_as_fit():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.add_subplot()
    for title in ("a", "group-reweighted LR, named groups", "DFR, named groups"):
        axes.bar([0], [1], label=title)
    add_legend(figure)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    heights = {round(each.get_window_extent().y0) for each in legend.get_texts()}
    assert len(heights) == 3, "one column"
    assert legend.get_window_extent().width <= figure.bbox.width


@pytest.mark.parametrize(
    ("agreements", "over_all", "text"),
    [
        ((), None, "The cache has no attribute, so their agreement with one is unknown."),
        ((None,), None, None),
        ((None, 0.9, 0.5), 0.7, "70.0 over all images, lowest in the group (cat, 2): 50.0 of 9."),
        ((1.0, 1.0), 1.0, "100.0 over all images."),
    ],
)
def test_agreement_is_told_where_it_is_known(agreements, over_all, text):
    groups = tuple(
        GroupAgreement("cat", str(index), "sun", 9, each) for index, each in enumerate(agreements)
    )
    lines = describe_agreement("test", SplitSummary((1,), 0, over_all, groups))
    assert [line.partition("per cent: ")[2] or line for line in lines] == ([text] if text else [])


def test_the_agreement_has_the_number_of_images_beside_it():
    groups = (
        GroupAgreement("cat", "day", "sun", 99, 0.5),
        GroupAgreement("cat", "x", None, 3, 0),
    )
    attribute = WordAttribute("light", ("sun", "moon"), (("sun",), ("moon",)))
    table = agreement_table(attribute, SplitSummary((1,), 0, 0.5, groups))
    assert table.header[:4] == ("class", "attribute", "named value", "n")
    assert table.rows == (("cat", "day", "sun", "99", "50.0"), ("cat", "x", "-", "3*", "0.0"))
    assert table.notes == (FEW_ROWS_NOTE,)


def test_lines_of_a_command_end_between_its_words():
    assert command_line("run --a-b 'x --c' <y>") == (
        "<pre tabindex=0><code>run <span class=option>--a-b</span> &#x27;x "
        "<span class=option>--c</span>&#x27; &lt;y&gt;</code></pre>"
    )


def test_labels_of_rows_have_two_lines_and_long_ones_an_ellipsis():
    assert lines_of_row("red") == ["red"]
    assert lines_of_row("a digit from zero to four, red") == ["a digit from zero to", "four, red"]
    assert lines_of_row("x" * 70) == [f"{'x' * 19}…{'x' * 19}"]


def test_confident_errors_have_attributes_only_if_the_cache_has_some(reported):
    source = read_source(reported.run, ReportOptions(rows=0), Pictures(reported.images, 99))
    source.pictures.take(wrong_images.picture_ids(source), "of confident errors")
    text = "".join(wrong_images.make(source).parts)
    assert "<th scope=col>attribute</th>" in text
    assert "<span>dog, attribute 0 → " in text
    groups = tuple((label, "any") for label, _ in source.result.cache.groups)
    cache = replace(source.result.cache, groups=groups)
    alone = replace(source, result=replace(source.result, cache=cache))
    text = "".join(wrong_images.make(alone).parts)
    assert "attribute" not in text
    assert "<span>dog → " in text


def source_of(result) -> RunSource:
    """Return the source of a run whose cache is not at hand."""
    run, pictures = Run({}, {}, {}), Pictures(None, 0)
    return RunSource(Path("run"), run, result, None, None, "gone", ReportOptions(), pictures)


def test_without_attributes_accuracies_are_those_of_classes():
    source = source_of(TestWithoutAttributes.alone)
    [sentence] = recommendation.test_sentence(source, "erm")
    assert sentence == "On the test split ERM has 65.0 % in the worst class and 80.0 % on average."
    section = groups.make(source)
    assert section.title == "Accuracy by class"
    overview = make_overview([source, source])
    assert ">worst class</th>" in overview.parts[0]
    assert overview.parts[1].title == "Worst-class accuracy on the test split, in per cent"
    assert section.parts[-1].title == "Accuracy by class on the test split, in per cent"


def test_where_val_cannot_decide_the_section_states_the_trade():
    share = Share(1, 2, (0.1, 0.9))
    advice = replace(RESULT.recommendation, method="erm", over="cfr")
    trade = Trade("cfr", "erm", share, replace(share, hits=0), ())
    result = replace(RESULT, recommendation=advice, trade=trade)
    source = source_of(result)
    assert recommendation.verdict(source) == "Use the head of ERM or of CFR."
    stated, reason, on_test = recommendation.gain_sentences(source)
    assert stated.startswith("ERM or CFR; val cannot decide, as it shares the correlations of ")
    assert reason == "CFR is better."
    assert on_test.startswith("On the test split CFR has ")
    assert "; ERM has " in on_test
    (files,) = recommendation.head_line(source)
    assert re.sub("<[^>]*>", "", files) == (
        "File of the head: run/heads/erm-seed0.npz or run/heads/cfr-seed0.npz"
    )
    plain = source_of(RESULT)
    assert recommendation.verdict(plain) == "Use the head of CFR."
    assert recommendation.gain_sentences(plain) == [reason, on_test]
    assert source.compared_method == plain.compared_method == "cfr"
