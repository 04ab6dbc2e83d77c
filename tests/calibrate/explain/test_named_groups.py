"""Accuracies in groups named in words: named for the explanation, or read from the run."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.runs.run import NAMED_ATTRIBUTES, read_run, write_run
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.explain.explain import explain_run
from clip_cfr.cli import main
from tests.calibrate.explain.worlds import HIDDEN

OPTIONS = ("--attribute", HIDDEN[0], "--attribute", HIDDEN[1])


@pytest.fixture(scope="module")
def values(world) -> np.ndarray:
    """The nearest hidden word of each image."""
    images, _, words = world
    return (images.embeddings @ words.embeddings[:2].T).argmax(axis=1)


@pytest.fixture(scope="module")
def explained(folder):
    return explain_run(folder / "run", words=folder / "words.h5", attributes=HIDDEN)


def test_every_method_has_its_accuracy_in_class_times_value(explained, world, values):
    images, _, _ = world
    (found,) = explained.named
    assert (found.attribute, found.margin) == ("attribute", 0.0)
    assert found.summary.counts == tuple(np.bincount(values))
    assert (found.summary.left_out, found.summary.agreement) == (0, None)
    cells = [(label, value) for label in range(2) for value in range(2)]
    for (label, value), group in zip(cells, found.groups, strict=True):
        rows = (images.labels == label) & (values == value)
        assert (group.label, group.value) == (("cat", "dog")[label], HIDDEN[value])
        assert group.images == rows.sum()
        for method, predicted in images.predicted.items():
            expected = (predicted == images.labels)[rows].mean()
            assert group.accuracies[method] == pytest.approx(expected)


def test_words_that_are_named_are_not_suggested_again(explained, folder):
    assert explained.attributes == ()
    other = explain_run(folder / "run", words=folder / "words.h5", attributes=("word 1", "word 2"))
    assert other.attributes == (HIDDEN[1], HIDDEN[0])


def test_images_below_the_margin_are_left_out(folder, world):
    images, _, words = world
    similarities = np.sort(images.embeddings @ words.embeddings[:2].T, axis=1)
    left_out = int((similarities[:, 1] - similarities[:, 0] < 0.3).sum())
    options = ["--run", str(folder / "run"), "--words", str(folder / "words.h5"), *OPTIONS]
    result = CliRunner().invoke(main, ["explain", *options, "--attribute-margin", "0.3"])
    assert result.exit_code == 0, result.output
    assert "groups named in words (attribute), with" in result.output
    assert f"{left_out} val rows are left out, with a margin below 0.3." in result.output
    assert "Calibrate with the attribute that the words suggest" not in result.output
    shown = CliRunner().invoke(main, ["explain", *options, "--attribute-margin", "0.3", "--json"])
    summary = json.loads(shown.stdout)["named"][0]["summary"]
    assert (summary["left_out"], sum(summary["counts"])) == (left_out, 200 - left_out)


def with_values(run, values, names=HIDDEN, **columns):
    """Return a run that was calibrated with an attribute `place`."""
    named = {"attributes": [{"name": "place", "values": {each: [each] for each in names}}]}
    table = {
        "row": run.predictions["row"],
        "value: place": [names[each] for each in values],
        "margin: place": np.ones(len(values)),
        **columns,
    }
    config = {**run.config, "named": {**named, "margin": 0.0}}
    return replace(run, config=config, named_attributes=table)


@pytest.mark.parametrize("names", [HIDDEN, ("0", "07")])
def test_the_values_of_the_run_need_no_words(folder, tmp_path, explained, values, names):
    write_run(tmp_path / "run", with_values(read_run(folder / "run"), values, names))
    (found,) = explain_run(tmp_path / "run").named
    assert found.attribute == "place"
    assert found.summary == explained.named[0].summary
    assert [each.value for each in found.groups] == [*names] * 2
    assert [each.accuracies for each in found.groups] == [
        each.accuracies for each in explained.named[0].groups
    ]


def test_other_attributes_replace_those_of_the_run(folder, tmp_path, explained, values):
    write_run(tmp_path / "run", with_values(read_run(folder / "run"), 1 - values))
    found = explain_run(tmp_path / "run", words=folder / "words.h5", attributes=HIDDEN)
    assert found.named == explained.named


def test_a_run_without_values_of_the_split_has_no_such_groups(folder, tmp_path, values):
    run = read_run(folder / "run")
    few = with_values(run, values[1:], row=run.predictions["row"][1:])
    write_run(tmp_path / "run", few)
    assert explain_run(tmp_path / "run").named == ()


def test_a_damaged_table_of_values_is_refused(folder, tmp_path, values):
    run = with_values(read_run(folder / "run"), values)
    columns = dict(run.named_attributes)
    del columns["margin: place"]
    write_run(tmp_path / "a", replace(run, named_attributes=columns))
    with pytest.raises(CacheError) as error:
        explain_run(tmp_path / "a")
    assert str(error.value) == (
        f"{tmp_path / 'a'}: {NAMED_ATTRIBUTES}: expected the column 'margin: place', found row, "
        "value: place; the run is damaged: calibrate again with --overwrite"
    )
    unknown = {**run.named_attributes, "value: place": ["sea"] * len(values)}
    write_run(tmp_path / "b", replace(run, named_attributes=unknown))
    with pytest.raises(CacheError, match=r"named_attributes\.csv\.gz: expected .* found 'sea'"):
        explain_run(tmp_path / "b")


def test_wrong_options_are_named(folder):
    run, words = folder / "run", folder / "words.h5"
    with pytest.raises(SettingsError, match="expected at least two values"):
        explain_run(run, words=words, attributes=HIDDEN[:1])
    with pytest.raises(SettingsError, match="attribute_margin is of use with attributes named"):
        explain_run(run, words=words, attribute_margin=0.1)
    with pytest.raises(CalibrationError) as error:
        explain_run(run, words=words, attributes=HIDDEN, attribute_margin=2.0)
    assert str(error.value).startswith(
        "--attribute-margin 2: no row of the val split has a value of 'attribute'; the largest "
    )
