"""From words to groups: values of rows, metrics, methods and messages, with made-up embeddings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import Vocabulary
from clip_cfr.cache.words.files import write_words
from clip_cfr.cache.words.words import Words, model_of_cache
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.named_groups import criterion_value
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.methods import ALL_METHODS, METHODS, NAMED_METHODS, fit, load_method
from clip_cfr.calibrate.methods.checks import check_task
from clip_cfr.calibrate.named import phrases
from clip_cfr.calibrate.named.embedded import name_groups, prepare_attributes
from clip_cfr.calibrate.named.summary import (
    NamedSummary,
    idle_warnings,
    least_p_value,
    named_warnings,
    summarize_named,
)
from clip_cfr.calibrate.progress import SilentReporter
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.synthetic import make_task, quick_settings
from tests.cli.test_calibrate import make_cache

TEMPLATES = ("{}", "a photo of {}")
COLOURS = ("Red", "green")


def with_words(cache, words=("red", "green"), axis: int = 1):
    """Return a cache whose vocabulary has the directions -1 and 1 along one axis."""
    embeddings = np.zeros((len(words), cache.head.projection.shape[1]), np.float32)
    embeddings[:, axis] = np.linspace(-1, 1, len(words))
    return replace(cache, vocabulary=Vocabulary(tuple(words), TEMPLATES, embeddings))


@pytest.fixture(scope="module")
def cache_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("caches") / "toy.h5"
    write_cache(path, with_words(make_cache()))
    return path


def prepare_quietly(path, attributes, margin=0.0, words=None):
    return prepare_attributes(path, attributes, margin, words, SilentReporter())


@pytest.fixture(scope="module")
def named_task():
    """The task of other tests, with its true attributes as those that words name."""
    task = make_task()
    directions = np.stack(
        [task.features[task.attributes == each].mean(axis=0) @ task.projection for each in (0, 1)]
    )
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return name_groups(task, embedded(directions), NAMED_METHODS)


def embedded(directions, margin: float = 0.0):
    from clip_cfr.calibrate.named.embedded import EmbeddedAttributes
    from clip_cfr.calibrate.named.request import read_attributes

    attributes = read_attributes(COLOURS)
    return EmbeddedAttributes(
        attributes, (directions.astype(np.float32),), margin, TEMPLATES, ("--attribute",)
    )


def test_phrases_of_the_vocabulary_need_no_model(cache_file, monkeypatch):
    monkeypatch.setattr(phrases, "is_installed", lambda name: False)
    found = prepare_quietly(cache_file, COLOURS)
    assert found.templates == TEMPLATES
    assert found.embeddings[0][:, 1].tolist() == [-1, 1]
    assert found.options == ("--attribute", "Red", "--attribute", "green")


def test_a_phrase_without_an_embedding_is_an_error_with_the_command(cache_file, monkeypatch):
    monkeypatch.setattr(phrases, "is_installed", lambda name: False)
    with pytest.raises(CalibrationError) as error:
        prepare_quietly(cache_file, ("red", "it's blue"))
    assert str(error.value).startswith(f'{cache_file}: no text embedding of "it\'s blue"; embed')
    assert str(error.value).endswith(
        "and add --words words.h5: clip-cfr words '--word=it'\"'\"'s blue' '--template={}' "
        f"'--template=a photo of {{}}' --cache {cache_file} --out words.h5"
    )


def test_a_words_file_of_the_model_is_used_and_one_of_another_refused(cache_file, tmp_path):
    cache, path = make_cache(), tmp_path / "w.h5"
    model = model_of_cache(cache)
    vectors = np.eye(2, cache.head.projection.shape[1], dtype=np.float32)
    write_words(path, Words(("blue", "red"), vectors, ("{}",), model.entries))
    found = prepare_quietly(cache_file, ("red", "blue"), words=path)
    assert found.embeddings[0].tolist() == vectors[::-1].tolist()
    assert found.templates == ("{}",)
    other = {**model.entries, "projection_sha256": "0" * 64}
    write_words(path, Words(("blue", "red"), vectors, ("{}",), other), overwrite=True)
    with pytest.raises(CacheError, match="the projections differ; embed the words with the model"):
        prepare_quietly(cache_file, ("red", "blue"), words=path)


def test_an_imported_cache_without_words_says_which_model_is_missing(tmp_path):
    path, cache = tmp_path / "i.h5", make_cache()
    write_cache(path, replace(cache, provenance={**cache.provenance, "model": "imported"}))
    with pytest.raises(
        CalibrationError, match=r"imported and name no model; embed .* --model MODEL"
    ):
        prepare_quietly(path, COLOURS)


def test_values_of_the_same_embedding_are_refused(tmp_path):
    path, cache = tmp_path / "s.h5", with_words(make_cache(), ("red", "green", "scarlet"))
    same = cache.vocabulary.embeddings.copy()
    same[2] = same[0]
    same[1] = np.eye(len(same[0]), dtype=np.float32)[0]
    write_cache(path, replace(cache, vocabulary=replace(cache.vocabulary, embeddings=same)))
    with pytest.raises(SettingsError, match="'scarlet' and 'red' have the same text embedding"):
        prepare_quietly(path, ("scarlet", "green", "red"))


@pytest.mark.parametrize(
    ("margin", "words", "name"), [(0.1, None, "attribute_margin"), (0, Path("w.h5"), "words")]
)
def test_options_without_attributes_are_refused(cache_file, margin, words, name):
    with pytest.raises(SettingsError, match=f"{name} is of use with attributes named in words"):
        prepare_quietly(cache_file, None, margin, words)
    with pytest.raises(SettingsError, match="attribute_margin is -1, expected"):
        prepare_quietly(cache_file, COLOURS, -1)


def test_rows_get_the_similar_value_and_train_only_if_a_method_needs_it(named_task):
    task, (named,) = named_task, named_task.named
    assert (named.indices == task.attributes).mean() > 0.95
    other = name_groups(task, embedded(np.eye(2, 12)), ("erm",)).named[0]
    train = task.splits == 0
    assert (other.indices[train] == -1).all()
    assert np.isnan(other.margins[train]).all()
    assert (other.indices[~train] >= 0).all()


def test_rows_below_the_margin_are_left_out(named_task):
    margins = named_task.named[0].margins
    limit = float(np.median(margins))
    plain = replace(named_task, named=())
    cut = name_groups(plain, embedded(np.eye(2, 12), limit), ("erm",)).named[0]
    assert ((cut.margins >= limit) == (cut.indices >= 0)).all()
    with pytest.raises(CalibrationError, match="no row of the val split has a value of"):
        name_groups(plain, embedded(np.eye(2, 12), 2.0), ("erm",))


def test_the_summary_has_agreement_and_survives_json(named_task):
    summary = summarize_named(named_task, embedded(np.eye(2, 12)))
    test = summary.splits[0]["test"]
    rows = named_task.rows("test")
    agrees = named_task.named[0].indices[rows] == named_task.attributes[rows]
    assert test.agreement == pytest.approx(agrees.mean())
    assert [each.value for each in test.groups] == ["Red", "green"] * 2
    assert sum(each.n for each in test.groups) == len(rows) == sum(test.counts)
    assert NamedSummary.from_json(summary.to_json()) == summary


def test_words_that_have_nothing_to_do_with_the_errors_are_named(named_task, rng):
    rows = named_task.rows("val")
    follows = named_task.named[0].indices[rows] == named_task.labels[rows]
    assert idle_warnings(named_task, follows) == []
    (warning,) = idle_warnings(named_task, rng.random(len(rows)) < 0.8)
    assert warning.startswith(
        "ERM's validation accuracy differs between the values of 'attribute' in no class beyond "
    )
    (named,) = named_task.named
    one_value = replace(named, indices=np.zeros_like(named.indices))
    assert idle_warnings(replace(named_task, named=(one_value,)), follows) == []


def test_the_p_value_is_the_least_of_the_chi_squared_tests_of_classes(rng):
    labels, values = rng.integers(2, size=200), rng.integers(-1, 3, size=200)
    correct = rng.random(200) < np.where(values == 1, 0.6, 0.8)
    expected = []
    for label in range(2):
        chosen = (labels == label) & (values >= 0)
        table = np.zeros((3, 2))
        np.add.at(table, (values[chosen], correct[chosen].astype(int)), 1)
        expected.append(chi2_contingency(table, correction=False).pvalue)
    assert least_p_value(labels, values, correct) == pytest.approx(min(expected))
    assert least_p_value(labels, values, np.ones(200, bool)) == 1


def test_groups_without_validation_images_are_named(named_task):
    (named,) = named_task.named
    rows = named_task.rows("val")
    assert named_warnings(named_task) == []
    indices = named.indices.copy()
    indices[rows[named_task.labels[rows] == 1]] = 0
    few = replace(named_task, named=(replace(named, indices=indices),))
    (warning,) = named_warnings(few)
    assert warning.startswith(
        "groups named in words with fewer than 3 validation images: (class 1, green); selection"
    )


def test_the_criterion_of_training_is_that_of_the_metrics(named_task):
    settings = quick_settings(selection="worst-named-group")
    experiment = Experiment(prepare(named_task), settings, 0)
    found = fit_and_evaluate("erm", experiment)
    val = found.metrics["worst-named-group"]["val"]
    logged = found.fitted.history["val worst-named-group"]
    assert val.worst_named_group == pytest.approx(logged.max(), abs=1e-6)
    assert val.worst_named_group == min(each.accuracy for each in val.named_groups)
    # The rows of group DRO and the two others are those of the words, so that they repair ERM.
    for name in NAMED_METHODS:
        repaired = fit_and_evaluate(name, experiment).metrics["worst-named-group"]["test"]
        assert repaired.worst_group > found.metrics["worst-named-group"]["test"].worst_group + 0.1


def test_the_criterion_of_training_is_a_mean_where_a_group_is_small(named_task):
    (named,) = named_task.named
    rows = named_task.rows("val")
    indices = named.indices.copy()
    group = rows[(named_task.labels[rows] == 1) & (indices[rows] == 0)]
    indices[group[2:]] = 1
    few = replace(named_task, named=(replace(named, indices=indices),))
    experiment = Experiment(prepare(few), quick_settings(), 0)
    found = fit_and_evaluate("erm", experiment).fitted
    labels = few.labels[rows]
    cells = few.named_cells[rows]
    expected = criterion_value(found.val_correct, labels, cells, few.num_named_cells)
    np.testing.assert_allclose(found.history["val worst-named-group"], expected, atol=1e-6)
    means = [
        np.mean(
            [
                each.mean(),
                min(each[labels == label].mean() for label in (0, 1)),
                np.mean([each[cells[:, 0] == cell].mean() for cell in range(4)]),
            ]
        )
        for each in found.val_correct
    ]
    np.testing.assert_allclose(expected, means)


def test_methods_on_named_groups_use_no_labels_of_attributes(named_task):
    other = replace(named_task, attributes=np.zeros_like(named_task.attributes))
    settings = quick_settings(dfr_subsamples=1)
    for name in NAMED_METHODS:
        first, second = (
            fit(name, run).classifiers["average"].arrays(run)
            for run in (Experiment(prepare(each), settings, 0) for each in (named_task, other))
        )
        for key in first:
            np.testing.assert_array_equal(first[key], second[key], err_msg=f"{name} {key}")


def test_methods_and_criterion_need_named_attributes():
    task = make_task()
    declared = [each for each in ALL_METHODS if load_method(each).group_labels == "named in words"]
    assert tuple(declared) == NAMED_METHODS
    assert set(METHODS).isdisjoint(NAMED_METHODS)
    for name in NAMED_METHODS:
        with pytest.raises(CalibrationError, match=f"{name} needs attributes named in words: name"):
            check_task(task, Settings(), [name])
    with pytest.raises(
        SettingsError, match="selection is 'worst-named-group', expected attributes"
    ):
        check_task(task, Settings(selection="worst-named-group"), ["erm"])
