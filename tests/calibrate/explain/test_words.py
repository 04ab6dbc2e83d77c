"""Words of errors: how often the right one is found, and how often one where nothing is hidden."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from clip_cfr.calibrate.explain.words import (
    LEVEL,
    class_directions,
    compare_words,
    difference_interval,
    find_named_classes,
    most_frequent,
    rank_words,
    why_untested,
)
from tests.calibrate.explain.worlds import HIDDEN, make_texts, make_words, make_world
from tests.calibrate.synthetic import unit

WORLDS = 40


def compare(seed: int, **settings):
    images, texts, words = make_world(seed, **settings)
    return compare_words(np.random.default_rng(seed), images, "erm", texts, words), words


def test_the_word_of_a_hidden_attribute_is_among_the_first_five():
    found = 0
    for seed in range(10):
        classes, words = compare(seed)
        for each in classes:
            first = [words.words[index] for index in rank_words(each, 1)[:5]]
            found += HIDDEN[1 - each.label] in first
    assert found >= 19, "of 20 classes"


@pytest.mark.parametrize(
    "settings",
    [{"attribute": 0.0}, {"at_random": True}, {"at_random": True, "rows_per_subject": 4}],
    ids=["class direction", "at random", "at random by subject"],
)
def test_where_nothing_is_hidden_words_are_named_at_the_stated_rate(settings):
    worlds = [compare(seed, **settings)[0] for seed in range(WORLDS)]
    named = sum(any(each.stands_out.any() for each in classes) for classes in worlds)
    assert named <= binom.ppf(0.999, WORLDS, LEVEL)


def test_words_nearer_to_right_images_are_ranked_by_themselves():
    classes, words = compare(0)
    assert [words.words[rank_words(each, -1)[0]] for each in classes] == list(HIDDEN)


@pytest.mark.parametrize(
    ("errors", "images", "why"),
    [
        (0, 0, "no images"),
        (0, 9, "no errors"),
        (1, 9, "fewer than 5 errors"),
        (9, 9, "fewer than 5 right images"),
        (5, 10, None),
    ],
)
def test_a_class_is_tested_if_it_has_enough_wrong_and_right_images(errors, images, why):
    assert why_untested(np.arange(images) < errors) == why


def test_classes_without_errors_are_left_out():
    images, texts, words = make_world(0)
    predicted = {"erm": np.where(images.labels == 0, 0, images.predicted["erm"])}
    rng = np.random.default_rng(0)
    found = compare_words(rng, replace(images, predicted=predicted), "erm", texts, words)
    assert [each.label for each in found] == [1]
    right = replace(images, predicted={"erm": images.labels})
    assert compare_words(rng, right, "erm", texts, words) == []


def test_directions_of_the_classes_do_not_count():
    images, texts, _ = make_world(0)
    between = texts.class_embeddings[1] - texts.class_embeddings[0]
    words = make_words(np.stack([between, -between]))
    found = compare_words(np.random.default_rng(0), images, "erm", texts, words)
    assert not any(each.stands_out.any() for each in found)


def test_class_directions_are_orthonormal_without_equal_classes(rng):
    embeddings = unit(rng.normal(size=(4, 8))).astype(np.float32)
    embeddings[3] = embeddings[0]
    basis = class_directions(embeddings, 0, np.array([1, 2, 3]))
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-6)
    assert class_directions(embeddings, 0, np.array([3])).shape == (0, 8)


def test_the_most_frequent_mistakes_come_first():
    assert most_frequent(np.array([4, 2, 2, 7])).tolist() == [2, 4, 7]
    assert len(most_frequent(np.arange(30))) == 10


def test_words_that_are_close_to_a_prompt_name_its_class(rng):
    vectors = rng.normal(size=(42, 32))
    texts = make_texts(vectors[:2])
    vectors[5] = 2 * vectors[1] + 0.1 * vectors[5]
    named = find_named_classes(make_words(vectors[2:]), texts)
    assert named[3] == 1
    assert (np.delete(named, 3) == -1).all()
    words = replace(make_words(vectors[2:]), words=("DOG", *make_words(vectors[2:]).words[1:]))
    assert find_named_classes(words, texts)[0] == 1


def test_the_interval_is_that_of_welch_up_to_its_degrees_of_freedom(rng):
    values, wrong = rng.normal(size=200), np.arange(200) < 100
    low, high = difference_interval(values, wrong, None)
    sides = values[wrong], values[~wrong]
    error = np.sqrt(sum(side.var(ddof=1) / len(side) for side in sides))
    assert (low + high) / 2 == pytest.approx(sides[0].mean() - sides[1].mean())
    assert (high - low) / 2 == pytest.approx(1.9842 * error, rel=1e-4)


def test_repeated_images_of_subjects_do_not_narrow_the_interval(rng):
    values, wrong = rng.normal(size=60), rng.random(60) < 0.4
    once = difference_interval(values, wrong, None)
    repeated = [np.repeat(each, 3) for each in (values, wrong, np.arange(60))]
    assert difference_interval(*repeated) == pytest.approx(once)
