"""The objectives against a reference that projects rows one at a time, gradients too."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from clip_cfr.calibrate.core.embeddings import normalize
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.objectives import (
    CfrBatch,
    CfrHyperparameters,
    CfrObjective,
    ErmObjective,
    split,
)
from clip_cfr.calibrate.core.sampling import EMPTY, Pool
from tests.calibrate import reference
from tests.calibrate.core.train_data import make_train_data
from tests.calibrate.synthetic import unit

CLASSES, DIM, EMBEDDING, ROWS = 3, 5, 4, 24
ALPHA, LAMBDA, MOMENTUM, SCALE = 1.3, 0.7, 0.8, 0.25
LABELS = (np.arange(ROWS) * 7 % CLASSES).astype(np.int32)
ANCHORS = np.arange(6, dtype=np.int32)
BLOCKS = 2
TRAINING = np.array([5, 6, 7, 8, 9, 10, 11, 5], np.int32)
POOL = np.array([12, 13, 14, 15, 16, 17, 18, 19], np.int32)
CANDIDATES = np.array([12, 15, 19, 20, 21, 22, 23, 3], np.int32)

# Positives, negatives, holistic loss, cross-entropy, number of negatives. The terms are added up,
# so not every combination is needed. 50 negatives are more than there are candidates: all rows of
# other classes count.
VARIANTS = [
    ("dps", "chosen", "cosine", "both", 3),
    ("dps", "pool", "supcon", "calibration", 3),
    ("dps", "minibatch", "none", "train", 3),
    ("rps", "chosen", "supcon", "train", 3),
    ("rps", "pool", "none", "both", 3),
    ("rps", "minibatch", "cosine", "calibration", 50),
    ("dps", "others", "cosine", "both", 3),
    ("rps", "few", "none", "calibration", 5),
]
# Where the objective finds the negatives of a variant. `others`: all rows of other classes in the
# minibatch; `few`: with a pool for the anchors that have fewer than 5 there, those of class 2.
SOURCES = {
    "chosen": "chosen",
    "pool": "nearest",
    "minibatch": "nearest",
    "others": "minibatch",
    "few": "minibatch",
}
of_every_variant = pytest.mark.parametrize(
    "variant", VARIANTS, ids=lambda variant: "-".join(map(str, variant))
)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(ROWS, DIM))
    return make_train_data(features, LABELS, unit(rng.normal(size=(CLASSES, EMBEDDING))), SCALE)


@pytest.fixture(scope="module")
def head():
    rng = np.random.default_rng(4)
    return Head(
        jnp.asarray(rng.normal(size=(EMBEDDING, DIM)), jnp.float32),
        jnp.asarray(rng.normal(size=EMBEDDING), jnp.float32),
        jnp.float32(0.5),
    )


def draw_indices(rng, pool, *, same_class: bool, count: int = 3):
    """Draw indices into each anchor's block of a pool; the last of the first anchor is empty."""
    chosen = [
        [
            rng.choice(np.flatnonzero((LABELS[block] == LABELS[anchor]) == same_class), count)
            for anchor in anchors
        ]
        for anchors, block in zip(ANCHORS.reshape(BLOCKS, -1), pool, strict=True)
    ]
    chosen = np.array(chosen, np.int32)
    chosen[0, 0, -1] = EMPTY
    return chosen


def make_hyperparameters(dropout_rate: float = 0.0, row_weights=None) -> CfrHyperparameters:
    if row_weights is None:
        row_weights = np.random.default_rng(5).random(ROWS) * (np.arange(ROWS) % 4 > 0)
    return CfrHyperparameters(
        temperature=jnp.float32(0.3),
        holistic_weight=jnp.float32(LAMBDA),
        supcon_temperature=jnp.float32(0.2),
        dropout_rate=jnp.float32(dropout_rate),
        dps_momentum=jnp.float32(MOMENTUM),
        row_weights=jnp.asarray(row_weights, jnp.float32),
    )


def make_batch(positive: str, negative: str) -> CfrBatch:
    rng = np.random.default_rng(6)
    pool, candidates = (rows.reshape(BLOCKS, -1) for rows in (POOL, CANDIDATES))
    positives = Pool(pool, draw_indices(rng, pool, same_class=True))
    negatives = {
        "chosen": Pool(candidates, draw_indices(rng, candidates, same_class=False)),
        "pool": Pool(CANDIDATES[None], None),
        "few": Pool(CANDIDATES[None], None),
    }.get(negative)
    batch = (ANCHORS, TRAINING, positives if positive == "rps" else None, None, negatives)
    return CfrBatch(*jax.tree.map(jnp.asarray, batch), jnp.float32(ALPHA))


def make_objective(variant) -> CfrObjective:
    _, negative, holistic, cross_entropy, count = variant
    return CfrObjective(holistic, cross_entropy, SOURCES[negative], count)


def initial_state(positive: str):
    """Return centroids of which the last is zero; None for rps."""
    if positive == "rps":
        return None
    centroids = unit(np.random.default_rng(7).normal(size=(CLASSES, EMBEDDING)))
    centroids[-1] = 0
    return normalize(jnp.asarray(centroids.T, jnp.float32))


@partial(jax.jit, static_argnames="objective")
def evaluate(objective, head, loss_state, batch, data, hyperparameters):
    """Return loss, next loss state and logged values, and the gradient."""
    function = jax.value_and_grad(objective.loss, has_aux=True)
    return function(head, loss_state, batch, data, hyperparameters, jax.random.key(0))


def embed_by_formula(head, data):
    """Return a function that embeds a row in float64."""
    features = np.asarray(data.features.values, float) * SCALE
    projection = np.asarray(head.weight, float).T
    return cache(lambda row: reference.embed(features[row], projection, head.bias))


def reference_positives(head, loss_state, batch, data, hyperparameters):
    """Return the rows that each anchor uses, or the updated centroids."""
    if loss_state is None:
        return reference.pick(batch.positives.rows, batch.positives.indices)
    embedded = embed_by_formula(head, data)
    return reference.moved_centroids(
        np.asarray(loss_state.unit),
        [embedded(row) for row in TRAINING],
        np.asarray(data.labels)[TRAINING],
        np.asarray(hyperparameters.row_weights, float)[TRAINING],
        MOMENTUM,
    )


def reference_negatives(batch, negative):
    """Return the rows that each anchor uses, or the candidates of all."""
    if SOURCES[negative] == "minibatch":
        others = [[row for row in TRAINING if LABELS[row] != LABELS[each]] for each in ANCHORS]
        few = negative == "few"
        more = [row for row in CANDIDATES if LABELS[row] != 2]
        return [rows + more * (few and len(rows) < 5) for rows in others]
    if batch.negatives is None:
        return TRAINING
    if batch.negatives.indices is None:
        return CANDIDATES
    return reference.pick(batch.negatives.rows, batch.negatives.indices)


def make_rules(variant, hyperparameters) -> dict:
    """Return the rules of a variant as `reference.cfr_terms` takes them."""
    positive, negative, holistic, cross_entropy, count = variant
    return {
        "positive": positive,
        "nearest": SOURCES[negative] == "nearest",
        "scaled": SOURCES[negative] == "minibatch",
        "holistic": holistic,
        "cross_entropy": cross_entropy,
        "num_negatives": count,
        "temperature": float(hyperparameters.temperature),
        "supcon_temperature": float(hyperparameters.supcon_temperature),
    }


def reference_terms(head, data, rows, rules):
    """Return cross-entropy, contrastive and holistic loss at a head."""
    texts, scale = np.asarray(data.class_embeddings, float), np.exp(float(head.log_scale))

    def logits_of(vector):
        return [scale * reference.dot(vector, text) for text in texts]

    labels = np.asarray(data.labels)
    return reference.cfr_terms(embed_by_formula(head, data), logits_of, rows, labels, rules)


def reference_total(head, data, rows, rules) -> float:
    entropy, contrastive, holistic = reference_terms(head, data, rows, rules)
    return ALPHA * entropy + ALPHA * contrastive + LAMBDA * holistic


def assert_gradient(gradient, function, head) -> None:
    """Compare the gradient of each leaf of a head with central differences in float64."""
    for name in Head._fields:
        slopes = reference.slopes(
            lambda value, name=name: function(head._replace(**{name: value})), getattr(head, name)
        )
        found = np.asarray(getattr(gradient, name))
        assert found == pytest.approx(slopes, rel=1e-3, abs=1e-4), name


@of_every_variant
class TestCfr:
    def test_terms_gradients_and_centroids(self, head, data, variant):
        positive, negative, *_ = variant
        loss_state, hyperparameters = initial_state(positive), make_hyperparameters()
        batch = make_batch(positive, negative)
        (loss, (centroids, logged)), gradient = evaluate(
            make_objective(variant), head, loss_state, batch, data, hyperparameters
        )

        rows = {
            "anchors": ANCHORS,
            "training": TRAINING,
            "positives": reference_positives(head, loss_state, batch, data, hyperparameters),
            "negatives": reference_negatives(batch, negative),
        }
        rules = make_rules(variant, hyperparameters)
        terms = reference_terms(head, data, rows, rules)
        found = [float(logged[name]) for name in ("cross_entropy", "contrastive", "holistic")]
        assert found == pytest.approx(terms, rel=1e-4, abs=1e-5)
        assert float(loss) == pytest.approx(reference_total(head, data, rows, rules), rel=1e-4)
        if loss_state is not None:
            assert np.asarray(centroids.unit) == pytest.approx(rows["positives"], abs=1e-5)
        # The centroids are constants of the loss, so they stay those of the head itself.
        assert_gradient(gradient, lambda at: reference_total(at, data, rows, rules), head)


# With centroids the loss depends on the head through a stopped gradient, which finite differences
# do not stop: those variants are left to the reference above.
@pytest.mark.parametrize("variant", [each for each in VARIANTS if each[0] == "rps"], ids=str)
def test_gradients_of_cfr_are_finite_differences(head, data, variant):
    positive, negative, *_ = variant
    batch, hyperparameters = make_batch(positive, negative), make_hyperparameters()
    objective, key = make_objective(variant), jax.random.key(0)

    def loss(head):
        return objective.loss(head, None, batch, data, hyperparameters, key)[0]

    check_grads(jax.jit(loss), (head,), order=1, modes=["rev"], eps=1e-2, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("pooled", [False, True], ids=["minibatch alone", "pool for the others"])
def test_positives_of_the_minibatch_are_the_eligible_rows_of_the_class(head, data, pooled):
    variant = next(each for each in VARIANTS if each[:2] == ("rps", "chosen"))
    eligible = (np.arange(len(TRAINING)) % 2 == 0) & (LABELS[TRAINING] != LABELS[ANCHORS[0]])
    batch = make_batch("rps", "chosen")._replace(eligible=jnp.asarray(eligible))
    from_pool = reference.pick(batch.positives.rows, batch.positives.indices)
    positives = [
        [row for row in TRAINING[eligible] if LABELS[row] == LABELS[anchor] and row != anchor]
        for anchor in ANCHORS
    ]
    assert [] in positives
    assert any(positives)
    if pooled:
        positives = [rows or more for rows, more in zip(positives, from_pool, strict=True)]
    else:
        batch = batch._replace(positives=None)
    hyperparameters = make_hyperparameters()
    (loss, (_, logged)), gradient = evaluate(
        make_objective(variant), head, None, batch, data, hyperparameters
    )
    rows = {
        "anchors": ANCHORS,
        "training": TRAINING,
        "positives": positives,
        "negatives": reference_negatives(batch, "chosen"),
    }
    rules = make_rules(variant, hyperparameters)
    expected = reference_terms(head, data, rows, rules)[1]
    assert float(logged["contrastive"]) == pytest.approx(expected, rel=1e-4)
    assert float(loss) == pytest.approx(reference_total(head, data, rows, rules), rel=1e-4)
    assert_gradient(gradient, lambda at: reference_total(at, data, rows, rules), head)


class TestDegenerateBatches:
    """Values and gradients are finite whatever a batch lacks."""

    def check(self, variant, head, data, loss_state=None, hyperparameters=None, **changes):
        positive, negative, *_ = variant
        loss_state = initial_state(positive) if loss_state is None else loss_state
        (loss, (_, logged)), gradient = evaluate(
            make_objective(variant),
            head,
            loss_state,
            make_batch(positive, negative)._replace(**changes),
            data,
            make_hyperparameters() if hyperparameters is None else hyperparameters,
        )
        assert np.isfinite(loss)
        for name in Head._fields:
            assert np.isfinite(getattr(gradient, name)).all(), name
        return logged

    def test_no_positives(self, head, data):
        empty = Pool(jnp.asarray(POOL[None]), jnp.full((1, 6, 3), EMPTY, jnp.int32))
        logged = self.check(VARIANTS[3], head, data, positives=empty)
        assert logged["contrastive"] == 0

    def test_no_negatives(self, head, data):
        empty = Pool(jnp.asarray(CANDIDATES[None]), jnp.full((1, 6, 3), EMPTY, jnp.int32))
        logged = self.check(VARIANTS[0], head, data, negatives=empty)
        assert logged["contrastive"] == 0

    @pytest.mark.parametrize("variant", [*VARIANTS[:2], VARIANTS[6]])
    def test_one_class_and_no_row_with_weight(self, head, data, variant):
        one_class = data._replace(labels=jnp.zeros(ROWS, jnp.int32))
        no_centroids = normalize(jnp.zeros((EMBEDDING, CLASSES)))
        hyperparameters = make_hyperparameters(row_weights=np.zeros(ROWS))
        self.check(variant, head, one_class, no_centroids, hyperparameters)

    def test_the_same_row_everywhere(self, head, data):
        changes = {"anchors": jnp.zeros(6, jnp.int32), "training": jnp.zeros(8, jnp.int32)}
        self.check(VARIANTS[0], head, data, **changes)

    def test_embeddings_of_length_zero(self, head, data):
        features = data.features._replace(values=jnp.zeros((ROWS, DIM)))
        flat = head._replace(bias=jnp.zeros(EMBEDDING))
        self.check(VARIANTS[0], flat, data._replace(features=features))


def test_erm_value_and_gradients(head, data):
    (loss, _), gradient = evaluate(
        ErmObjective(), head, None, jnp.asarray(TRAINING), data, jnp.float32(0)
    )
    rules = {"positive": "rps", "nearest": False, "holistic": "none", "cross_entropy": "train"}
    rules["temperature"] = 1.0
    rows = {"anchors": [], "training": TRAINING}

    def entropy(at):
        return reference_terms(at, data, rows, rules)[0]

    assert float(loss) == pytest.approx(entropy(head), rel=1e-5)
    assert_gradient(gradient, entropy, head)


def test_dropout_affects_the_logits_alone(head, data):
    """Contrastive loss, holistic loss and centroids see every entry."""
    batch, loss_state = make_batch("dps", "chosen"), initial_state("dps")
    objective = CfrObjective("cosine", "both", "chosen", 3)
    results = [
        evaluate(objective, head, loss_state, batch, data, make_hyperparameters(rate))[0][1]
        for rate in (0.0, 0.5)
    ]
    (whole_centroids, whole), (centroids, dropped) = results
    assert (whole_centroids.unit == centroids.unit).all()
    for name in ("contrastive", "holistic", "calibration_accuracy"):
        assert dropped[name] == whole[name], name
    assert dropped["cross_entropy"] != whole["cross_entropy"]


def test_parts_of_a_split_have_the_gradient_of_slices(rng):
    array, weights = (jnp.asarray(rng.normal(size=(3, 5)), jnp.float32) for _ in range(2))

    def loss(parts):
        return sum((part**2 * weight).sum() for part, weight in parts)

    def by_split(array):
        first, empty, last = split(array, (2, 0, 3))
        assert empty.shape == (3, 0)
        return loss([(first, weights[:, :2]), (last, weights[:, 2:])])

    def by_slices(array):
        return loss([(array[:, :2], weights[:, :2]), (array[:, 2:], weights[:, 2:])])

    found, expected = (jax.value_and_grad(each)(array) for each in (by_split, by_slices))
    assert found[0] == expected[0]
    assert (found[1] == expected[1]).all()
