"""The objectives against a form that projects each anchor's rows one at a time, gradients too."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.embeddings import of_unit_length
from clip_cfr.calibrate.core.head import Data, Features, Head
from clip_cfr.calibrate.core.objectives import CfrBatch, CfrObjective, CfrWeights, ErmObjective
from clip_cfr.calibrate.core.sampling import Pool
from tests.calibrate import reference
from tests.calibrate.synthetic import unit

CLASSES, DIM, EMBEDDING, ROWS = 3, 5, 4, 24
ALPHA, LAMBDA, MOMENTUM, SCALE = 1.3, 0.7, 0.8, 0.25
LABELS = (np.arange(ROWS) * 7 % CLASSES).astype(np.int32)
ANCHORS = np.arange(6, dtype=np.int32)
PARTS = 2
TRAINING = np.array([5, 6, 7, 8, 9, 10, 11, 5], np.int32)
POOL = np.array([12, 13, 14, 15, 16, 17, 18, 19], np.int32)
CANDIDATES = np.array([12, 15, 19, 20, 21, 22, 23, 3], np.int32)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    nothing = jnp.zeros(0, jnp.int32)
    return Data(
        features=Features(jnp.asarray(rng.normal(size=(ROWS, DIM)) / SCALE), jnp.float32(SCALE)),
        labels=jnp.asarray(LABELS),
        class_embeddings=jnp.asarray(unit(rng.normal(size=(CLASSES, EMBEDDING)))),
        val_rows=nothing,
        val_groups=nothing,
        group_labels=nothing,
    )


@pytest.fixture(scope="module")
def head():
    rng = np.random.default_rng(4)
    return Head(
        jnp.asarray(rng.normal(size=(EMBEDDING, DIM))),
        jnp.asarray(rng.normal(size=EMBEDDING)),
        jnp.float32(0.5),
    )


def slots(rng, pool, *, same_class: bool, count: int = 3):
    """Random places in its part of a pool for each anchor; the first anchor's last is empty."""
    chosen = [
        [
            rng.choice(np.flatnonzero((LABELS[part] == LABELS[anchor]) == same_class), count)
            for anchor in anchors
        ]
        for anchors, part in zip(ANCHORS.reshape(PARTS, -1), pool, strict=True)
    ]
    chosen = np.array(chosen, np.int32)
    chosen[0, 0, -1] = -1
    return chosen


def weights_of(rate: float = 0.0, row_weights=None) -> CfrWeights:
    if row_weights is None:
        row_weights = np.random.default_rng(5).random(ROWS) * (np.arange(ROWS) % 4 > 0)
    numbers = (0.3, LAMBDA, 0.2, rate, MOMENTUM)
    return CfrWeights(*map(jnp.float32, numbers), jnp.asarray(row_weights, jnp.float32))


def make_batch(positive: str, negative: str) -> CfrBatch:
    rng = np.random.default_rng(6)
    pool, candidates = (rows.reshape(PARTS, -1) for rows in (POOL, CANDIDATES))
    positives = Pool(pool, slots(rng, pool, same_class=True))
    negatives = {
        "slots": Pool(candidates, slots(rng, candidates, same_class=False)),
        "pool": Pool(CANDIDATES[None], None),
        "minibatch": None,
    }[negative]
    batch = (ANCHORS, TRAINING, positives if positive == "rps" else None, negatives)
    return CfrBatch(*jax.tree.map(jnp.asarray, batch), jnp.float32(ALPHA))


def start_centroids(positive: str):
    """Centroids of which the last is missing, or none."""
    if positive == "rps":
        return None
    centroids = unit(np.random.default_rng(7).normal(size=(CLASSES, EMBEDDING)))
    centroids[-1] = 0
    return of_unit_length(jnp.asarray(centroids))


@partial(jax.jit, static_argnames="objective")
def run(objective, head, memory, batch, data, weights):
    """Value and gradients of the loss, with the next memory and what is logged."""
    function = jax.value_and_grad(objective.loss, has_aux=True)
    return function(head, memory, batch, data, weights, jax.random.key(0))


def embedder(head, data):
    """Embeds a row by the formula, in float64."""
    features = np.asarray(data.features.values, float) * SCALE
    projection = np.asarray(head.weight, float).T
    return cache(lambda row: reference.embed(features[row], projection, head.bias))


def reference_batch(objective, head, memory, batch, data, weights):
    """The step's rows as the reference takes them; the centroids already moved."""
    labels, embedded = np.asarray(data.labels), embedder(head, data)
    if memory is None:
        positives = reference.pick(batch.positives.rows, batch.positives.slots)
    else:
        positives = reference.moved_centroids(
            np.asarray(memory.unit),
            [embedded(row) for row in TRAINING],
            labels[TRAINING],
            np.asarray(weights.row_weights, float)[TRAINING],
            MOMENTUM,
        )
    if batch.negatives is None:
        negatives = TRAINING
    elif batch.negatives.slots is None:
        negatives = CANDIDATES
    else:
        negatives = reference.pick(batch.negatives.rows, batch.negatives.slots)
    rules = {
        "positive": "rps" if memory is None else "dps",
        "nearest": batch.negatives is None or batch.negatives.slots is None,
        "holistic": objective.holistic,
        "cross_entropy": objective.cross_entropy,
        "num_negatives": objective.num_negatives,
        "temperature": float(weights.temperature),
        "supcon_temperature": float(weights.supcon_temperature),
    }
    rows = {"anchors": ANCHORS, "training": TRAINING}
    return {**rows, "positives": positives, "negatives": negatives}, rules


def reference_terms(head, data, rows, rules):
    """The three terms at a head."""
    texts, scale = np.asarray(data.class_embeddings, float), np.exp(float(head.log_scale))

    def logits_of(vector):
        return [scale * reference.dot(vector, text) for text in texts]

    labels = np.asarray(data.labels)
    return reference.cfr_terms(embedder(head, data), logits_of, rows, labels, rules)


def total(terms) -> float:
    entropy, contrastive, holistic = terms
    return ALPHA * entropy + ALPHA * contrastive + LAMBDA * holistic


# The terms are added up, so that not every combination is needed. 50 negatives are more than there
# are candidates: all of other classes count then.
VARIANTS = [
    ("dps", "slots", "cosine", "both", 3),
    ("dps", "pool", "supcon", "calibration", 3),
    ("dps", "minibatch", "none", "train", 3),
    ("rps", "slots", "supcon", "train", 3),
    ("rps", "pool", "none", "both", 3),
    ("rps", "minibatch", "cosine", "calibration", 50),
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(map(str, variant)))
class TestCfr:
    def test_values_gradients_and_centroids(self, head, data, variant):
        positive, negative, holistic, cross_entropy, count = variant
        objective = CfrObjective(holistic, cross_entropy, count)
        memory, weights = start_centroids(positive), weights_of()
        batch = make_batch(positive, negative)
        (loss, (moved, logged)), gradient = run(objective, head, memory, batch, data, weights)

        rows, rules = reference_batch(objective, head, memory, batch, data, weights)
        terms = reference_terms(head, data, rows, rules)
        found = [float(logged[name]) for name in ("cross_entropy", "contrastive", "holistic")]
        assert found == pytest.approx(terms, rel=1e-4, abs=1e-5)
        assert float(loss) == pytest.approx(total(terms), rel=1e-4)
        if memory is not None:
            assert np.asarray(moved.unit) == pytest.approx(rows["positives"], abs=1e-5)

        def at(name):
            return lambda value: total(
                reference_terms(head._replace(**{name: value}), data, rows, rules)
            )

        for name in Head._fields:
            expected = reference.slopes(at(name), getattr(head, name))
            assert np.asarray(getattr(gradient, name)) == pytest.approx(
                expected, rel=1e-3, abs=1e-4
            )


class TestDegenerateBatches:
    """Values and gradients stay finite whatever a batch lacks; the variants are those above."""

    def check(self, variant, head, data, memory=None, weights=None, **changes):
        positive, negative, holistic, cross_entropy, count = variant
        batch = make_batch(positive, negative)._replace(**changes)
        memory = start_centroids(positive) if memory is None else memory
        weights = weights_of() if weights is None else weights
        objective = CfrObjective(holistic, cross_entropy, count)
        (loss, (_, logged)), gradient = run(objective, head, memory, batch, data, weights)
        leaves = [loss, *jax.tree.leaves(gradient)]
        assert all(np.isfinite(leaf).all() for leaf in leaves)
        return logged

    def test_no_positives(self, head, data):
        empty = Pool(jnp.asarray(POOL[None]), jnp.full((1, 6, 3), -1, jnp.int32))
        logged = self.check(VARIANTS[3], head, data, positives=empty)
        assert logged["contrastive"] == 0

    def test_no_negatives(self, head, data):
        empty = Pool(jnp.asarray(CANDIDATES[None]), jnp.full((1, 6, 3), -1, jnp.int32))
        logged = self.check(VARIANTS[0], head, data, negatives=empty)
        assert logged["contrastive"] == 0

    @pytest.mark.parametrize("variant", VARIANTS[:2])
    def test_one_class_and_no_row_that_feeds_a_centroid(self, head, data, variant):
        of_one = data._replace(labels=jnp.zeros(ROWS, jnp.int32))
        nothing = of_unit_length(jnp.zeros((CLASSES, EMBEDDING)))
        weights = weights_of(row_weights=np.zeros(ROWS))
        self.check(variant, head, of_one, nothing, weights)

    def test_one_row_all_over(self, head, data):
        alone = {"anchors": jnp.zeros(6, jnp.int32), "training": jnp.zeros(8, jnp.int32)}
        self.check(VARIANTS[0], head, data, **alone)

    def test_embeddings_of_length_zero(self, head, data):
        features = data.features._replace(values=jnp.zeros((ROWS, DIM)))
        flat = head._replace(bias=jnp.zeros(EMBEDDING))
        self.check(VARIANTS[0], flat, data._replace(features=features))


class TestErm:
    def test_value_and_gradients(self, head, data):
        (loss, _), gradient = run(
            ErmObjective(), head, None, jnp.asarray(TRAINING), data, jnp.float32(0)
        )
        rules = {"positive": "rps", "nearest": False, "holistic": "none", "cross_entropy": "train"}
        rows = {"anchors": [], "training": TRAINING}
        rules["temperature"] = 1.0

        def at(name):
            return lambda value: reference_terms(head._replace(**{name: value}), data, rows, rules)[
                0
            ]

        assert float(loss) == pytest.approx(reference_terms(head, data, rows, rules)[0], rel=1e-5)
        for name in Head._fields:
            expected = reference.slopes(at(name), getattr(head, name))
            assert np.asarray(getattr(gradient, name)) == pytest.approx(
                expected, rel=1e-3, abs=1e-4
            )


class TestDropout:
    def test_touches_the_logits_alone(self, head, data):
        """Contrast, holistic term and centroids see every entry."""
        batch, memory = make_batch("dps", "slots"), start_centroids("dps")
        objective = CfrObjective("cosine", "both", 3)
        (_, (kept, whole)), _ = run(objective, head, memory, batch, data, weights_of(0.0))
        (_, (moved, dropped)), _ = run(objective, head, memory, batch, data, weights_of(0.5))
        assert (kept.unit == moved.unit).all()
        assert dropped["contrastive"] == whole["contrastive"]
        assert dropped["holistic"] == whole["holistic"]
        assert dropped["calibration_accuracy"] == whole["calibration_accuracy"]
        assert dropped["cross_entropy"] != whole["cross_entropy"]
