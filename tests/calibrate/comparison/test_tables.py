"""Tables for the terminal, in Markdown, LaTeX and CSV, and the sentences below them."""

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from clip_cfr.calibrate.commands.show import show_next_steps
from clip_cfr.calibrate.comparison.formats import render
from clip_cfr.calibrate.comparison.group_tables import groups_table
from clip_cfr.calibrate.comparison.method_result import Cost, Evaluation, MethodResult, SeedResult
from clip_cfr.calibrate.comparison.notes import (
    describe_calibration_set,
    describe_choices,
    describe_costs,
    format_recommendation,
    notes,
    selection_notes,
)
from clip_cfr.calibrate.comparison.recommendation import Recommendation
from clip_cfr.calibrate.comparison.result import CacheSummary, CalibrationSetSummary, Result
from clip_cfr.calibrate.comparison.tables import group_labels, make_tables, methods_table
from clip_cfr.calibrate.comparison.trade import Share, Trade
from clip_cfr.calibrate.comparison.versus import COMPARED, MetricDifference, Versus
from clip_cfr.calibrate.core.metrics import GroupAccuracy, NamedGroupAccuracy, SplitMetrics
from clip_cfr.calibrate.core.settings import SELECTIONS, Settings
from clip_cfr.calibrate.named.summary import NamedSummary

GROUPS = (("land_bird", "land"), ("land_bird", "water"), ("water|bird", "land"))
GROUPS += (("water|bird", "water"),)
SIZES = (20, 30, 19, 20)


def metrics(worst: float) -> SplitMetrics:
    """Metrics whose worst group has the given accuracy."""
    accuracies = (0.9, worst, 0.8, 0.7)
    groups = tuple(
        GroupAccuracy(*g, n, a) for g, n, a in zip(GROUPS, SIZES, accuracies, strict=True)
    )
    return SplitMetrics(worst, 0.8, None, 0.75, 0.65, 0.7, 0.9, 0.1, groups)


def method(name: str, worst: list[float], step: int | None, labels: str = "none") -> MethodResult:
    """A method with one seed for each worst-group accuracy."""
    seeds = tuple(
        SeedResult(seed, dict.fromkeys(SELECTIONS, Evaluation(step, metrics(w), metrics(w))))
        for seed, w in enumerate(worst)
    )
    return MethodResult(name, labels, seeds, (0.25, 0.75), (0.5, 0.875))


RESULT = Result(
    cache=CacheSummary(
        "toy.h5", "toy", "none", GROUPS, (("a [land] bird.", "b."), ("c.",)), "prompts"
    ),
    settings=Settings(selection="worst-class"),
    seeds=(0, 1),
    methods={
        "zeroshot": method("zeroshot", [0.25, 0.25], None),
        "erm": method("erm", [0.5, 0.5], 10),
        "cfr": method("cfr", [0.5, 0.75], 20),
        "dfr": method("dfr", [0.625, 0.625], None, labels="val"),
    },
    calibration_set=CalibrationSetSummary(41, (20, 21), (1, 19, 18.5, 2.5)),
    recommendation=Recommendation("cfr", "worst-class", 0.1, (0.05, 0.15), "erm", "CFR is better"),
    warnings=(),
    failures={},
    seconds={"train": 1.5},
)


def text_of(result: Result, width: int = 120) -> str:
    """What a terminal of a width shows."""
    paper = StringIO()
    Console(width=width, file=paper).print(render(result))
    return paper.getvalue()


def column(result: Result, title: str) -> dict[str, str]:
    """The column of a method, by row name."""
    table = methods_table(result)
    index = table.header.index(title)
    return {row[0]: row[index] for row in table.rows}


def test_the_title_says_what_is_shown():
    assert methods_table(RESULT).title == (
        "toy: accuracy on the test split, in per cent",
        "heads selected by validation worst-class",
        "mean ± standard deviation over 2 seeds",
    )
    assert len(methods_table(replace(RESULT, seeds=(0,))).title) == 2


def test_every_method_has_a_column_in_per_cent():
    assert methods_table(RESULT).header == ("", "zero-shot", "ERM", "CFR", "DFR")
    assert column(RESULT, "CFR") == {
        "group labels used": "none",
        "worst group": "62.5 ± 17.7",
        "worst group, 95 % interval": "[25.0, 75.0]",
        "average": "80.0 ± 0.0",
        "train-weighted average": "-",
        "mean over groups": "75.0 ± 0.0",
        "worst class": "65.0 ± 0.0",
        "worst class, 95 % interval": "[50.0, 87.5]",
        "worst group, oracle": "62.5 ± 17.7",
    }


def test_inferred_groups_are_defined_below_the_tables():
    inferred = replace(RESULT, settings=Settings(selection="inferred-groups"))
    title = "heads selected by validation inferred-groups (no group labels)"
    assert title in methods_table(inferred).title
    assert selection_notes("inferred-groups") == [
        "inferred-groups: the mean of worst-class accuracy, average accuracy, and mean accuracy "
        "over the images that CLIP's own head gets right and those that it gets wrong, in each "
        "class."
    ]
    assert selection_notes("worst-class") == []


def test_selection_by_worst_group_is_called_an_oracle_that_uses_group_labels():
    oracle = replace(RESULT, settings=Settings(selection="worst-group"))
    assert "heads selected by validation worst-group (an oracle)" in methods_table(oracle).title
    used = {title: column(oracle, title)["group labels used"] for title in ("ERM", "DFR")}
    assert used == {"ERM": "val (selection)", "DFR": "val"}
    assert column(oracle, "zero-shot")["group labels used"] == "none"


@pytest.mark.parametrize(
    ("labels", "used"), [("none", "val (selection)"), ("train", "train, val (selection)")]
)
def test_a_choice_of_hyperparameters_by_worst_group_uses_group_labels(labels, used):
    [seed] = method("probe", [0.5], None, labels=labels).seeds
    chosen = {k: replace(each, chosen={"C": 0.1}) for k, each in seed.by_selection.items()}
    found = MethodResult("probe", labels, (SeedResult(0, chosen),), (0.25, 0.75))
    assert group_labels(found, "worst-group") == used
    assert group_labels(found, "average") == labels
    written = found.to_json("average")
    assert written["selected_steps"] is None
    assert MethodResult.from_json("probe", written) == found


def choosing(name: str, *chosen: dict) -> MethodResult:
    """A method with one seed for each choice of hyperparameters."""
    seeds = method(name, [0.5] * len(chosen), None).seeds
    choices = (
        replace(
            seed,
            by_selection={
                selection: replace(each, chosen=values if selection == "worst-class" else {"no": 0})
                for selection, each in seed.by_selection.items()
            },
        )
        for seed, values in zip(seeds, chosen, strict=True)
    )
    return MethodResult(name, "none", tuple(choices), (0.25, 0.75))


def test_chosen_hyperparameters_are_named_once_for_equal_seeds():
    added = {
        "wise-ft": choosing("wise-ft", {"alpha": 0.5}, {"alpha": 0.5}),
        "group-lr": choosing("group-lr", {"C": 0.1, "d": 1e-4}, {"C": 10.0, "d": 1e-4}),
    }
    result = replace(RESULT, methods={**RESULT.methods, **added})
    assert describe_choices(result) == [
        "Chosen on val: WiSE-FT alpha 0.5; group-reweighted LR C 0.1, d 0.0001 / C 10, d 0.0001."
    ]
    assert describe_choices(result)[0] in notes(result)
    assert describe_choices(RESULT) == []


def test_group_labels_of_training_and_of_the_selection_are_both_named():
    trained = {"erm": replace(RESULT.methods["erm"], group_labels="train")}
    for selection, used in (("worst-class", "train"), ("worst-group", "train, val (selection)")):
        result = replace(RESULT, methods=trained, settings=Settings(selection=selection))
        assert column(result, "ERM")["group labels used"] == used


def test_class_means_are_not_called_zero_shot():
    means = replace(RESULT, cache=replace(RESULT.cache, class_embeddings="class means"))
    assert methods_table(means).header[1] == groups_table(means).header[3] == "class means"
    assert any(line.startswith("class means: not zero-shot.") for line in notes(means))
    assert not any(line.startswith("class means") for line in notes(RESULT))


def test_groups_are_named_and_counted():
    rows = groups_table(RESULT).rows
    sizes = ("20", "30", "19*", "20")
    assert [row[:3] for row in rows] == [(*g, n) for g, n in zip(GROUPS, sizes, strict=True)]
    assert rows[1][5] == "62.5 ± 17.7"


def test_the_calibration_set_is_described_group_by_group():
    assert describe_calibration_set(RESULT) == (
        "Calibration set: 41 training images that the identification head misclassifies, mean "
        "over seeds: 20 of 'land_bird' (1 land, 19 water), 21 of 'water|bird' (18.5 land, 2.5 "
        "water)."
    )


def test_where_val_cannot_decide_the_recommendation_states_the_trade():
    share = Share(1, 2, (0.1, 0.9))
    trade = Trade("cfr", "erm", share, replace(share, hits=0), ())
    found = format_recommendation(replace(RESULT, trade=trade))
    assert found.startswith(
        "Recommendation: ERM or CFR; val cannot decide, as it shares the correlations of train. "
        "Use CFR (--method cfr of predict and export) if you expect"
    )
    assert found.endswith("; by class: . CFR is better.")


def with_named(sizes: dict[str, tuple[int, int]]) -> Result:
    """The result with the groups of an attribute named in words, of these sizes by split."""

    def named(metrics: SplitMetrics, split: str) -> SplitMetrics:
        groups = zip(("sea", "desert"), sizes[split], (0.5, 0.0), strict=True)
        found = tuple(NamedGroupAccuracy("bird", "place", *each) for each in groups)
        return replace(metrics, named_groups=found, worst_named_group=0.5)

    def change(evaluation: Evaluation) -> Evaluation:
        splits = {each: named(getattr(evaluation, each), each) for each in ("val", "test")}
        return replace(evaluation, **splits)

    methods = {
        name: replace(
            each,
            seeds=tuple(
                replace(seed, by_selection={k: change(v) for k, v in seed.by_selection.items()})
                for seed in each.seeds
            ),
        )
        for name, each in RESULT.methods.items()
    }
    summary = NamedSummary((), 0.0, (), (), ())
    return replace(RESULT, methods=methods, named=summary)


@pytest.mark.parametrize(
    ("sizes", "title"),
    [
        ((3, 3), "worst group named in words"),
        ((3, 2), "worst of 1 of 2 groups named in words"),
        ((2, 2), "worst group named in words"),
    ],
)
def test_the_worst_group_named_in_words_has_the_number_of_groups_that_count(sizes, title):
    result = with_named({"val": (20, 20), "test": sizes})
    assert column(result, "CFR")[title] == "50.0 ± 0.0"
    small = [each for each in notes(result) if each.startswith("worst group named in words: ")]
    assert small == (
        [
            "worst group named in words: groups of fewer than 3 test images do not count: 2 of "
            "(bird, desert)."
        ]
        if sizes == (3, 2)
        else []
    )


def test_val_cannot_decide_by_small_groups_named_in_words():
    share = Share(1, 2, (0.1, 0.9))
    trade = Trade("cfr", "erm", share, replace(share, hits=0), ())
    result = with_named({"val": (20, 19), "test": (9, 9)})
    assert format_recommendation(replace(result, trade=trade)).startswith(
        "Recommendation: ERM or CFR; val cannot decide, as it has too few images of groups named "
        "in words: 19 of (bird, desert); bring each to 20 or more. Use CFR"
    )


def test_a_verdict_for_erm_on_a_shared_val_has_its_limit():
    advice = replace(RESULT.recommendation, method="erm", over="cfr")
    found = format_recommendation(replace(RESULT, recommendation=advice, val_is_shared=True))
    assert found == (
        "Recommendation: use ERM, as far as val can see: it may share the correlations of train. "
        "CFR is better."
    )
    assert format_recommendation(replace(RESULT, val_is_shared=True)).startswith(
        "Recommendation: use CFR. "
    )


def test_the_head_to_use_has_the_other_one_beside_it_where_val_cannot_decide(capsys):
    share = Share(1, 2, (0.1, 0.9))
    advice = replace(RESULT.recommendation, method="erm", over="cfr")
    result = replace(RESULT, recommendation=advice)
    show_next_steps(result, Path("run"))
    show_next_steps(replace(result, trade=Trade("cfr", "erm", share, share, ())), Path("run"))
    lines = [each for each in capsys.readouterr().err.splitlines() if each.startswith("head")]
    assert lines == [
        "head to use: run/heads/erm-seed0.npz",
        "head to use: run/heads/erm-seed0.npz (val cannot decide: predict and export take another "
        "with --method cfr)",
    ]


def test_the_recommendation_says_which_method_to_use():
    assert format_recommendation(RESULT) == "Recommendation: use CFR. CFR is better."
    one = replace(RESULT, methods={"erm": RESULT.methods["erm"]}, recommendation=None)
    assert format_recommendation(one).startswith(
        "Recommendation: none. ERM is the only method without group "
    )
    none = replace(RESULT, methods={"dfr": RESULT.methods["dfr"]}, recommendation=None)
    assert format_recommendation(none).startswith(
        "Recommendation: none. Only methods without group labels are "
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_row_names_and_numbers_are_whole_at_any_width(width):
    text = text_of(RESULT, width)
    for name in ("group labels used", "worst group, 95 % interval", "train-weighted average"):
        assert name in text, text
    assert "62.5 ± 17.7" in text
    assert "…" not in text


def test_row_names_fold_where_there_is_no_room():
    text = text_of(RESULT, 40)
    assert {"group", "labels", "train-weighted", "oracle"} <= set(text.split()), text
    assert "…" not in text


def test_names_in_brackets_are_not_markup():
    assert 'class prompts: "a [land] bird." and 1 more' in text_of(RESULT)


def test_markdown_escapes_its_separator():
    lines = render(RESULT, "markdown").splitlines()
    assert lines[2] == "|  | zero-shot | ERM | CFR | DFR |"
    assert lines[3] == "| --- | ---: | ---: | ---: | ---: |"
    assert any(r"| water\|bird | land | 19* |" in line for line in lines)


def test_latex_escapes_its_special_characters():
    text = render(RESULT, "latex")
    assert text.count(r"\begin{tabular}") == text.count(r"\bottomrule") == 2
    assert r"worst group, 95 \% interval & [25.0, 75.0]" in text
    assert r"land\_bird & water & 30 & 25.0 $\pm$ 0.0" in text


def test_csv_holds_every_number_of_every_seed():
    rows = list(csv.DictReader(render(RESULT, "csv").splitlines()))
    chosen = [
        float(row["value"])
        for row in rows
        if (row["method"], row["selection"], row["split"]) == ("cfr", "last", "test")
        and (row["metric"], row["label"], row["attribute"]) == ("accuracy", *GROUPS[1])
    ]
    assert chosen == [0.5, 0.75]


class TestWithoutAttributes:
    """Groups are classes then, so that each number is shown once."""

    classes = (("cat", "any"), ("dog", "any"))
    measured = replace(
        metrics(0.5),
        groups=(GroupAccuracy("cat", "any", 20, 0.5), GroupAccuracy("dog", "any", 19, 0.75)),
    )
    seeds = (SeedResult(0, dict.fromkeys(SELECTIONS, Evaluation(5, measured, measured))),)
    alone = replace(
        RESULT,
        cache=replace(RESULT.cache, groups=classes),
        seeds=(0,),
        methods={"erm": MethodResult("erm", "none", seeds, (0.25, 0.75), (0.25, 0.75))},
        calibration_set=None,
        recommendation=None,
    )

    def test_the_table_of_methods_has_no_row_about_groups(self):
        assert methods_table(self.alone).rows == (
            ("group labels used", "none"),
            ("worst class", "65.0"),
            ("worst class, 95 % interval", "[25.0, 75.0]"),
            ("average", "80.0"),
            ("mean over classes", "75.0"),
        )
        assert not any(line.startswith("oracle") for line in notes(self.alone))
        assert any(line.startswith("oracle") for line in notes(RESULT))

    def test_the_table_of_classes_has_no_column_of_attributes(self):
        table = groups_table(self.alone)
        assert table.title == ("accuracy by class, on the test split, in per cent",)
        assert table.header == ("class", "n", "ERM")
        assert table.rows == (("cat", "20", "50.0"), ("dog", "19*", "75.0"))
        assert table.notes == (TestSmallGroups.note,)

    @pytest.mark.parametrize("form", ["table", "markdown", "latex"])
    def test_every_form_shows_classes_only(self, form):
        text = text_of(self.alone) if form == "table" else render(self.alone, form)
        assert "worst class" in text
        assert not any(word in text for word in ("worst group", "any", "attribute")), text

    def test_csv_has_each_number_once(self):
        rows = list(csv.DictReader(render(self.alone, "csv").splitlines()))
        assert {row["selection"] for row in rows} == set(SELECTIONS) - {"worst-group"}
        assert {row["attribute"] for row in rows} == {""}
        named = [row["metric"] for row in rows if row["selection"] == "last"]
        assert "worst_group" not in named
        assert named.count("worst_class") == 2, "expected one for val and one for test"

    def test_differences_are_those_of_class_and_average(self):
        one = {"cfr": dict.fromkeys(COMPARED, MetricDifference(0.1, (0.0, 0.2), 0.01, 0.03))}
        table = make_tables(replace(self.alone, versus=Versus("erm", one)))[1]
        assert [row[0] for row in table.rows] == ["worst class", "average"]

    def test_json_has_every_metric(self):
        test = self.alone.to_json()["methods"]["erm"]["test"]
        assert {"worst_group", "worst_class", "group_mean"} <= set(test)
        assert Result.from_json(self.alone.to_json()) == self.alone


class TestSmallGroups:
    note = "* fewer than 20 images: the accuracy of this group is uncertain."

    def test_are_explained_below_the_table_in_every_form(self):
        assert groups_table(RESULT).notes == (self.note,)
        assert self.note in text_of(RESULT)
        assert render(RESULT, "markdown").endswith("\n\n" + self.note.replace("*", r"\*"))
        assert render(RESULT, "latex").endswith(f"\n% {self.note}")

    def test_without_one_there_is_no_note(self):
        large = tuple(replace(each, n=20) for each in metrics(0.5).groups)
        best = replace(metrics(0.5), groups=large)
        seed = SeedResult(0, dict.fromkeys(SELECTIONS, Evaluation(None, best, best)))
        one = replace(RESULT, methods={"erm": MethodResult("erm", "none", (seed,), (0.2, 0.7))})
        assert groups_table(one).notes == ()
        assert [row[2] for row in groups_table(one).rows] == ["20"] * 4

    def test_an_empty_group_is_not_marked(self):
        empty = tuple(replace(each, n=0, accuracy=None) for each in metrics(0.5).groups)
        best = replace(metrics(0.5), groups=empty)
        seed = SeedResult(0, dict.fromkeys(SELECTIONS, Evaluation(None, best, best)))
        one = replace(RESULT, methods={"erm": MethodResult("erm", "none", (seed,), (0.2, 0.7))})
        assert groups_table(one).notes == ()


def test_a_run_without_an_interval_of_the_worst_class_shows_none():
    old = RESULT.to_json()
    for each in old["methods"].values():
        del each["test"]["worst_class_interval"]
    found = Result.from_json(old)
    assert column(found, "CFR")["worst class, 95 % interval"] == "-"


def test_a_run_of_an_earlier_version_had_one_erm_for_both_purposes():
    settings = replace(
        RESULT.settings,
        **{"erm_lr": 1e-4, "identification_lr": 1e-4},
        **{"erm_steps": 70, "identification_steps": 70, "init": "identification"},
    )
    old = replace(RESULT, settings=settings).to_json()
    for name in ("identification_lr", "identification_steps"):
        del old["settings"][name]
    old["settings"].update(calibration_source="erm", dps_source="erm", init="erm")
    assert Result.from_json(old).settings == settings


class TestVersus:
    better = MetricDifference(0.123, (0.012, 0.23), 0.01, 0.03)
    same = MetricDifference(-0.01, (-0.05, 0.03), 0.6, 0.6)
    versus = Versus(
        "erm", {"zeroshot": dict.fromkeys(COMPARED, same), "cfr": dict.fromkeys(COMPARED, better)}
    )
    compared = replace(RESULT, versus=versus)

    def test_shows_differences_in_points_and_marks_those_beyond_noise(self):
        table = make_tables(self.compared)[1]
        assert table.title == (
            "difference from ERM on the test split, in points, with 95 % interval",
        )
        assert table.header == ("", "zero-shot", "CFR")
        assert table.rows == tuple(
            (name, "-1.0 [-5.0, +3.0]", "+12.3 [+1.2, +23.0]*")
            for name in ("worst group", "worst class", "average")
        )

    def test_the_note_says_what_the_mark_means(self):
        note = (
            "* beyond the noise of images and seeds: p < 0.05 after Holm's correction for 2 "
            "methods."
        )
        assert make_tables(self.compared)[1].notes == (note,)
        assert note in text_of(self.compared)
        only = Versus("erm", {"cfr": self.versus.differences["cfr"]})
        one = replace(self.compared, seeds=(0,), versus=only)
        assert make_tables(one)[1].notes == ("* beyond the noise of images: p < 0.05.",)

    def test_without_it_there_are_two_tables(self):
        assert len(make_tables(RESULT)) == 2


def test_costs_are_steps_and_seconds_of_each_method():
    assert describe_costs(RESULT) == []
    costs = {"erm": Cost(2000, 1.25), "cfr": Cost(2400, 3.04)}
    methods = {name: replace(each, cost=costs.get(name)) for name, each in RESULT.methods.items()}
    found = describe_costs(replace(RESULT, methods=methods, peak_memory_mb=958))
    assert found == [
        "Training steps and seconds for each seed: ERM 2,000 and 1.2, CFR 2,400 and 3.0. A stage "
        "that methods share takes time once, for the first of them. Peak memory: 958 MB."
    ]
