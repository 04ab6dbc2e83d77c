"""Predictions of a run's heads for images and caches, and the errors of bad input."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from clip_cfr import CacheError, ExtractError, predict_images, read_run, write_cache
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.cache.runs.run import write_run
from clip_cfr.cli import main
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.predict.classifier import Prediction
from tests.extract.extraction import RecordingReporter

# The run folder's probabilities have six digits, and are computed in float32.
TOLERANCE = 2e-4
# Neither torch, Pillow nor a model can be imported.
WITHOUT_EXTRA = """
import sys
sys.modules.update(dict.fromkeys(("torch", "PIL", "transformers")))
from clip_cfr import predict_images
print(len(list(predict_images(*sys.argv[1:2], sys.argv[2:]))))
"""


def predict(run: Path, *inputs: Path, **options) -> list[Prediction]:
    options = {"device": "cpu", "workers": 0, "reporter": RecordingReporter()} | options
    return list(predict_images(run, inputs, **options))


def refusal(run: Path, *inputs: Path, **options) -> str:
    with pytest.raises((CacheError, ExtractError)) as error:
        predict(run, *inputs, **options)
    return str(error.value)


def stored(run: Path, column: str) -> dict[str, tuple[str, float]]:
    """Return the class and its probability of each image in a run's predictions, by id."""
    table = read_run(run).predictions
    highest = np.maximum(table[f"{column}_p0"], table[f"{column}_p1"])
    return dict(zip(table["id"], zip(table[column], highest, strict=True), strict=True))


def assert_as_stored(found: list[Prediction], run: Path, column: str, folder: str = "") -> None:
    expected, by_id = stored(run, column), {each.image.removeprefix(folder): each for each in found}
    assert len(expected) == 16
    for name, (label, probability) in expected.items():
        assert by_id[name].label == label, name
        assert by_id[name].probability == pytest.approx(probability, abs=TOLERANCE), name
        assert by_id[name].margin == pytest.approx(2 * probability - 1, abs=2 * TOLERANCE), name


@pytest.mark.parametrize("method", ["zeroshot", "dfr", "linear-probe"])
def test_the_rows_of_a_cache_are_predicted_as_in_the_run(calibrated, method):
    found = predict(calibrated.run, calibrated.cache, method=method, seed=1)
    assert_as_stored(found, calibrated.run, f"{method}_seed1")
    assert len(found) == 40


def test_images_are_predicted_as_in_the_run(calibrated):
    reporter = RecordingReporter()
    found = predict_images(
        calibrated.run, [calibrated.photos], method="dfr", batch_size=16, workers=0, device="cpu",
        reporter=reporter,
    )  # fmt: skip
    assert (found.method, found.seeds, found.class_names) == ("dfr", (0,), ("cat", "dog"))
    assert_as_stored(list(found), calibrated.run, "dfr_seed0", f"{calibrated.photos}/")
    assert (reporter.started, reporter.saved) == ((0, 40), [16, 16, 8])


def test_the_recommended_head_is_the_default(calibrated):
    column = read_run(calibrated.run).recommended.replace("-seed", "_seed")
    assert_as_stored(predict(calibrated.run, calibrated.cache), calibrated.run, column)


def test_all_seeds_are_the_mean_of_their_probabilities(calibrated, tmp_path):
    run = read_run(calibrated.run)
    opposite = {name: -array for name, array in run.heads["dfr-seed0"].items()}
    write_run(tmp_path / "run", replace(run, heads=dict(run.heads) | {"dfr-seed1": opposite}))
    for each in predict(tmp_path / "run", calibrated.cache, method="dfr", seeds="all"):
        assert each.probability == pytest.approx(0.5)
        assert each.margin == pytest.approx(0, abs=1e-12)


def test_a_cache_needs_neither_torch_nor_pillow(calibrated):
    words = [sys.executable, "-c", WITHOUT_EXTRA, calibrated.run, calibrated.cache]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("40\n", "")


def test_a_row_that_is_not_valid_has_an_error(calibrated, tmp_path):
    cache = read_cache(calibrated.cache)
    valid, features = cache.valid.copy(), cache.features.copy()
    valid[1], features[1] = False, 0
    write_cache(tmp_path / "a.h5", replace(cache, valid=valid, features=features))
    found = predict(calibrated.run, tmp_path / "a.h5")
    assert [index for index, each in enumerate(found) if each.error] == [1]
    assert found[1] == Prediction("0001.png", error=found[1].error)
    assert found[1].error.startswith("not valid in the cache: the image could not be read")


class TestUnreadable:
    @pytest.fixture
    def folder(self, calibrated, tmp_path) -> Path:
        for name in ("a.png", "c.png"):
            shutil.copy(calibrated.photos / "0000.png", tmp_path / name)
        (tmp_path / "b.png").write_text("nonsense")
        return tmp_path

    def test_stops_by_default(self, calibrated, folder):
        assert refusal(calibrated.run, folder) == (
            f"{folder}/b.png: the file is text instead of an image; download the image again (it "
            "begins with b'nonsense'); repair or replace the file, or leave out such images with "
            "--on-error skip"
        )

    def test_is_skipped_on_demand_in_every_format(self, calibrated, folder):
        fixed = [
            "predict",
            "--run",
            calibrated.run,
            folder,
            "--device",
            "cpu",
            "--on-error",
            "skip",
        ]
        run = CliRunner().invoke
        for name, arguments in {"o.csv": [], "o.jsonl": [], "p.csv": ["--overwrite"]}.items():
            arguments = [*fixed, "--out", folder / name, *arguments]
            done = run(main, [str(each) for each in arguments])
            assert done.exit_code == 0, done.output
            assert done.stdout == ""
        error = "the file is text instead of an image; download the image again (it begins with "
        rows = list(csv.DictReader((folder / "o.csv").read_text().splitlines()))
        assert [row["image"] for row in rows] == [f"{folder}/{name}.png" for name in "abc"]
        assert [bool(row["class"]) for row in rows] == [True, False, True]
        assert rows[1] | {"error": ""} == dict.fromkeys(rows[1], "") | {"image": f"{folder}/b.png"}
        assert rows[1]["error"] == f"{error}b'nonsense')"
        objects = [json.loads(line) for line in (folder / "o.jsonl").read_text().splitlines()]
        for row, each in zip(rows, objects, strict=True):
            assert list(each) == ["image", "class", "probability", "margin", "error"]
            assert {key: "" if value is None else str(value) for key, value in each.items()} == row
        taken = run(main, [str(each) for each in [*fixed, "--out", folder / "o.csv"]])
        assert (taken.exit_code, taken.output) == (
            1,
            f"Error: {folder}/o.csv: the file exists; replace it with --overwrite or name another"
            "\n",
        )
        assert not list(folder.glob(".*"))


def test_the_table_of_a_terminal(calibrated):
    arguments = ["predict", "--run", calibrated.run, calibrated.cache, "--method", "zeroshot"]
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    assert done.stderr == f"head: zeroshot, seed 0, of {calibrated.run} (recommended)\n"
    first = predict(calibrated.run, calibrated.cache, method="zeroshot")[0]
    assert done.stdout.splitlines()[:2] == [
        "class  probability  margin  image",
        f"{first.label:5}  {first.probability:11.3f}  {first.margin:6.3f}  0000.png",
    ]
    assert len(done.stdout.splitlines()) == 41


class TestModel:
    def test_may_lie_elsewhere(self, calibrated, small_clip, tmp_path):
        shutil.copytree(small_clip, tmp_path / "moved")
        image = calibrated.photos / "0000.png"
        found = predict(calibrated.run, image, model=str(tmp_path / "moved"))
        assert found == predict(calibrated.run, image)

    def test_of_another_preprocessing_is_refused(self, calibrated, small_clip, tmp_path):
        shutil.copytree(small_clip, tmp_path / "other")
        path = tmp_path / "other" / "preprocessor_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"resample": 2}))
        image = calibrated.photos / "0000.png"
        assert refusal(calibrated.run, image, model=str(tmp_path / "other")) == (
            f"model {tmp_path}/other: image_processor.configuration.resample: expected 3, found "
            f"2; the run {calibrated.run} needs the model that it was calibrated with, "
            f"{small_clip}: name its folder with --model"
        )

    @pytest.mark.parametrize(
        ("changed", "expected"),
        [
            (
                {"model": "gone/model"},
                "the model gone/model, a local folder or file, is not there (looked in the working "
                "directory and in the folders above {run}); name it with --model",
            ),
            (
                {"image_processor": None},
                "the run was calibrated on imported features, whose model and preprocessing are "
                "not recorded; name a cache of such features as INPUT",
            ),
        ],
    )
    def test_that_is_gone_or_unknown(self, calibrated, tmp_path, changed, expected):
        run = read_run(calibrated.run)
        cache = {k: v for k, v in (run.provenance["cache"] | changed).items() if v is not None}
        write_run(tmp_path / "run", replace(run, provenance={"cache": cache}))
        image = calibrated.photos / "0000.png"
        assert refusal(tmp_path / "run", image) == (
            f"{tmp_path / 'run'}: {expected.format(run=tmp_path / 'run')}"
        )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"weights_sha256": "00"}, "weights_sha256: expected {sha}, found 00"),
        ({"bit_depth": 12}, "bit_depth: expected 16, found 12"),
    ],
)
def test_a_cache_of_another_model_is_refused(calibrated, small_clip, tmp_path, changed, expected):
    cache = read_cache(calibrated.cache)
    expected = expected.format(sha=cache.provenance["weights_sha256"])
    write_cache(tmp_path / "a.h5", replace(cache, provenance=cache.provenance | changed))
    assert refusal(calibrated.run, tmp_path / "a.h5") == (
        f"{tmp_path}/a.h5: {expected}; extract the images again with the run's model "
        f"{small_clip}, or predict from the images themselves"
    )


def test_options_that_do_not_go_together(calibrated):
    with pytest.raises(OptionError, match="--seed 1 and --seeds all: give one of them"):
        predict(calibrated.run, calibrated.cache, seed=1, seeds="all")
    with pytest.raises(OptionError, match="expected at least one INPUT, found none"):
        predict(calibrated.run)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--format", "csv", "--out", "a.jsonl"],
            "--format csv and --out a.jsonl do not go together: the name is that of jsonl; leave "
            "out --format, or name another file",
        ),
        (
            ["--format", "jsonl", "--out", "A.CSV"],
            "--format jsonl and --out A.CSV do not go together: the name is that of csv; leave out "
            "--format, or name another file",
        ),
        (
            ["--format", "table", "--out", "a.csv"],
            "--format table is for a terminal; for --out choose csv or jsonl",
        ),
    ],
)
def test_a_format_that_the_name_of_the_file_contradicts(arguments, message):
    done = CliRunner().invoke(main, ["predict", "--run", "x", "a.png", *arguments])
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (2, f"Error: {message}")


def test_a_method_without_a_head_names_those_with_one(calibrated):
    assert refusal(calibrated.run, calibrated.cache, method="cfr") == (
        f"{calibrated.run}: method: expected one with a stored head: zeroshot, dfr, linear-probe, "
        "found cfr; name one that it has, or calibrate again with --method"
    )
