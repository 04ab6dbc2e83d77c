"""CFR without one or two of its terms, against CFR with the weight of the terms at zero."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.methods import cfr, fit
from tests.calibrate.synthetic import quick_settings

# By method, whether it has the contrastive and the holistic term.
TERMS = {
    "cfr": (True, True),
    "cfr-no-contrast": (False, True),
    "cfr-no-holistic": (True, False),
    "error-set": (False, False),
}
of_every_variant = pytest.mark.parametrize("method", TERMS)


def last_head(fitted):
    return fitted.classifiers["last"].head


def assert_same_head(first, second) -> None:
    for name in first._fields:
        left, right = getattr(first, name), getattr(second, name)
        assert (left is None and right is None) or (left == right).all(), name


@of_every_variant
def test_logs_zero_for_the_terms_it_leaves_out(experiment, method):
    history = fit(method, experiment).history
    found = tuple(bool((history[name] != 0).all()) for name in ("contrastive", "holistic"))
    assert found == TERMS[method]
    weighted = history["cross_entropy"] + history["contrastive"] + history["holistic"]
    assert history["loss"] == pytest.approx(weighted, rel=1e-5)


@of_every_variant
def test_without_contrast_no_positives_and_negatives_are_drawn(experiment, method):
    contrast, _ = TERMS[method]
    stage = next(cfr.make_segments(experiment, contrast=contrast)).stage
    assert (stage.batches.negatives is not None) == contrast
    assert (stage.loss_state is not None) == contrast


def test_minibatches_are_those_of_cfr(experiment):
    whole, part = (
        next(cfr.make_segments(experiment, contrast=contrast)).stage.batches
        for contrast in (True, False)
    )
    assert (whole.anchors == part.anchors).all()
    assert (whole.training == part.training).all()
    assert (whole.alpha == part.alpha).all()


def test_positives_and_negatives_change_nothing_without_contrast(experiment):
    """Other pools, another temperature: the same head, to the bit."""
    changes = {"negative": "nns", "temperature": 0.7, "num_negatives": 7}
    other = experiment.with_settings(replace(experiment.settings, **changes))
    for method in ("cfr-no-contrast", "error-set"):
        assert_same_head(last_head(fit(method, experiment)), last_head(fit(method, other)))


def test_the_holistic_settings_change_nothing_without_the_term(experiment):
    changes = {"holistic": "supcon", "holistic_weight": 5.0, "supcon_temperature": 0.5}
    other = experiment.with_settings(replace(experiment.settings, **changes))
    for method in ("cfr-no-holistic", "error-set"):
        assert_same_head(last_head(fit(method, experiment)), last_head(fit(method, other)))


def test_leaving_out_the_holistic_term_is_giving_it_no_weight(experiment):
    weightless = experiment.with_settings(replace(experiment.settings, holistic_weight=0.0))
    expected = last_head(fit("cfr", weightless))
    found = last_head(fit("cfr-no-holistic", experiment))
    assert found.weight == pytest.approx(np.asarray(expected.weight), rel=1e-4, abs=1e-5)


def test_a_step_of_the_error_set_descends_the_cross_entropy_of_both_minibatches(experiment):
    """One step without momentum, dropout and decay, against the gradient in float64."""
    settings = quick_settings(
        **{"steps": 1, "momentum": 0.0, "dropout": 0.0, "weight_decay": 0.0, "lr": 0.1},
        **{"init": "clip", "cross_entropy": "both"},
    )
    one = experiment.with_settings(settings)
    batches = next(cfr.make_segments(one, contrast=False)).stage.batches
    rows = np.concatenate([batches.anchors[0], batches.training[0]])
    before = one.initial_head()
    found = last_head(fit("error-set", one))
    scale = float(one.prepared.units.features)
    features = one.task.features[rows].astype(float) / scale
    expected = step_by_formula(before, features, one.task.labels[rows], one.task.class_embeddings)
    moved = np.asarray(found.weight, float) - np.asarray(before.weight, float)
    assert moved == pytest.approx(expected * 0.1, rel=1e-3, abs=1e-6)


def step_by_formula(head, features, labels, class_embeddings):
    """Minus the gradient of the mean cross-entropy with respect to the projection, in float64."""
    weight, scale = np.asarray(head.weight, float), np.exp(float(head.log_scale))
    total = np.zeros_like(weight)
    for row, label in zip(features, labels, strict=True):
        projected = weight @ row
        length = np.linalg.norm(projected)
        vector = projected / length
        scores = scale * class_embeddings.astype(float) @ vector
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        chances[label] -= 1
        slope = scale * class_embeddings.astype(float).T @ chances
        # The derivative of normalization removes the part along the vector.
        total += np.outer((slope - vector * (vector @ slope)) / length, row)
    return -total / len(features)
