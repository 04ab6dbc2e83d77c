"""What a step draws: in turn, balanced, of the right class, never the anchor itself, evenly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_cfr.calibrate.core.sampling import (
    EMPTY,
    count_blocks,
    draw_balanced_rows,
    draw_block_indices,
    draw_indices,
    draw_minibatches,
    draw_missing_negatives,
    draw_random_negatives,
    draw_random_positives,
    pool_chosen_rows,
)
from tests.calibrate.reference import chosen_rows


def make_labels(classes: int, rows: int = 90):
    """Labels of which class 0 is rare."""
    return np.where(np.arange(rows) % 10 == 0, 0, np.arange(rows) % classes).astype(np.int32)


def without_empty(row):
    return row[row != EMPTY]


def is_even(counts, share: float) -> bool:
    """Whether counts of independent draws lie within five standard deviations of their mean."""
    total = counts.sum()
    return bool((abs(counts - total * share) < 5 * np.sqrt(total * share * (1 - share))).all())


class TestMinibatches:
    @given(
        count=st.integers(1, 40),
        steps=st.integers(1, 20),
        size=st.integers(1, 30),
        seed=st.integers(0, 9),
    )
    def test_every_row_comes_once_before_any_comes_again(self, count, steps, size, seed):
        rows = np.arange(count, dtype=np.int32) * 3
        found = draw_minibatches(np.random.default_rng(seed), rows, steps, size)
        assert found.shape == (steps, size)
        drawn = np.bincount(found.reshape(-1) // 3, minlength=count)
        assert set(found.reshape(-1)) <= set(rows)
        assert drawn.max() - drawn.min() <= 1

    def test_each_pass_has_an_order_of_its_own(self, rng):
        first, second = draw_minibatches(rng, np.arange(50), 2, 50)
        assert sorted(first) == sorted(second) == list(range(50))
        assert first.tolist() != second.tolist()

    def test_equal_seeds_give_equal_batches(self):
        draws = [draw_minibatches(np.random.default_rng(3), np.arange(9), 7, 4) for _ in range(2)]
        assert (draws[0] == draws[1]).all()


class TestBalancedRows:
    @pytest.mark.parametrize("classes", [2, 3, 5])
    @pytest.mark.parametrize("size", [5, 32])
    def test_classes_have_nearly_equal_shares_of_every_pool(self, rng, classes, size):
        labels = make_labels(classes)
        rows, pool_classes = draw_balanced_rows(rng, np.arange(90), labels, 11, size)
        assert (labels[rows] == pool_classes).all()
        shares = np.bincount(pool_classes, minlength=classes)
        assert shares.max() - shares.min() <= 1

    def test_rows_of_a_class_take_turns_over_the_steps(self, rng):
        labels = make_labels(3)
        rows, pool_classes = draw_balanced_rows(rng, np.arange(90), labels, 20, 30)
        for each in range(3):
            drawn = np.bincount(rows[:, pool_classes == each].reshape(-1), minlength=90)
            counts = drawn[labels == each]
            assert counts.max() - counts.min() <= 1
            assert not drawn[labels != each].any()

    def test_a_class_that_is_absent_takes_no_place(self, rng):
        labels = np.array([0, 2, 2, 0])
        rows, pool_classes = draw_balanced_rows(rng, np.arange(4), labels, 3, 8)
        assert np.bincount(pool_classes).tolist() == [4, 0, 4]
        assert (labels[rows] == pool_classes).all()

    def test_only_the_rows_given_are_drawn(self, rng):
        labels = make_labels(3)
        rows, _ = draw_balanced_rows(rng, np.arange(40, 60), labels, 5, 16)
        assert rows.min() >= 40
        assert rows.max() < 60


class TestWindowSlots:
    @pytest.mark.parametrize("same_class", [True, False])
    def test_every_place_is_as_likely_as_any_other(self, rng, same_class):
        pool_classes = np.arange(30) % 3
        anchor_labels = np.full((2000, 3), 1)
        indices = draw_indices(rng, anchor_labels, pool_classes, 4, same_class=same_class)
        eligible = np.flatnonzero((pool_classes == 1) == same_class)
        counts = np.bincount(indices.reshape(-1), minlength=30)
        assert counts.sum() == indices.size
        assert is_even(counts[eligible], 1 / len(eligible))

    @pytest.mark.parametrize("same_class", [True, False])
    def test_places_are_different_and_of_the_class_asked_for(self, rng, same_class):
        pool_classes, anchor_labels = np.arange(30) % 5, np.array([[0, 1, 2], [3, 4, 0]])
        indices = draw_indices(rng, anchor_labels, pool_classes, 6, same_class=same_class)
        assert ((pool_classes[indices] == anchor_labels[..., None]) == same_class).all()
        assert all(len(set(each)) == 6 for each in indices.reshape(-1, 6))

    def test_where_there_are_fewer_places_all_are_taken_once(self, rng):
        indices = draw_indices(rng, np.array([[0]]), np.array([0, 1, 1, 0]), 5, same_class=False)
        assert sorted(indices[0, 0].tolist()) == [EMPTY, EMPTY, EMPTY, 1, 2]

    def test_without_free_places_all_stay_empty(self, rng):
        indices = draw_indices(rng, np.array([[2]]), np.array([0, 1]), 3, same_class=True)
        assert indices.tolist() == [[[EMPTY] * 3]]


class TestParts:
    @pytest.mark.parametrize(
        ("classes", "size", "anchors", "count", "same_class", "parts"),
        [
            (2, 256, 128, 16, False, 8),
            (2, 256, 128, 17, False, 4),
            (2, 256, 96, 16, False, 8),
            (2, 256, 100, 16, False, 4),
            (2, 256, 127, 16, False, 1),
            (5, 256, 128, 16, False, 8),
            (5, 256, 128, 16, True, 2),
            (2, 256, 128, 200, False, 1),
            (2, 30, 128, 2, False, 1),
        ],
    )
    def test_are_as_many_as_leave_every_class_its_count(
        self, classes, size, anchors, count, same_class, parts
    ):
        pool_classes = np.arange(size) % classes
        assert count_blocks(pool_classes, anchors, count, same_class=same_class) == parts

    def test_the_anchors_of_a_part_are_served_by_it_as_by_a_pool(self, rng):
        labels, pool_classes = rng.integers(3, size=(50, 8)), np.arange(64) % 3
        indices = draw_block_indices(rng, labels, pool_classes, 5, same_class=False)
        assert indices.shape == (50, 2, 4, 5)
        found = np.take_along_axis(pool_classes.reshape(1, 2, 1, -1), indices, axis=3)
        assert (found != labels.reshape(50, 2, 4, 1)).all()
        assert all(len(set(each)) == 5 for each in indices.reshape(-1, 5))

    def test_every_place_of_a_part_is_as_likely_as_any_other(self, rng):
        indices = draw_block_indices(
            rng, np.zeros((2000, 4), int), np.arange(64) % 2, 7, same_class=False
        )
        for part in range(2):
            counts = np.bincount(indices[:, part].reshape(-1), minlength=32)
            assert not counts[::2].any()
            assert is_even(counts[1::2], 1 / 16)


@pytest.mark.parametrize("classes", [2, 3, 5])
class TestRandomNegatives:
    def draw(self, rng, classes, count: int = 6):
        labels = make_labels(classes)
        anchors = draw_minibatches(rng, np.arange(90), 400, 8)
        pool = draw_random_negatives(rng, anchors, labels, np.arange(80), 120, count)
        assert pool.rows.shape == (400, 2, 60)
        return labels, anchors, pool

    def test_none_is_of_the_anchor_s_class(self, rng, classes):
        labels, anchors, pool = self.draw(rng, classes)
        chosen = chosen_rows(pool)
        assert (chosen != EMPTY).all()
        assert (labels[chosen] != labels[anchors][..., None]).all()
        assert chosen.max() < 80

    def test_all_other_classes_come_up_equally_often(self, rng, classes):
        labels, anchors, pool = self.draw(rng, classes)
        of_first = labels[chosen_rows(pool)[labels[anchors] == 0]]
        counts = np.bincount(of_first.reshape(-1), minlength=classes)
        assert counts[0] == 0
        assert counts[1:] == pytest.approx(np.full(classes - 1, counts[1:].mean()), rel=0.05)

    def test_rows_of_a_class_come_up_equally_often(self, rng, classes):
        labels, _, pool = self.draw(rng, classes)
        drawn = np.bincount(chosen_rows(pool).reshape(-1), minlength=90)
        for each in range(classes):
            counts = drawn[:80][labels[:80] == each]
            assert counts.min() > 0.7 * counts.mean()
            assert counts.max() < 1.3 * counts.mean()


class TestMissingNegatives:
    """Two classes; training minibatches of 6 rows with 5 of class 0 and 1 of class 1."""

    labels = np.repeat([0, 1], [50, 10])
    training = np.array([[0, 1, 2, 3, 4, 50], [5, 6, 7, 8, 9, 51]])

    def draw(self, rng, anchors, count):
        rows = np.arange(60)
        return draw_missing_negatives(rng, anchors, self.training, self.labels, rows, count)

    def test_nothing_is_drawn_if_no_anchor_lacks_any(self, rng):
        assert self.draw(rng, np.array([[55], [56]]), count=5) is None
        assert self.draw(rng, np.array([[10], [56]]), count=1) is None

    def test_a_pool_has_the_count_for_every_class(self, rng):
        pool = self.draw(rng, np.array([[55, 56], [57, 11]]), count=3)
        assert pool.indices is None
        classes = self.labels[pool.rows]
        assert (classes == 0).sum(axis=(1, 2)).tolist() == [3, 3]
        assert (classes == 1).sum(axis=(1, 2)).tolist() == [3, 3]


@pytest.mark.parametrize("classes", [2, 3, 5])
class TestRandomPositives:
    def draw(self, rng, classes, eligible=None):
        labels = make_labels(classes)
        eligible = np.arange(80) if eligible is None else eligible
        anchors = draw_minibatches(rng, np.arange(90), 400, 8)
        pool = draw_random_positives(rng, anchors, labels, eligible, 64, 5)
        return labels, anchors, chosen_rows(pool)

    def test_all_are_of_the_anchor_s_class_and_never_the_anchor(self, rng, classes):
        labels, anchors, chosen = self.draw(rng, classes)
        empty = chosen == EMPTY
        assert empty.any()  # anchors come up, so that the test tests something
        assert ((labels[chosen] == labels[anchors][..., None]) | empty).all()
        assert not (chosen == anchors[..., None]).any()
        assert (empty.sum(axis=2) <= 1).mean() > 0.9

    def test_only_eligible_rows_come_up(self, rng, classes):
        _, _, chosen = self.draw(rng, classes, np.arange(30, 60))
        assert set(np.unique(chosen)) <= {EMPTY, *range(30, 60)}

    def test_a_class_without_eligible_rows_has_no_positives(self, rng, classes):
        labels = make_labels(classes)
        labels, anchors, chosen = self.draw(rng, classes, np.flatnonzero(labels != 1))
        assert (chosen[labels[anchors] == 1] == EMPTY).all()
        assert (chosen[labels[anchors] != 1] != EMPTY).any(axis=-1).all()

    def test_without_eligible_rows_there_are_none(self, rng, classes):
        _, _, chosen = self.draw(rng, classes, np.zeros(0, int))
        assert (chosen == EMPTY).all()


class TestPoolOf:
    def test_gives_back_the_rows_that_were_chosen(self, rng):
        chosen = rng.integers(-1, 400, size=(3, 20, 16))
        assert (chosen_rows(pool_chosen_rows(chosen)) == chosen).all()

    @pytest.mark.parametrize(("rows", "size"), [(10, 256), (256, 256), (257, 512)])
    def test_sizes_are_multiples_of_256(self, rows, size):
        pool = pool_chosen_rows(np.arange(rows).reshape(1, 1, rows))
        assert pool.rows.shape == (1, 1, size)
        assert (chosen_rows(pool)[0, 0] == np.arange(rows)).all()

    def test_of_nothing_is_a_pool_of_valid_rows(self):
        pool = pool_chosen_rows(np.full((2, 3, 4), EMPTY))
        assert (pool.indices == EMPTY).all()
        assert (pool.rows == 0).all()


def test_every_class_has_a_place_where_there_are_more_classes_than_places():
    labels = np.arange(40) % 10
    rng = np.random.default_rng(0)
    rows, pool_classes = draw_balanced_rows(rng, np.arange(40), labels, steps=3, size=4)
    assert sorted(pool_classes) == list(range(10))
    assert (labels[rows] == pool_classes).all()
