"""calibrate with attributes in words, from a cache to tables and the run folder."""

import csv
import gzip
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

import clip_cfr
from clip_cfr.cache.format.schema import Head
from clip_cfr.cache.runs.run import read_run
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.calibrate.commands.calibrate import calibrate
from clip_cfr.calibrate.commands.options import make_settings
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.named.embedded import prepare_attributes
from clip_cfr.calibrate.progress import SilentReporter
from clip_cfr.cli import main
from tests.calibrate.named.test_named import with_words
from tests.cli.test_calibrate import make_cache

TINY_CLIP = Path(clip_cfr.__path__[0]) / "extract" / "tiny_clip"
NAMED = ("--attribute", "red", "--attribute", "green")


class Recorder(SilentReporter):
    """Keeps the messages of a reporter."""

    def __init__(self):
        self.lines = []

    def message(self, line: str) -> None:
        self.lines.append(line)


def invoke(*arguments, code: int = 0):
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of zero-shot, on a cache whose vocabulary names the true attribute."""
    folder = tmp_path_factory.mktemp("run")
    write_cache(folder / "toy.h5", with_words(make_cache()))
    arguments = ["calibrate", "--cache", folder / "toy.h5", "--method", "zeroshot", *NAMED]
    invoke(*arguments, "--attribute-margin", "0.1", "--out", folder / "run")
    return folder / "run"


def test_the_tables_have_groups_named_in_words_and_say_how_many_images_are_left_out(run):
    result = json.loads(invoke("show", run, "--json").stdout)
    test = result["named"]["attributes"][0]["test"]
    assert test["left_out"] > 0
    assert test["agreement"] > 0.9
    assert result["selection"] == "worst-named-group"
    shown = invoke("show", run).stdout
    assert "worst group named in words" in shown
    assert "accuracy by groups named in words (attribute), on the test split, in per cent" in shown
    assert f"{test['left_out']} test rows are left out, with a margin below 0.1" in shown
    assert f"over all images: {100 * test['agreement']:.1f}" in shown
    assert "named value" in invoke("show", run, "--format", "markdown").stdout
    rows = invoke("show", run, "--format", "csv").stdout.splitlines()
    assert sum(",named-group accuracy,small,attribute: red," in row for row in rows) == 2 * 6


def test_the_run_keeps_the_value_and_the_margin_of_each_image(run):
    columns = read_run(run).named_attributes
    with gzip.open(run / "named_attributes.csv.gz", "rt") as file:
        assert len(list(csv.DictReader(file))) == len(columns["row"]) == 1200
    left_out = columns["value: attribute"] == ""
    assert (left_out == (columns["margin: attribute"] < 0.1)).all()
    config = json.loads((run / "config.json").read_text())["named"]
    assert config["attributes"] == [
        {"name": "attribute", "values": {"red": ["red"], "green": ["green"]}}
    ]
    assert config["options"] == [*NAMED, "--attribute-margin", "0.1"]


@pytest.mark.parametrize(
    ("options", "has_named", "selection"),
    [
        ([], False, "inferred-groups"),
        ([], True, "worst-named-group"),
        (["--selection", "worst-class"], True, "worst-class"),
        (["--preset", "release"], True, "worst-group"),
    ],
)
def test_the_default_selection_is_by_named_groups_where_there_are_some(
    options, has_named, selection
):
    context = calibrate.make_context("calibrate", ["--cache", "toy.h5", *options])
    values = {name: context.params[name] for name in asdict(Settings())}
    settings = make_settings(context, context.params["preset"], values, has_named)
    assert settings.selection == selection


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--attribute", "red"], 2, "--attribute: expected at least two values to choose from"),
        ([*NAMED, "--attributes", "a.json"], 2, "--attribute and --attributes exclude each other"),
        (["--selection", "worst-named-group"], 2, "expected attributes named in words to select"),
        (["--method", "dfr-named"], 1, "dfr-named needs attributes named in words: name one by"),
    ],
)
def test_wrong_usage_is_named(run, tmp_path, arguments, code, message):
    cache = run.parent / "toy.h5"
    done = invoke("calibrate", "--cache", cache, "--out", tmp_path / "r", *arguments, code=code)
    assert message in " ".join(done.stderr.split())


def test_a_phrase_that_the_cache_lacks_is_embedded_by_its_model(tmp_path):
    weights = load_file(TINY_CLIP / "model.safetensors")["visual_projection.weight"]
    projection = np.ascontiguousarray(weights.T, np.float32)
    cache = make_cache(dim=projection.shape[0])
    texts = np.eye(2, projection.shape[1], dtype=np.float32)
    texts = replace(cache.texts, class_embeddings=texts, class_prompt_embeddings=texts)
    provenance = {**cache.provenance, "model": str(TINY_CLIP)}
    made = replace(cache, head=Head(projection, None, 100.0), texts=texts, provenance=provenance)
    write_cache(tmp_path / "tiny.h5", made)
    recorder = Recorder()
    found = prepare_attributes(
        tmp_path / "tiny.h5", ("red digit", "green digit"), 0.0, None, recorder
    )
    assert recorder.lines == [f"embedding 2 phrases with the text tower of {TINY_CLIP}"]
    assert found.templates == ("{}", "a photo of {}")
    lengths = np.linalg.norm(found.embeddings[0], axis=1)
    assert found.embeddings[0].shape == (2, 64)
    assert lengths == pytest.approx([1, 1], abs=1e-5)


def test_a_grid_ranks_by_groups_named_in_words_and_its_command_names_them(run, tmp_path):
    arguments = ["grid", "--cache", run.parent / "toy.h5", "--out", tmp_path / "grid", *NAMED]
    quick = ["--method", "group-lr-named", "--erm-steps", 20]
    quick += ["--set", "resample=false"]
    result = json.loads(invoke(*arguments, *quick, "--evaluations", 2, "--json").stdout)
    assert result["criterion"] == "worst-named-group"
    (point,) = result["points"]
    assert 0 < point["val"]["worst_named_group"] <= 1
    assert result["named"]["options"] == list(NAMED)
    assert " --attribute red --attribute green" in result["best"]["command"]
    assert "--selection" not in result["best"]["command"]
    shown = invoke("show", tmp_path / "grid").stdout
    assert "val worst-named-group" in shown
