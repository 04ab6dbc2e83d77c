"""The section on errors in words: its tables, its sentences, and the number of its rows."""

import re
from dataclasses import replace
from html import unescape

import pytest

from clip_cfr.calibrate.explain.result import (
    ClassErrorsExplained,
    Explanation,
    Slice,
    WordFinding,
)
from clip_cfr.calibrate.report.explained import ExplainedErrors, explain_errors
from clip_cfr.calibrate.report.options import ReportOptions
from clip_cfr.calibrate.report.pictures import Pictures
from clip_cfr.calibrate.report.sections.errors_in_words import (
    errors_table,
    make,
    picture_ids,
    slices_table,
    words_table,
)
from clip_cfr.calibrate.report.source import read_source

GREEN = WordFinding("green <b>", 0.2345, (0.1, 0.3), 0.5, 0.3, 0.004, 0.55, None)
TABBY = WordFinding("tabby", -0.2, (-0.3, -0.1), 0.5, 0.3, 0.0412, 0.95, "cat")
CAT = ClassErrorsExplained("cat", 1200, 30, {"erm": 0.975}, None, 1, (GREEN,), ())
DOG = ClassErrorsExplained("dog", 100, 0, {"erm": 1.0}, "no errors", 0, (), ())
SLICE = Slice("cat", 12, 6, {"erm": 0.5, "cfr": 0.75}, ("green <b>",), ("a.png", "b.png"))
ERM = Explanation(
    run="run",
    cache="toy.h5",
    dataset="toy",
    split="val",
    method="erm",
    seed=0,
    methods=("erm", "cfr"),
    num_words=102,
    level=0.05,
    permutations=1000,
    classes=(CAT, DOG),
    slices=(SLICE,),
    named=(),
    statement="1 of 102 words stands out in the class tested (family-wise error 5 %)",
    attributes=("green", "red"),
    command="calibrate --cache toy.h5 --attribute green --attribute red",
)
CFR = replace(ERM, method="cfr", attributes=(), command=None)
NO_WORDS = {"num_words": 0, "statement": "toy.h5 has no words", "command": None}


@pytest.fixture(scope="module")
def run(reported):
    return read_source(reported.run, ReportOptions(rows=0), Pictures(None, 0))


@pytest.fixture
def source_of(run):
    """Return a function that returns the run with other explanations of its errors."""

    def make_source(*found: Explanation):
        source = replace(run)
        vars(source)["explained"] = ExplainedErrors(found)
        return source

    return make_source


@pytest.fixture
def text_of(source_of):
    """Return a function that returns the section of some explanations."""
    return lambda *found: "".join(make(source_of(*found)).parts)


def test_words_have_a_column_of_remarks_only_if_there_are_remarks(source_of):
    source = source_of(ERM)
    table = words_table(source, ERM, CAT)
    header = ("word", "nearer to", "difference", "p", "nearest quarter, per cent")
    assert (table.header, table.text_columns) == (header, 2)
    first = ("green <b>", "wrong images", "+0.234 [+0.100, +0.300]", "0.004", "55.0")
    assert table.rows == (first,)
    table = words_table(source, ERM, replace(CAT, right_words=(TABBY,)))
    assert (table.header, table.text_columns) == ((*header[:2], "remark", *header[2:]), 3)
    assert table.rows == (
        (*first[:2], "", *first[2:]),
        (
            *("tabby", "right images", "names the class cat"),
            *("-0.200 [-0.300, -0.100]", "0.041", "95.0"),
        ),
    )


def test_the_errors_of_both_heads_stand_side_by_side(source_of):
    better = replace(CFR, classes=(replace(CAT, errors=3), DOG))
    table = errors_table(source_of(ERM, better), (ERM, better))
    assert table.title == ("misclassified images of the val split",)
    assert table.header == ("class", "images", "ERM, seed 0", "CFR, seed 0")
    assert table.rows == (("cat", "1,200", "30", "3"), ("dog", "100", "0", "0"))


def test_the_section_has_words_slices_and_the_command(text_of):
    text = text_of(ERM, CFR)
    assert text.count("<p>1 of 102 words stands out") == 2
    assert "cat: words that stand out, ERM, seed 0" in text
    assert "dog: words that stand out" not in text
    assert "green &lt;b&gt;" in text
    assert "<summary>The errors of CFR, seed 0</summary>" in text
    command = "calibrate --cache toy.h5 --attribute green --attribute red"
    plain = re.sub("</?(span|code)[^>]*>", "", text)
    assert command in plain
    assert re.search(r"often more:</p><pre[^>]*>.* explain --run \S+/run --split train", plain)


def test_a_cache_without_words_is_told_of_once(text_of):
    before, after = (replace(each, **NO_WORDS) for each in (ERM, CFR))
    text = text_of(before, after)
    assert text.count("toy.h5 has no words") == 1
    assert text.count("slices of the val split, with accuracies in per cent") == 4
    assert "Calibrate with the attribute" not in text
    assert "--split train" not in text


def test_a_head_without_errors_is_told_of(text_of):
    flawless = replace(ERM, classes=(replace(DOG, label="cat"), DOG), slices=(), command=None)
    text = text_of(flawless)
    assert "<p>ERM, seed 0 misclassifies no image of the val split.</p>" in text
    assert "family-wise" not in text
    assert text_of(flawless, CFR).count("1 of 102 words stands out") == 1


def test_no_empty_part_is_unfolded(text_of):
    empty = replace(CFR, **NO_WORDS, classes=(replace(CAT, wrong_words=()), DOG), slices=())
    assert "<details>" not in text_of(ERM, empty)


@pytest.mark.parametrize(("count", "note"), [(24, ""), (30, "; 24 of 30")])
def test_a_page_has_at_most_24_classes_and_slices(source_of, count, note):
    classes = [replace(CAT, label=f"class {n}", errors=n) for n in range(count)]
    slices = [replace(SLICE, nearest=(f"{n}.png",)) for n in range(count)]
    many = replace(ERM, classes=tuple(classes), slices=tuple(slices))
    source = source_of(many)
    errors, found = errors_table(source, (many,)), slices_table(source, many)
    assert [row[0] for row in errors.rows] == [f"class {n}" for n in range(count - 24, count)]
    assert len(found.rows) == len(list(picture_ids(source))) == 24
    more = f"{note} classes: those with the most errors" if note else ""
    assert errors.title == (f"misclassified images of the val split{more}",)
    more = f"{note} slices: the worst ones" if note else ""
    assert found.title == (f"slices of the val split, with accuracies in per cent{more}",)
    assert "".join(make(source).parts).count("words that stand out, ERM") == 2 * 24


def test_errors_without_words_name_the_commands_that_describe_them(reported):
    text = unescape(reported.page.read_text(encoding="utf-8"))
    assert "misclassified images of the val split" in text
    program = "python cli.py" if "python cli.py report" in text else "clip-cfr"
    assert (
        f"{reported.cache} has no words, so errors are not described in words; make a words file "
        f"and explain the errors with it: `{program} words --cache {reported.cache} --out "
        f"WORDS.h5`, then `{program} explain --run {reported.run} --method erm --split val --cache "
        f"{reported.cache} --words WORDS.h5`."
    ) in text
    assert "the attribute that the words suggest" not in text


def test_errors_are_not_explained_without_predictions_of_erm(run, reported):
    columns = {name: each for name, each in run.run.predictions.items() if "erm" not in name}
    without = replace(run.run, predictions=columns)
    found = explain_errors(reported.run, without, "cfr", reported.cache)
    assert (found.found, found.reason) == (
        (),
        "This run has no predictions of ERM, whose errors this section explains.",
    )
