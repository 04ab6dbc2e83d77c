"""A run explained: words, slices, suggestion, tables, and bad input."""

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.runs.encoding import class_indices
from clip_cfr.cache.runs.run import read_run, write_run
from clip_cfr.cache.words.files import read_words, write_words
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.explain.explain import explain_run
from clip_cfr.calibrate.explain.suggestion import suggest_attributes, suggest_command
from clip_cfr.cli import main
from tests.calibrate.explain.conftest import world_cache, world_run, write_world
from tests.calibrate.explain.worlds import HIDDEN, make_world

DRAWN = 10  # Training images that are val in a run.


@pytest.fixture(scope="module")
def explained(folder):
    return explain_run(folder / "run", words=folder / "words.h5", top=3)


def files(folder: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_the_hidden_words_come_first(explained, world):
    images, _, _ = world
    for label, each in enumerate(explained.classes):
        first = each.wrong_words[0]
        assert first.word == HIDDEN[1 - label]
        assert each.right_words[0].word == HIDDEN[label]
        assert first.interval[0] < first.difference < first.interval[1]
        assert (first.p_value, first.names_class) == (pytest.approx(1 / 1001), None)
        assert first.nearest_accuracy < each.accuracies["erm"] < each.accuracies["cfr"]
        assert (each.images, each.untested) == (100, None)
        assert each.errors == images.wrong("erm")[images.labels == label].sum()
        assert len(each.wrong_words) <= 3


def test_similarities_are_mean_cosines(explained, world):
    images, _, words = world
    first = explained.classes[0].wrong_words[0]
    rows, wrong = images.labels == 0, images.wrong("erm")
    cosines = images.embeddings @ words.embeddings[1]
    assert first.similarity_wrong == pytest.approx(cosines[rows & wrong].mean(), abs=1e-6)
    assert first.similarity_right == pytest.approx(cosines[rows & ~wrong].mean(), abs=1e-6)


def test_slices_are_repaired_by_the_method_that_ignores_the_attribute(explained, world):
    images, _, _ = world
    assert {each.label for each in explained.slices} == {"cat", "dog"}
    for each in explained.slices[:2]:
        label = ("cat", "dog").index(each.label)
        assert each.words[0] == HIDDEN[1 - label]
        assert each.accuracies["erm"] == pytest.approx(1 - each.errors / each.images)
        assert each.accuracies["erm"] < each.accuracies["cfr"] - 0.2
        nearest = [images.ids.index(name) for name in each.nearest]
        assert len(nearest) == 5
        assert (images.labels[nearest] == label).all()


def test_the_statement_has_its_error_rate(explained):
    assert re.fullmatch(
        r"\d+ of 102 words stand out in at least one of 2 classes tested \(family-wise error 5 %\)",
        explained.statement,
    )
    counts = [each.num_standing_out for each in explained.classes]
    assert max(counts) <= int(explained.statement.split()[0]) <= sum(counts)
    assert explained.attributes == (HIDDEN[1], HIDDEN[0])


def test_the_command_prints_tables_and_a_command_and_writes_nothing(folder):
    before = files(folder)
    options = ["--run", str(folder / "run"), "--words", str(folder / "words.h5")]
    result = CliRunner().invoke(main, ["explain", *options], prog_name="clip-cfr")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("world: errors of ERM, seed 0, on the val split\ncat: ")
    assert result.output.endswith(
        "Calibrate with the attribute that the words suggest:\n"
        f"clip-cfr calibrate --cache {folder / 'world.h5'} --method erm --method cfr --attribute "
        f"'hidden 1' --attribute 'hidden 0' --words {folder / 'words.h5'}\n"
    )
    found = CliRunner().invoke(main, ["explain", *options, "--json"], prog_name="clip-cfr").output
    assert json.loads(found)["attributes"] == ["hidden 1", "hidden 0"]
    assert files(folder) == before


def test_the_command_calibrates_as_the_run_did():
    config = {
        "methods": ["zeroshot", "erm", "cfr"],
        "seeds": [0, 1, 2],
        "settings": {**asdict(Settings(lr=0.5, precision="float32"))},
        "held_rows": 9,
        "prompts": "simple",
    }
    assert suggest_command(("on water", "b"), Path("c.h5"), config, 0.2, "w.h5") == (
        "clip-cfr calibrate --cache c.h5 --lr 0.5 --hold-rows 9 --prompts simple "
        "--val-fraction 0.2 --attribute 'on water' --attribute b --words w.h5 --seeds 3"
    )
    plain = {"methods": ["zeroshot", "erm", "cfr"], "seeds": [0]}
    assert suggest_command(("a", "b"), Path("c.h5"), plain) == (
        "clip-cfr calibrate --cache c.h5 --attribute a --attribute b"
    )
    assert suggest_command((), Path("c.h5"), plain) is None


def test_without_words_slices_still_work(folder):
    found = explain_run(folder / "run")
    assert found.statement == (
        f"{folder / 'world.h5'} has no words, so errors are not described in words; make a words "
        f"file and explain the errors with it: `clip-cfr words --cache {folder / 'world.h5'} "
        f"--model MODEL --out WORDS.h5`, then `clip-cfr explain --run {folder / 'run'} --method "
        "erm --split val --words WORDS.h5`, where MODEL computed the features"
    )
    assert len(found.slices) >= 2
    assert all(each.words == () for each in found.slices)
    assert [each.untested for each in found.classes] == ["no words", "no words"]
    assert (found.num_words, found.attributes) == (0, ())


def test_right_answers_and_single_errors_name_nothing(tmp_path, world):
    images, texts, words = world
    predicted = {"erm": images.labels.copy(), "cfr": images.labels}
    predicted["erm"][0] = 1
    write_world(tmp_path, replace(images, predicted=predicted), texts, words)
    found = explain_run(tmp_path / "run", words=tmp_path / "words.h5")
    assert [each.untested for each in found.classes] == ["fewer than 5 errors", "no errors"]
    assert (found.slices, found.attributes) == ((), ())
    assert found.statement == (
        "no class has enough wrong and right images to test 102 words; explain with --split train, "
        "or another --method, or calibrate on more images, "
        "or name an attribute that you suspect: calibrate --attribute"
    )


def test_errors_at_random_name_nothing(tmp_path):
    write_world(tmp_path, *make_world(1, at_random=True))
    found = explain_run(tmp_path / "run", words=tmp_path / "words.h5")
    assert found.statement == ("no word stands out among 102 in 2 classes (family-wise error 5 %)")
    assert all(each.words == () for each in found.slices)
    assert found.attributes == ()


def message_of(*arguments, **options) -> str:
    with pytest.raises(CacheError) as error:
        explain_run(*arguments, **options)
    return str(error.value)


def test_a_method_without_predictions_is_refused(folder):
    assert message_of(folder / "run", method="dfr") == (
        f"{folder / 'run'}: method: expected one with predictions: erm, cfr, found dfr; name one "
        "that it has, or calibrate again with --method"
    )


def test_the_command_takes_the_methods_on_groups_named_in_words(folder):
    options = ["--run", str(folder / "run"), "--method", "dfr-named"]
    result = CliRunner().invoke(main, ["explain", *options])
    assert result.exit_code == 1
    assert "method: expected one with predictions: erm, cfr, found dfr-named" in result.output


def test_a_split_without_predictions_is_refused(folder):
    assert message_of(folder / "run", split="test") == (
        f"{folder / 'run'}: predictions.csv.gz: expected predictions of the split test, found val; "
        "give another --split"
    )


def test_words_of_another_projection_are_refused(folder, tmp_path):
    words = read_words(folder / "words.h5")
    narrow = np.ascontiguousarray(words.embeddings[:, :8])
    narrow /= np.linalg.norm(narrow, axis=1, keepdims=True)
    write_words(tmp_path / "narrow.h5", replace(words, embeddings=narrow))
    message = message_of(folder / "run", words=tmp_path / "narrow.h5")
    assert message.startswith(f"{tmp_path / 'narrow.h5'}: expected words of the model of ")
    assert "the embeddings have 8 and 32 columns" in message


def test_a_cache_that_moved_is_named(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    moved = tmp_path / "moved"
    run, cache = moved / "run", moved / "world.h5"
    assert explain_run(run, cache=cache).cache == str(cache)
    write_world(tmp_path, *make_world(2))
    message = message_of(run, cache=tmp_path / "world.h5")
    assert message.startswith(f"{tmp_path / 'world.h5'}: expected the cache of the run {run}, ")
    named = {**read_run(run).config, "cache": "elsewhere/world.h5"}
    write_run(run, replace(read_run(run), config=named), overwrite=True)
    assert explain_run(run).cache == str(cache)  # Found by its name, in the folder above the run.
    cache.unlink()
    assert message_of(run) == (
        f"{run}: the cache of this run is not at hand: {tmp_path / 'world.h5'} has other contents "
        "than at calibration; name it with --cache"
    )
    (tmp_path / "world.h5").unlink()
    assert message_of(run) == (
        f"{run}: the cache of this run is not at hand: elsewhere/world.h5 was not found; name it "
        "with --cache"
    )


def test_class_names_that_are_numbers_are_found():
    assert class_indices("table", np.array([7, 1]), ("01", "7", "x")).tolist() == [1, 0]
    texts = np.array(["x", "01"], object)
    assert class_indices("table", texts, ("01", "7", "x")).tolist() == [2, 0]
    with pytest.raises(CacheError, match="expected names of classes of the cache, found 8"):
        class_indices("table", np.array([8]), ("01", "7"))


def test_words_of_one_class_suggest_both_sides(explained):
    first, second = explained.classes
    silent = replace(second, wrong_words=(), right_words=())
    assert suggest_attributes([first, silent]) == (HIDDEN[1], HIDDEN[0])
    named = replace(first.wrong_words[0], names_class="cat")
    assert suggest_attributes([replace(first, wrong_words=(named,)), silent]) == ()


@pytest.fixture(autouse=True)
def called_as_installed(monkeypatch):
    monkeypatch.setattr("sys.argv", ["clip-cfr"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory, world) -> Path:
    """A folder like `folder`, whose images are training images; val was drawn from the first."""
    root = tmp_path_factory.mktemp("trained")
    images, texts, words = world
    write_world(root, images, texts, words)
    cache = world_cache(images, texts)
    splits = np.zeros(len(images.ids), np.int8)
    write_cache(root / "world.h5", replace(cache, rows=replace(cache.rows, splits=splits)), True)
    run = world_run(root / "world.h5", cache, images)
    settings = {"calibration_size": None, "resample": False, "calibration_source": "identification"}
    errors = np.flatnonzero(images.wrong("erm"))
    errors = errors[errors >= DRAWN]
    names = np.array(texts.class_names)
    rows = {
        "seed": [0] * len(errors),
        "row": errors.tolist(),
        "predicted": names[images.predicted["erm"][errors]].tolist(),
    }
    predictions = {name: each[:DRAWN] for name, each in run.predictions.items()}
    run = replace(run, predictions=predictions, calibration_rows=rows)
    write_run(root / "run", replace(run, config=run.config | {"settings": settings}), True)
    return root


def test_training_errors_have_words_and_no_slices(trained, world):
    images, _, _ = world
    found = explain_run(trained / "run", split="train", words=trained / "words.h5", top=3)
    assert (found.method, found.methods) == ("identification", ("identification",))
    assert found.slices == ()
    assert found.attributes == (HIDDEN[1], HIDDEN[0])
    kept = np.arange(len(images.ids)) >= DRAWN
    for label, each in enumerate(found.classes):
        of_class = kept & (images.labels == label)
        assert (each.images, each.errors) == (of_class.sum(), images.wrong("erm")[of_class].sum())


def test_training_errors_are_those_of_one_head(trained):
    result = CliRunner().invoke(
        main, ["explain", "--run", str(trained / "run"), "--split", "train", "--method", "erm"]
    )
    assert result.exit_code == 2
    assert result.output.endswith(
        "Error: the run has training errors of the head that selects the calibration set, none of "
        "erm; leave out --method, or give --split val or test\n"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resample": True}, "the setting resample is True, so the run lacks training errors; "),
        ({"calibration_size": 20}, "the setting calibration_size is 20, so the run lacks "),
    ],
)
def test_a_run_without_all_training_errors_is_refused(trained, tmp_path, settings, message):
    run = read_run(trained / "run")
    config = run.config | {"settings": run.config["settings"] | settings}
    write_run(tmp_path / "run", replace(run, config=config))
    with pytest.raises(CacheError, match=message):
        explain_run(tmp_path / "run", split="train")


def test_a_run_of_an_earlier_version_has_no_training_errors(trained, tmp_path):
    run = read_run(trained / "run")
    rows = {name: each for name, each in run.calibration_rows.items() if name != "predicted"}
    for kept, found in ((rows, "a file of an earlier version"), ({}, "none")):
        write_run(tmp_path / "run", replace(run, calibration_rows=kept), True)
        with pytest.raises(CacheError, match=f"found {found}; calibrate again with --method cfr"):
            explain_run(tmp_path / "run", split="train")
