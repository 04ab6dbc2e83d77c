"""The report of runs and grids: contents, escaping, size, missing files, outputs."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest
from click.testing import CliRunner

from clip_cfr.cache.errors import CacheError, OutputError
from clip_cfr.cache.runs.grid import write_grid
from clip_cfr.cache.runs.run import read_run
from clip_cfr.calibrate.comparison.result import Result
from clip_cfr.calibrate.comparison.trade import Share, Trade
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.grid.leaderboard import leaderboard_columns
from clip_cfr.calibrate.report import write_report
from clip_cfr.calibrate.report.overview import usage
from clip_cfr.calibrate.report.write import THUMBNAILS
from clip_cfr.cli import main
from tests.calibrate.grid.results import make_point, make_result
from tests.calibrate.report.conftest import MARKUP

FIGURE = re.compile(r'<script type="application/json" class=figure>(.*?)</script>', re.DOTALL)
MAP = re.compile(r'<script type="application/json" class=map>(.*?)</script>', re.DOTALL)


def body(page: Path) -> str:
    """Return a page without its scripts and style."""
    text = page.read_text(encoding="utf-8")
    return text[text.index("<body>") :].partition("<script>")[0]


def headings(page: Path) -> list[str]:
    return re.findall(r"<h[23] [^>]*>(.*?)</h[23]>", body(page))


@pytest.fixture
def run_alone(reported, tmp_path) -> Path:
    """Return a copy of the run in a folder without its cache."""
    copy = tmp_path / "moved" / "run"
    shutil.copytree(reported.run, copy)
    config = json.loads((copy / "config.json").read_text())
    assert config["cache"] == str(reported.cache)
    return copy


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Path:
    """Return the folder of a grid over two settings."""
    folder = tmp_path_factory.mktemp("grids") / "grid"
    folder.mkdir()
    points = [
        make_point(
            index,
            val=(0.5 + 0.1 * column, 0.6 + 0.1 * column),
            test=(0.4 + 0.1 * row, 0.5),
            settings={"lr": lr, "positive": positive},
        )
        for index, (column, lr, row, positive) in enumerate(
            (column, lr, row, positive)
            for column, lr in enumerate((1e-4, 1e-3, 1e-2))
            for row, positive in enumerate(("dps", "rps"))
        )
    ]
    space = {"lr": [1e-4, 1e-3, 1e-2], "positive": ["dps", "rps"]}
    result = make_result(points, space=space)
    write_grid(folder, result.to_json(), leaderboard_columns(result))
    return folder


def test_a_run_has_every_section(reported):
    assert headings(reported.page) == [
        "Which head to use",
        "Results",
        "Accuracy by group",
        "Accuracy by groups named in words",
        "Embeddings before and after calibration",
        "Similarity of classes",
        "Training",
        "Calibration set",
        "Confident errors",
        "What misclassified images have in common",
        "Provenance",
    ]


def test_the_page_is_small_and_names_no_other_file(reported):
    assert reported.page.stat().st_size < 8_000_000
    text = body(reported.page)
    assert set(re.findall(r'(?:src|href)="?([a-z]+:|#)', text)) == {"#", "data:"}
    assert "@import" not in reported.page.read_text(encoding="utf-8")[:5000]


def test_names_are_escaped_everywhere(reported):
    text = reported.page.read_text(encoding="utf-8")
    assert MARKUP not in text
    assert "alert('x')" not in text
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; $&quot;cat&quot;" in text


def test_figures_are_what_plotly_accepts(reported):
    figures = [json.loads(each) for each in FIGURE.findall(body(reported.page))]
    assert len(figures) == 10
    for each in figures:
        go.Figure(each)


def test_groups_named_in_words_have_bars_with_the_numbers_of_the_table(reported):
    named = json.loads((reported.run / "metrics.json").read_text())
    split = named["named"]["attributes"][0]["test"]
    text = body(reported.page)
    assert "on &lt;b&gt;land&lt;/b&gt;" in text
    assert f"{split['left_out']} test rows are left out, with a margin below 0.05." in text
    assert (
        "Agreement of the values with the attribute of the cache on the test split, in per cent: "
        f"{100 * split['agreement']:.1f} over all images."
    ) in text
    title = (
        "Accuracy by groups named in words (attribute; agreement "
        f"{100 * split['agreement']:.1f}) on the test split, in per cent"
    )
    assert f"<figcaption>{title}</figcaption>" in text
    figure = json.loads(FIGURE.findall(text)[1])
    by_method = {each["name"]: each["y"] for each in figure["data"]}
    means = named["methods"]["erm"]["test"]["named_groups"]
    assert by_method["ERM"] == [round(100 * each["accuracy"], 4) for each in means]
    assert figure["layout"]["xaxis"]["ticktext"][3] == f"dog<br>on water<br>n = {means[3]['n']}"


def test_the_map_has_the_sample_that_the_page_tells_of(reported):
    found = json.loads(MAP.findall(body(reported.page))[0])
    assert {name: found["splits"].count(name) for name in ("train", "val", "test")} == {
        "train": 30,
        "val": 30,
        "test": 60,
    }
    assert "A sample of 120 images: 30 of 300 of the train split" in body(reported.page)
    assert [each["title"] for each in found["colourings"]] == [
        "group",
        "class",
        "attribute",
        "right or wrong",
        "calibration set",
        "split",
    ]
    assert sum(found["colourings"][4]["codes"][0]) > 0


def test_pictures_are_at_most_as_many_as_asked(reported):
    pictures = set(re.findall(r"data:image/jpeg;base64,[\w+/=]+", body(reported.page)))
    assert "Pictures on this page: 20 of at most 20: " in body(reported.page)
    assert " images could not be read." in body(reported.page)
    assert len(pictures) == 1, "all images are equal"


def test_each_plot_is_a_file(reported):
    files = {each.name: each.read_bytes() for each in reported.plots.iterdir()}
    assert sorted(files) == [
        "calibration-set.png",
        "centroids-classes.png",
        "centroids-groups.png",
        "groups.png",
        "map.png",
        "named-groups.png",
        "training-loss.png",
        "training-val-average.png",
        "training-val-inferred-groups.png",
        "training-val-worst-class.png",
        "training-val-worst-group.png",
    ]
    assert all(each.startswith(b"\x89PNG") for each in files.values())


def test_the_command_writes_beside_the_run_and_replaces_nothing(reported, monkeypatch):
    monkeypatch.chdir(reported.run.parent)
    words = ["report", "run", "--rows", "0"]
    first = CliRunner().invoke(main, words)
    assert first.exit_code == 0, first.output
    assert re.fullmatch(r"report: run-report\.html \(\d\.\d MB\); .*\n", first.output)
    page = body(reported.run.parent / "run-report.html")
    assert "No map: it needs at least 10 images (--rows)." in page
    second = CliRunner().invoke(main, words)
    assert (second.exit_code, second.stderr) == (
        1,
        "Error: run-report.html: exists; replace it with --overwrite, or name another with --out\n",
    )
    assert CliRunner().invoke(main, [*words, "--overwrite"]).exit_code == 0


def test_without_its_cache_a_run_has_a_page_that_says_so(run_alone, reported, tmp_path):
    reported.cache.rename(tmp_path / "elsewhere.h5")
    try:
        shown = CliRunner().invoke(
            main, ["report", str(run_alone), "--out", str(tmp_path / "page.html")]
        )
        given = [tmp_path / "elsewhere.h5"]
        write_report([run_alone], tmp_path / "found.html", cache=given, rows=20)
    finally:
        (tmp_path / "elsewhere.h5").rename(reported.cache)
    text = body(tmp_path / "page.html")
    reason = f"is not at hand: {reported.cache} was not found; name it with --cache."
    assert f"No map. The cache of this run {reason}" in text
    assert shown.stderr == f"warning: {run_alone}: The cache of this run {reason}\n"
    assert "The training split is left out." in text
    assert "not at hand" not in body(tmp_path / "found.html")


def test_a_named_cache_must_be_that_of_a_run(reported, tmp_path, task):
    from clip_cfr.cache.write.writer import write_cache
    from tests.calibrate.synthetic import cache_of

    write_cache(tmp_path / "other.h5", cache_of(task))
    with pytest.raises(CacheError) as error:
        write_report([reported.run], tmp_path / "p.html", cache=[tmp_path / "other.h5"], rows=0)
    assert str(error.value) == (
        f"{tmp_path / 'other.h5'}: expected the cache of one of the runs, found other contents; "
        "name the file that the run was calibrated on"
    )


def test_an_incomplete_run_is_an_error_of_the_run(run_alone, tmp_path):
    (run_alone / "predictions.csv.gz").unlink()
    with pytest.raises(CacheError, match=r"run.*predictions\.csv\.gz"):
        write_report([run_alone], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_several_runs_and_a_grid_are_side_by_side(reported, grid, tmp_path):
    write_report([reported.run, grid], tmp_path / "page.html", rows=0)
    found = headings(tmp_path / "page.html")
    assert found[:2] == ["Side by side", "Which head to use"]
    assert found.count("Provenance") == 2
    ids = re.findall(r'id="?([\w-]+)', body(tmp_path / "page.html"))
    assert len(ids) == len(set(ids))


def test_a_grid_has_its_plots(grid, tmp_path):
    write_report([grid], tmp_path / "page.html", png=tmp_path / "plots")
    assert headings(tmp_path / "page.html") == [
        "Best point",
        "Points",
        "Accuracy over the settings",
        "Parallel coordinates",
        "Importance of the settings",
        "Validation against test",
        "Provenance",
    ]
    text = body(tmp_path / "page.html")
    assert "optuna-dashboard sqlite:///study.db" in text
    assert sorted(each.name for each in (tmp_path / "plots").iterdir()) == [
        "heat-cfr-lr-positive.png",
        "importances-cfr.png",
        "parallel-cfr.png",
        "val-against-test.png",
    ]
    heat, parallel, *_ = [json.loads(each) for each in FIGURE.findall(text)]
    assert heat["data"][0]["z"] == [[55.0, 65.0, 75.0], [55.0, 65.0, 75.0]]
    assert parallel["data"][0]["dimensions"][0]["ticktext"] == ["0.0001", "0.001", "0.01"]
    go.Figure(parallel)


def test_a_page_within_a_run_folder_is_refused(reported):
    with pytest.raises(OutputError) as error:
        write_report([reported.run], reported.run / "page.html")
    assert str(error.value).startswith(f"{reported.run} is the folder of a run or grid, ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thumbnails": 3}, "thumbnails need the folder of the images: give --root DIR"),
        (
            {"root": ".", "thumbnails": 0},
            "a root has no effect without pictures: give --thumbnails N",
        ),
        ({"thumbnails": -1, "root": "."}, "thumbnails is -1, expected 0 or more"),
        ({"rows": -1}, "rows is -1, expected 0 to 20,000"),
        ({"map": "pca"}, "map is 'pca', expected one of tsne, umap"),
    ],
)
def test_a_wrong_option_is_named(reported, options, message, tmp_path):
    with pytest.raises(SettingsError) as error:
        write_report([reported.run], tmp_path / "page.html", **options)
    assert str(error.value) == message


def test_errors_are_not_explained_without_the_cache(run_alone):
    from clip_cfr.calibrate.report.options import ReportOptions
    from clip_cfr.calibrate.report.pictures import Pictures
    from clip_cfr.calibrate.report.sections import errors_in_words
    from clip_cfr.calibrate.report.source import read_source

    source = read_source(run_alone, ReportOptions(), Pictures(None, 0))
    moved = replace(source, cache_path=None, missing="It is gone.")
    assert errors_in_words.make(moved).parts == ("<p class=note>It is gone.</p>",)


def test_a_root_alone_shows_pictures(reported, tmp_path):
    found = write_report([reported.run], tmp_path / "page.html", root=reported.images, rows=0)
    assert 0 < found.pictures <= THUMBNAILS
    assert f"--root {reported.images} --thumbnails {THUMBNAILS} " in re.sub(
        "</?span[^>]*>", "", found.path.read_text(encoding="utf-8")
    )


def test_two_heads_that_val_cannot_decide_between_are_undecided(reported):
    result = Result.from_json(read_run(reported.run).metrics)
    share = Share(1, 2, (0.1, 0.9))
    undecided = replace(result, trade=Trade("cfr", "erm", share, share, ()))
    assert [usage(undecided, name) for name in result.methods] == ["-", "undecided", "undecided"]
    decided = replace(result, trade=None)
    chosen = result.recommended_head[0]
    assert [usage(decided, name) for name in result.methods] == [
        "yes" if name == chosen else "-" for name in result.methods
    ]
