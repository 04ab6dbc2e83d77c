"""Each loss against its formula, by hand, under symmetries, and where a batch is degenerate."""

from functools import cache
from math import exp, log

import jax
import numpy as np
import pytest
from jax.test_util import check_grads

from clip_cfr.calibrate.core import losses
from clip_cfr.calibrate.core.embeddings import normalize
from tests.calibrate import reference
from tests.calibrate.synthetic import unit

# Compiled whole: a program each, where their operations one by one would be twenty.
cross_entropy = jax.jit(losses.cross_entropy)
contrastive_loss = jax.jit(losses.contrastive_loss, static_argnames="num_negatives")
masked_mean = jax.jit(losses.masked_mean)
cosine_loss = jax.jit(
    lambda vectors, *args: losses.cosine_loss(normalize(vectors.T), *args), static_argnums=2
)
supcon_loss = jax.jit(lambda vectors, *args: losses.supcon_loss(normalize(vectors.T), *args))
cnc_loss = jax.jit(lambda vectors, *args: losses.cnc_loss(normalize(vectors.T), *args))


def check_gradients(loss, *args):
    """Compares the gradient with finite differences, which float32 allows only coarsely."""
    args = tuple(np.asarray(each, np.float32) for each in args)
    check_grads(jax.jit(loss), args, order=1, modes=["rev"], eps=1e-2, atol=1e-2, rtol=1e-2)


def embeddings_of(rng, rows: int, dim: int = 5):
    return unit(rng.normal(size=(rows, dim)))


def cosines(rng, anchors: int = 6, positives: int = 3, negatives: int = 4):
    """Random cosines and masks, in the order that the contrastive loss takes them."""
    return (
        rng.uniform(-1, 1, (anchors, positives)),
        rng.random((anchors, positives)) < 0.7,
        rng.uniform(-1, 1, (anchors, negatives)),
        rng.random((anchors, negatives)) < 0.7,
    )


def masked_lists(values, mask):
    """The values of each row whose mask is true."""
    return [row[kept] for row, kept in zip(values, mask, strict=True)]


@cache
def with_gradient(loss):
    """A loss with its gradient with respect to the first argument; compiled once."""
    return jax.jit(jax.value_and_grad(loss))


def finite(loss, *args) -> bool:
    """Whether a loss and its gradient with respect to the first argument are finite."""
    value, gradient = with_gradient(loss)(*args)
    return bool(np.isfinite(value) & np.isfinite(gradient).all())


class TestCrossEntropy:
    @pytest.mark.parametrize("classes", [2, 7])
    def test_is_the_formula(self, rng, classes):
        scores, labels = rng.normal(size=(9, classes)) * 3, rng.integers(classes, size=9)
        expected = reference.cross_entropy(scores, labels)
        found = cross_entropy(scores, labels)
        assert float(found) == pytest.approx(expected, rel=1e-5)

    def test_by_hand(self):
        found = cross_entropy(np.array([[0.0, 0.0], [log(3), 0.0]]), np.array([0, 1]))
        assert float(found) == pytest.approx((log(2) + log(4)) / 2)

    def test_gradients(self, rng):
        labels = np.array([0, 2, 1])
        check_gradients(lambda x: cross_entropy(x, labels), rng.normal(size=(3, 3)))

    def test_is_finite_for_logits_that_overflow_exp(self):
        assert finite(cross_entropy, np.array([[1e4, -1e4]]), np.array([1]))


class TestContrastive:
    @pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
    def test_is_the_formula(self, rng, temperature):
        positives, positive_mask, negatives, negative_mask = args = cosines(rng)
        expected = reference.contrastive(
            masked_lists(positives, positive_mask),
            masked_lists(negatives, negative_mask),
            temperature,
        )
        assert float(contrastive_loss(*args, temperature)) == pytest.approx(expected, rel=1e-5)

    def test_by_hand(self):
        """Two positives and two negatives, all cosines known."""
        yes = np.ones((1, 2), bool)
        found = contrastive_loss(np.array([[1.0, 0.0]]), yes, np.array([[0.0, -1.0]]), yes, 1.0)
        push = 1 + exp(-1)
        by_hand = (log((exp(1) + push) / exp(1)) + log((1 + push) / 1)) / 2
        assert float(found) == pytest.approx(by_hand, rel=1e-6)

    def test_negatives_count_as_many_as_asked_for(self, rng):
        """Each negative twice, as 8, is what 4 of them cost as 8."""
        positives, positive_mask, negatives, _ = cosines(rng)
        yes = np.ones((6, 4), bool)
        once = contrastive_loss(positives, positive_mask, negatives, yes, 0.1, num_negatives=8)
        twice = contrastive_loss(
            positives, positive_mask, np.tile(negatives, 2), np.tile(yes, 2), 0.1
        )
        assert float(once) == pytest.approx(float(twice), rel=1e-6)

    def test_no_negatives_cost_nothing_whatever_they_count_as(self, rng):
        positives, positive_mask, negatives, _ = cosines(rng)
        no = np.zeros((6, 4), bool)
        found = contrastive_loss(positives, positive_mask, negatives, no, 0.1, num_negatives=8)
        assert float(found) == 0

    def test_equal_positive_and_negative_cost_log_2(self):
        one, yes = np.full((1, 1), 0.3), np.ones((1, 1), bool)
        assert float(contrastive_loss(one, yes, one, yes, 0.1)) == pytest.approx(log(2))

    def test_masked_equals_filtered(self, rng):
        positives, _, negatives, _ = cosines(rng)
        yes = np.ones((6, 2), bool)
        filtered = contrastive_loss(positives[:, :2], yes, negatives[:, :2], yes, 0.1)
        first_two = [np.broadcast_to(np.arange(n) < 2, (6, n)) for n in (3, 4)]
        masked = contrastive_loss(positives, first_two[0], negatives, first_two[1], 0.1)
        assert float(masked) == pytest.approx(float(filtered), rel=1e-6)

    def test_order_of_anchors_positives_and_negatives_does_not_matter(self, rng):
        positives, positive_mask, negatives, negative_mask = args = cosines(rng)
        anchors, p, n = rng.permutation(6), rng.permutation(3), rng.permutation(4)
        shuffled = (
            positives[anchors][:, p],
            positive_mask[anchors][:, p],
            negatives[anchors][:, n],
            negative_mask[anchors][:, n],
        )
        expected = float(contrastive_loss(*args, 0.1))
        assert float(contrastive_loss(*shuffled, 0.1)) == pytest.approx(expected, rel=1e-5)

    def test_masked_entries_have_no_gradient(self, rng):
        positives, positive_mask, negatives, negative_mask = cosines(rng)

        def loss(positives, negatives):
            return contrastive_loss(positives, positive_mask, negatives, negative_mask, 0.1)

        gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(positives, negatives)
        assert not gradients[0][~positive_mask].any()
        assert not gradients[1][~negative_mask].any()

    def test_gradients(self, rng):
        positives, positive_mask, negatives, negative_mask = cosines(rng)

        def loss(positives, negatives, temperature):
            return contrastive_loss(positives, positive_mask, negatives, negative_mask, temperature)

        check_gradients(loss, positives, negatives, 0.5)

    def test_anchors_without_positives_take_no_part(self, rng):
        positives, _, negatives, negative_mask = cosines(rng)
        mask = np.broadcast_to(np.arange(6)[:, None] < 2, positives.shape)
        found = contrastive_loss(positives, mask, negatives, negative_mask, 0.1)
        first = contrastive_loss(positives[:2], mask[:2], negatives[:2], negative_mask[:2], 0.1)
        assert float(found) == pytest.approx(float(first), rel=1e-6)

    @pytest.mark.parametrize("with_positives", [False, True])
    def test_without_negatives_the_loss_is_zero_and_finite(self, rng, with_positives):
        positives, _, negatives, _ = cosines(rng)
        masks = np.full(positives.shape, with_positives), np.zeros(negatives.shape, bool)
        args = positives, masks[0], negatives, masks[1], 0.1
        assert float(contrastive_loss(*args)) == 0
        assert finite(contrastive_loss, *args)

    def test_without_positives_the_loss_is_zero_and_finite(self, rng):
        positives, _, negatives, negative_mask = cosines(rng)
        args = positives, np.zeros(positives.shape, bool), negatives, negative_mask, 0.1
        assert float(contrastive_loss(*args)) == 0
        assert finite(contrastive_loss, *args)

    @pytest.mark.parametrize("temperature", [1e-3, 1e3])
    def test_is_finite_at_extreme_temperatures(self, rng, temperature):
        assert finite(contrastive_loss, *cosines(rng), temperature)


class TestMaskedMean:
    def test_is_the_mean_of_what_counts(self):
        found = masked_mean(np.array([1.0, 5.0, np.nan]), np.array([True, True, False]))
        assert float(found) == 3

    def test_is_zero_where_nothing_counts(self):
        assert float(masked_mean(np.array([np.nan]), np.array([False]))) == 0


class TestCosine:
    @pytest.mark.parametrize("classes", [1, 2, 5])
    def test_is_the_formula(self, rng, classes):
        vectors, labels = embeddings_of(rng, 8), rng.integers(classes, size=8)
        found = cosine_loss(vectors, labels, classes)
        assert float(found) == pytest.approx(reference.cosine(vectors, labels), rel=1e-4, abs=1e-6)

    def test_by_hand(self):
        """Two equal rows of one class and an orthogonal one of another: -(3 + 2) / 9."""
        vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        assert float(cosine_loss(vectors, np.array([0, 0, 1]), 2)) == pytest.approx(-5 / 9)

    def test_opposite_classes_reach_the_minimum(self):
        vectors = np.array([[1.0, 0.0], [-1.0, 0.0]])
        assert float(cosine_loss(vectors, np.array([0, 1]), 2)) == pytest.approx(-1)

    def test_order_and_names_of_classes_do_not_matter(self, rng):
        vectors, labels, order = embeddings_of(rng, 8), rng.integers(3, size=8), rng.permutation(8)
        expected = float(cosine_loss(vectors, labels, 3))
        shuffled = cosine_loss(vectors[order], labels[order], 3)
        renamed = cosine_loss(vectors, (labels + 1) % 3, 3)
        assert [float(shuffled), float(renamed)] == pytest.approx([expected] * 2, rel=1e-5)

    def test_gradients(self, rng):
        labels = np.array([0, 1, 1, 2])
        check_gradients(lambda v: cosine_loss(v, labels, 3), embeddings_of(rng, 4))

    def test_of_more_rows_than_a_32_bit_square_holds(self):
        rows = 50_000
        assert cosine_loss(np.ones((rows, 1), "f4"), np.zeros(rows, "i4"), 2) == pytest.approx(-1)

    @pytest.mark.parametrize("rows", [1, 4])
    def test_of_one_class_is_finite(self, rng, rows):
        labels = np.zeros(rows, int)
        assert finite(lambda v: cosine_loss(v, labels, 3), embeddings_of(rng, rows))


class TestSupcon:
    @pytest.mark.parametrize("classes", [1, 2, 5])
    @pytest.mark.parametrize("temperature", [0.07, 1.0])
    def test_is_the_formula(self, rng, classes, temperature):
        vectors, labels = embeddings_of(rng, 8), rng.integers(classes, size=8)
        expected = reference.supcon(vectors, labels, temperature)
        found = supcon_loss(vectors, labels, temperature)
        assert float(found) == pytest.approx(expected, rel=1e-4)

    def test_by_hand(self):
        """A pair of one class, equal, and an orthogonal row that has no partner."""
        vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        found = supcon_loss(vectors, np.array([0, 0, 1]), 1.0)
        assert float(found) == pytest.approx(log((exp(1) + 1) / exp(1)), rel=1e-6)

    def test_order_and_names_of_classes_do_not_matter(self, rng):
        vectors, labels, order = embeddings_of(rng, 8), rng.integers(3, size=8), rng.permutation(8)
        expected = float(supcon_loss(vectors, labels, 0.1))
        shuffled = supcon_loss(vectors[order], labels[order], 0.1)
        renamed = supcon_loss(vectors, (labels + 1) % 3, 0.1)
        assert [float(shuffled), float(renamed)] == pytest.approx([expected] * 2, rel=1e-5)

    def test_gradients(self, rng):
        labels = np.array([0, 1, 1, 0])
        check_gradients(lambda v: supcon_loss(v, labels, 0.5), embeddings_of(rng, 4))

    @pytest.mark.parametrize("labels", [[0], [0, 1, 2], [0, 0, 0]])
    def test_degenerate_batches_are_finite(self, rng, labels):
        vectors = embeddings_of(rng, len(labels))
        assert finite(supcon_loss, vectors, np.array(labels), 0.07)

    @pytest.mark.parametrize("labels", [[0], [0, 1, 2]])
    def test_is_zero_where_no_rows_share_a_class(self, rng, labels):
        vectors = embeddings_of(rng, len(labels))
        assert float(supcon_loss(vectors, np.array(labels), 0.07)) == 0


class TestCnc:
    @pytest.mark.parametrize("classes", [2, 3])
    @pytest.mark.parametrize("temperature", [0.05, 1.0])
    def test_is_the_formula(self, rng, classes, temperature):
        vectors = embeddings_of(rng, 12)
        labels, predicted = rng.integers(classes, size=(2, 12))
        expected = reference.cnc(vectors, labels, predicted, temperature)
        assert expected > 0
        found = cnc_loss(vectors, labels, predicted, temperature)
        assert float(found) == pytest.approx(expected, rel=1e-4)

    def test_by_hand(self):
        """Row 0 has positive 1 and negative 2; row 1 no negative, and row 2 no positive."""
        vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        found = cnc_loss(vectors, np.array([0, 0, 1]), np.array([0, 1, 0]), 1.0)
        assert float(found) == pytest.approx(log(1 + exp(1)), rel=1e-6)

    def test_names_of_classes_do_not_matter(self, rng):
        vectors, (labels, predicted) = embeddings_of(rng, 10), rng.integers(3, size=(2, 10))
        expected = float(cnc_loss(vectors, labels, predicted, 0.1))
        renamed = cnc_loss(vectors, (labels + 1) % 3, (predicted + 1) % 3, 0.1)
        assert float(renamed) == pytest.approx(expected, rel=1e-5)

    def test_gradients(self, rng):
        labels, predicted = np.array([0, 1, 1, 0, 0]), np.array([0, 1, 0, 1, 0])
        vectors = embeddings_of(rng, 5)
        check_gradients(lambda v: cnc_loss(v, labels, predicted, 0.5), vectors)

    @pytest.mark.parametrize("labels", [[0], [0, 1, 2], [0, 0, 0]])
    def test_is_zero_where_every_prediction_is_right(self, rng, labels):
        vectors, labels = embeddings_of(rng, len(labels)), np.array(labels)
        assert float(cnc_loss(vectors, labels, labels, 0.1)) == 0
        assert finite(lambda v: cnc_loss(v, labels, labels, 0.1), vectors)
