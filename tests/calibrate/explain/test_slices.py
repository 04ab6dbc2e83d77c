"""Clusters of the images of a class in which a method is worse."""

from dataclasses import replace

import numpy as np

from clip_cfr.calibrate.explain.slices import find_clusters, fit_mixture
from tests.calibrate.explain.worlds import make_world


def test_the_worst_cluster_has_the_attribute_that_harms_its_class(world):
    images, _, words = world
    for label in (0, 1):
        rows = np.flatnonzero(images.labels == label)
        worst = find_clusters(images, "erm", rows)[0]
        leans = images.embeddings @ (words.embeddings[1 - label] - words.embeddings[label])
        assert (images.labels[worst.rows] == label).all()
        assert (leans[worst.rows] > 0).mean() > 0.9
        assert worst.excess > 5


def test_few_or_equal_images_have_no_clusters(world):
    images, _, _ = world
    assert find_clusters(images, "erm", np.arange(19)) == []
    equal = replace(images, embeddings=np.ones_like(images.embeddings))
    assert find_clusters(equal, "erm", np.arange(100)) == []


def test_repeated_images_are_divided_without_warnings():
    embeddings = np.repeat(np.eye(3)[:2], 30, axis=0)
    owners, distances = fit_mixture(embeddings, np.full(60, 0.5), components=5)
    assert distances.shape == (60, 5)
    assert len(set(owners[:30])) == len(set(owners[30:])) == 1
    assert owners[0] != owners[30]


def test_errors_of_all_attributes_alike_leave_no_large_excess():
    images, _, _ = make_world(0, at_random=True)
    for label in (0, 1):
        rows = np.flatnonzero(images.labels == label)
        assert all(each.excess < 8 for each in find_clusters(images, "erm", rows))
