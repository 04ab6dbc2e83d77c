"""`study cost`: the answer from made-up measurements, every refusal, and one whole run."""

import csv
import hashlib
import json
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from clip_cfr.cache.console import COMMAND_LINE
from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.calibrate.bench.measured_run import Run, run_measured
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.studies.cost import measure, run, run_cost
from clip_cfr.calibrate.studies.cost.check import MODEL
from clip_cfr.calibrate.studies.cost.flops import paper_costs
from clip_cfr.calibrate.studies.cost.measure import (
    Accuracy,
    Cost,
    Measurements,
    setting_words,
)
from clip_cfr.calibrate.studies.cost.result import CostResult
from clip_cfr.cli import main
from tests.calibrate.synthetic import cache_of, make_task, quick_settings
from tests.samples import save_photos

QUICK = quick_settings(steps=4, identification_steps=4, erm_steps=4, evaluations=2)
PHOTOS = 60
WEIGHTS = hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()


def calibrate_here(command, folder):
    """Run the command calibrate in this process, which has JAX; other commands as they are."""
    if "calibrate" not in command:
        return run_measured(command, folder)
    assert command[: len(COMMAND_LINE)] == [*COMMAND_LINE]
    done = CliRunner().invoke(main, command[len(COMMAND_LINE) :])
    assert done.exit_code == 0, done.output
    return Run(json.loads(done.stdout), seconds=1.0, cpu_seconds=1.0, rss_mb=200.0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("photos") / "root", PHOTOS)


@pytest.fixture(scope="module")
def tiny_cache(tmp_path_factory, photos):
    """A cache with random features, said to be of the tiny CLIP, with the paths of the photos."""
    cache = cache_of(make_task(sizes=(30, 15, 15), dim=96, embedding=64))
    ids = tuple(f"{number:04}.png" for number in range(PHOTOS))
    provenance = {**cache.provenance, "weights_sha256": WEIGHTS}
    path = tmp_path_factory.mktemp("caches") / "tiny.h5"
    write_cache(path, replace(cache, rows=replace(cache.rows, ids=ids), provenance=provenance))
    return path


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, ["study", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def made_up(seeds=(0, 1)) -> CostResult:
    measured = Measurements(
        fine_tuning=Cost(60.0, 55.0, 1200.0),
        extraction=Cost(4.0, 3.0, 500.0),
        calibration=Cost(6.0, 5.0, 600.0),
        accuracies={
            "fine-tuning": Accuracy((0.5, 0.7), (0.8, 0.8)),
            "cfr": Accuracy((0.9, 0.9), (0.95, 0.95)),
        },
        epochs=(3, 5),
    )
    return CostResult(
        cache="a.h5",
        dataset="digits",
        settings=Settings(),
        epochs=10,
        seeds=seeds,
        judged_by="worst_group",
        measured=measured,
        paper=paper_costs(10, Settings()),
        directory=Path("out"),
    )


def test_the_answer_has_the_measured_ratio_and_those_on_paper():
    assert made_up().sentences == (
        "Full fine-tuning of the tiny CLIP for 10 epochs with 2 seeds took 60.0 s, 6.0 times the "
        "4.0 s of one extraction and 6.0 s of ERM and CFR on its features, with a peak memory of "
        "1,200 MB against 600 MB.",
        "Test worst-group accuracy (average in parentheses) is: full fine-tuning 60.0 % (80.0 %), "
        "CFR 90.0 % (95.0 %); on paper, full fine-tuning of ViT-B/32 to ViT-L/14@336 takes 28.7 to "
        "30.0 times the FLOPs of extraction and calibration.",
    )


def test_rows_name_each_number():
    rows = list(made_up().tidy_rows())
    found = {(each["name"], each["seed"], each["quantity"]): each["value"] for each in rows}
    assert len(found) == len(rows) == 3 * 3 + 2 * 2 * 2 + 6 * 5
    assert found["extraction", "", "cpu_seconds"] == 3.0
    assert found["full fine-tuning", 1, "test worst-group"] == 0.7
    assert found["ViT-L/14, 5000 images", "", "ratio"] == pytest.approx(29.86, abs=0.01)


def test_settings_become_options():
    assert setting_words(Settings()) == []
    changed = Settings(lr=0.01, freeze_logit_scale=True, negative_pool=64)
    assert setting_words(changed) == [
        *("--lr", "0.01", "--negative-pool", "64", "--freeze-logit-scale"),
    ]


def test_a_whole_run(tiny_cache, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "TOLERANCE", float("inf"))
    monkeypatch.setattr(measure, "run_measured", calibrate_here)
    monkeypatch.setattr(measure, "METHODS", ("erm",))  # Compiling CFR would take seconds.
    out = tmp_path / "out"
    result = run_cost(tiny_cache, photos, QUICK, epochs=2, seeds=1, out=out)
    assert json.loads((out / "study.json").read_text()) == result.to_json()
    assert list(result.measured.accuracies) == ["fine-tuning", "erm"]
    assert result.measured.epochs[0] in (1, 2)
    for cost in result.costs.values():
        assert cost.seconds > 0
        assert cost.rss_mb > 100
    for each in result.measured.accuracies.values():
        assert 0 <= each.worst[0] <= each.average[0] <= 1
    with open(out / "study.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(list(result.tidy_rows()))
    assert (out / "study.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_the_script_refuses_images_of_another_cache():
    spec = spec_from_file_location(
        "compare_features", measure.SCRIPT.parent / "compare_features.py"
    )
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    cached = np.ones((3, 4), np.float32)
    module.check_features(1.04 * cached, cached, "photos", 0.05)
    with pytest.raises(SystemExit) as error:
        module.check_features(cached * [[1], [1.5], [1]], cached, "photos", 0.05)
    assert error.value.code == (
        "photos: its images give other features than the cache has (they differ by 0.5 of their "
        "length, expected at most 0.05); set --root to the folder that the cache was extracted from"
    )
    with pytest.raises(SystemExit, match="differ by nan"):
        module.check_features(np.nan * cached, cached, "photos", 0.05)


def test_a_failed_script_is_an_error_with_its_last_line(tiny_cache, photos, tmp_path, monkeypatch):
    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit('Error: 0001.png: cannot be read')")
    monkeypatch.setattr(measure, "SCRIPT", script)
    with pytest.raises(CalibrationError, match=r"^0001\.png: cannot be read$"):
        run_cost(tiny_cache, photos, QUICK, epochs=1, seeds=1, out=tmp_path / "out")


def test_refuses_another_model(task, photos, tmp_path):
    path, out = tmp_path / "toy.h5", tmp_path / "out"
    write_cache(path, cache_of(task))
    with pytest.raises(CalibrationError) as error:
        run_cost(path, photos, QUICK, out=out)
    assert str(error.value) == (
        f"{path}: the features are of the model none, expected the embedded tiny CLIP, which the "
        "study cost fine-tunes: make a cache with extract --dataset digits --root images --model "
        f"{MODEL}"
    )
    assert not out.exists()


def test_refuses_a_folder_without_the_images(tiny_cache, tmp_path):
    with pytest.raises(CalibrationError) as error:
        run_cost(tiny_cache, tmp_path, QUICK, out=tmp_path / "out")
    assert str(error.value) == (
        f"{tmp_path}: 60 of the 60 images of {tiny_cache} are missing, the first is 0000.png; set "
        "--root to the folder that the cache was extracted from"
    )


@pytest.mark.parametrize("package", ["torch", "transformers", "PIL"])
def test_names_a_missing_package_before_anything_runs(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    done = invoke("cost", "--cache", "a.h5", "--root", "images", code=1)
    assert done.stderr == (
        f"Error: the package {package} is missing; install it with: pip install "
        "'clip-cfr[extract]'\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": None}, "--root is missing: the study cost needs the images of the cache"),
        ({"epochs": 0}, "epochs is 0, expected at least 1"),
        ({"seeds": 0}, "seeds is 0, expected at least 1"),
        ({"device": "gpu"}, "device is 'gpu': the study cost measures on the CPU; leave it out"),
        (
            {"settings": Settings(selection="average")},
            "selection is 'average', expected 'worst-class': the study cost selects fine-tuned "
            "models and heads by it",
        ),
    ],
)
def test_refuses_arguments(arguments, message, tmp_path):
    given = {"cache": "a.h5", "root": "images", **arguments}
    with pytest.raises(SettingsError) as error:
        run_cost(given.pop("cache"), given.pop("root"), **given, out=tmp_path / "out")
    assert str(error.value) == message


def test_refuses_a_folder_of_another_study(tiny_cache, photos, tmp_path):
    (tmp_path / "study.json").write_text('{"study": "selection"}')
    with pytest.raises(CacheError, match="exists and is not a study folder; name another one"):
        run_cost(tiny_cache, photos, QUICK, out=tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("cost", "--cache", "a", "--cache", "b"),
            "--cache is given 2 times; the study cost takes",
        ),
        (("cost", "--cache", "a", "--workers", 2), "--workers: the study cost fits no points"),
        (("selection", "--cache", "a", "--epochs", 2), "--epochs: the study selection fine-tunes"),
        (("selection", "--cache", "a", "--root", "b"), "--root: the study selection fine-tunes"),
    ],
)
def test_options_of_the_other_studies_are_refused(words, message):
    assert f"Error: {message}" in invoke(*words, code=2).stderr


def test_the_tables_and_the_answer_are_printed(monkeypatch):
    monkeypatch.setattr(run, "run_cost", lambda *args, **options: made_up())
    printed = invoke("cost", "--cache", "a.h5", "--root", "images")
    text = " ".join(printed.stdout.split())
    assert text.startswith("digits: cost on this machine, seeds: 2 AdamW, learning rate 0.0001, ")
    assert "full fine-tuning 60.0 55.0 1,200" in text
    assert "CFR 90.0 95.0" in text
    assert "ViT-B/32 5,000 8.8e+09 1.3e+15 4.4e+13 1.9e+12 28.7" in text
    assert " ".join(made_up().sentences) in text
    assert printed.stderr == "study written to out\n"
