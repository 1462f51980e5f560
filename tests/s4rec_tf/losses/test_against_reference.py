"""The losses of one batch against a plain float64 evaluation of the equations."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from s4rec_tf.losses import chunked_softmax, next_item
from s4rec_tf.losses.distillation import intent_distillation
from s4rec_tf.runs import config
from tests.s4rec_tf import reference
from tests.s4rec_tf.small_runs import as_numpy, shaken_s4rec

NUM_ITEMS, LENGTH, ROWS = 30, 10, 12
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(5)

    def rows():
        ids = generator.integers(1, NUM_ITEMS + 1, (ROWS, LENGTH))
        lengths = generator.integers(1, LENGTH + 1, ROWS)
        return np.where(np.arange(LENGTH) >= LENGTH - lengths[:, None], ids, 0)

    items = rows()
    return {
        "item_ids": items.astype(np.int32),
        "target_ids": generator.integers(1, NUM_ITEMS + 1, (ROWS, 1)).astype(np.int32),
        "user_index": np.array([0, 1, 2, 2, 3, 4, 5, 6, 6, 6, 7, 8], np.int32),
        "is_head": generator.random(ROWS) < 0.3,
        "view_1": np.where(items == 3, -1, rows()).astype(np.int32),
        "view_2": rows().astype(np.int32),
    }


def build(**settings):
    return shaken_s4rec(NUM_ITEMS, LENGTH, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"decoupled": True, "tau_2": 0.2},
        {"intent_negatives": False, "tau_1": 0.5},
        {"distillation_vectors": "unit", "tau_3": 0.3},
        {"sinkhorn_iterations": 7, "epsilon": 0.2},
    ],
)
def test_every_term_equals_the_equations(batch, settings):
    model = build(**settings)
    encoded = model(batch, training=False)
    received = {name: float(v) for name, v in model.loss_terms(batch, encoded).items()}
    z, z_1, z_2 = map(as_numpy, (encoded.rows.z, *encoded.rows.views))
    mu, chosen = as_numpy(model.prototypes.mu), model.settings
    scores = reference.prototype_scores(z, mu)
    q = reference.sinkhorn_targets(scores, chosen.epsilon, chosen.sinkhorn_iterations)
    p = reference.soft_assignment(z, mu, chosen.tau_1)
    assigned = reference.assigned_intents(q)
    negatives = {"mu": mu, "assigned": assigned} if chosen.intent_negatives else {}
    weight, bias = (as_numpy(w) for w in model.head_tail_classifier.weights)
    unit = chosen.distillation_vectors == "unit"
    expected = {
        "next_item": reference.softmax_loss(
            z[:, None], batch["target_ids"], as_numpy(model.item_vectors())
        ),
        "clustering": reference.clustering_loss(p, q),
        "contrastive": reference.contrastive_loss(
            z_1,
            z_2,
            batch["user_index"],
            chosen.tau_2,
            decoupled=chosen.decoupled,
            **negatives,
        ),
        "distillation": reference.distillation_loss(
            z_1, z_2, mu, assigned, chosen.tau_3, normalize=unit
        ),
        "adversarial": reference.head_tail_loss(z, batch["is_head"], weight, bias),
    }
    for name, value in expected.items():
        assert received[name] == pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE)
    total = reference.total_loss(
        *expected.values(),
        chosen.alpha,
        chosen.beta_1,
        chosen.beta_2,
        chosen.lambda_adv,
    )
    loss = float(model.compute_loss(batch, y_pred=encoded))
    assert loss == pytest.approx(total, rel=TOLERANCE)


@pytest.mark.parametrize("loss", ["softmax", "bce"])
def test_views_may_have_to_tell_the_next_item(batch, loss):
    items = batch["item_ids"]
    targets = np.where(items > 0, batch["target_ids"], 0)
    negatives = np.where(items > 0, items % NUM_ITEMS + 1, 0)
    batch = {**batch, "target_ids": targets, "negative_ids": negatives}
    model = build(view_weight=0.5, beta_1=0.0, beta_2=0.0, loss=loss)
    encoded = model(batch, training=False)
    table = as_numpy(model.item_vectors())
    value = {
        "softmax": lambda states, n: reference.softmax_loss(
            states, targets[:, -n:], table
        ),
        "bce": lambda states, n: reference.bce_loss(
            states, targets[:, -n:], table, negatives[:, -n:]
        ),
    }[loss]
    own = value(as_numpy(encoded.samples.states), LENGTH)
    views = [value(as_numpy(z)[:, None], 1) for z in encoded.samples.views]
    received = float(model.loss_terms(batch, encoded)["next_item"])
    expected = (own + 0.5 * sum(views)) / 2
    assert received == pytest.approx(expected, rel=TOLERANCE)


def test_a_mean_state_cannot_tell_the_next_item():
    with pytest.raises(ValueError, match="`view_weight` needs the last state"):
        build(view_weight=1.0, pooling="mean")


@pytest.mark.parametrize("num_targets", [1, LENGTH])
def test_packing_changes_no_term(batch, num_targets):
    targets = np.where(batch["item_ids"] > 0, batch["target_ids"], 0)
    batch = {**batch, "target_ids": targets[:, -num_targets:]}
    padded, packed = build(), build()
    padded.rows_at_once, packed.rows_at_once = 0, 2
    expected = padded.loss_terms(batch, padded(batch, training=True))
    received = packed.loss_terms(batch, packed(batch, training=True))
    for name, value in expected.items():
        assert float(received[name]) == pytest.approx(float(value), rel=1e-5)


def test_the_other_readings_of_the_paper_are_reachable(batch):
    model = build(contrastive_pairs="original", intent_assignment="p")
    encoded = model(batch, training=False)
    terms = model.loss_terms(batch, encoded)
    z, z_1, z_2 = map(as_numpy, (encoded.rows.z, *encoded.rows.views))
    mu = as_numpy(model.prototypes.mu)
    assigned = np.argmax(reference.prototype_scores(z, mu), axis=1)
    users, tau = batch["user_index"], model.settings.tau_2
    expected = reference.contrastive_pair(
        z_1, z_2, users, tau, mu, assigned
    ) + reference.contrastive_pair(z, z_1, users, tau, mu, assigned)
    assert float(terms["contrastive"]) == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.fixture(scope="module")
def positions():
    generator = np.random.default_rng(8)
    targets = generator.integers(1, 21, (4, 6))
    targets[0, :4], targets[1, :2] = 0, 0
    return {
        "states": generator.normal(size=(4, 6, 8)).astype(np.float32),
        "items": generator.normal(size=(NUM_ITEMS, 8)).astype(np.float32),
        "targets": targets.astype(np.int32),
        "negatives": generator.integers(1, NUM_ITEMS + 1, (4, 6)).astype(np.int32),
        "shared": generator.integers(1, NUM_ITEMS + 1, (4, 9)).astype(np.int32),
    }


def mean(losses, targets):
    return float(next_item.mean_over_targets(losses, targets))


def test_softmax_at_all_positions(positions):
    states, items, targets = (positions[k] for k in ("states", "items", "targets"))
    flat = next_item.softmax(states.reshape(-1, 8), items, targets.reshape(-1))
    expected = reference.softmax_loss(states, targets, items)
    assert mean(flat, targets.reshape(-1)) == pytest.approx(expected, rel=TOLERANCE)


# Of different shapes, since a compiled function is traced once a shape.
@pytest.mark.parametrize(("num_items", "at_once"), [(12, 1000), (13, 5), (14, 7)])
def test_softmax_of_bounded_scores_and_its_gradients(num_items, at_once, monkeypatch):
    monkeypatch.setattr(chunked_softmax, "ITEMS_AT_ONCE", at_once)
    generator = np.random.default_rng(8)
    states, items = generator.normal(size=(6, 8)), generator.normal(size=(num_items, 8))
    states *= 39 / np.linalg.norm(states, axis=1, keepdims=True)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    items[0], items[1] = states[0] / 39, -states[0] / 39  # both ends of the range
    targets = np.array([1, 2, 3, 4, 5, 12])
    scores = states @ items.T
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    is_target = np.eye(num_items)[targets - 1]
    variables = [tf.Variable(x, dtype="float32") for x in (states, items)]
    with tf.GradientTape() as tape:
        losses = next_item.softmax(*variables, tf.constant(targets, "int32"), 39.5)
    to_states, to_items = tape.gradient(losses, variables)
    log_sums = np.log(np.exp(scores).sum(axis=1))
    expected = log_sums - scores[np.arange(6), targets - 1]
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=2e-5)
    difference = shares - is_target
    np.testing.assert_allclose(to_states, difference @ items, atol=1e-5)
    np.testing.assert_allclose(to_items, difference.T @ states, atol=5e-4)


@pytest.mark.parametrize("at_once", [1000, 40])
def test_softmax_of_scores_beyond_the_range_of_exp(at_once, monkeypatch):
    monkeypatch.setattr(chunked_softmax, "ITEMS_AT_ONCE", at_once)
    num_items = 96 + at_once % 7  # a shape of its own: it is traced once
    generator = np.random.default_rng(9)
    states, items = generator.normal(size=(5, 8)), generator.normal(size=(num_items, 8))
    # Every piece has an item of great scores, the last the greatest.
    items[[3, 45, num_items - 2]] *= np.array([[50.0], [60.0], [70.0]])
    targets = np.array([1, 4, 46, num_items, num_items - 1])
    scores = states @ items.T
    assert np.abs(scores).max() > 100
    variables = [tf.Variable(x, dtype="float32") for x in (states, items)]
    with tf.GradientTape() as tape:
        losses = next_item.softmax(*variables, tf.constant(targets, "int32"))
    to_states, to_items = tape.gradient(losses, variables)
    log_sums = scipy.special.logsumexp(scores, axis=1)
    expected = log_sums - scores[np.arange(5), targets - 1]
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-3)
    shares = np.exp(scores - log_sums[:, None])
    difference = shares - np.eye(num_items)[targets - 1]
    np.testing.assert_allclose(to_states, difference @ items, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(to_items, difference.T @ states, atol=1e-3)


@pytest.mark.parametrize("num_items", [1, 15, 16, 37, 160])
def test_the_greatest_score_of_all_items(num_items):
    for seed in range(4):
        scores = np.random.default_rng(seed).normal(size=(num_items, 6))
        found = chunked_softmax._max_over_items(scores.astype(np.float32))
        np.testing.assert_allclose(found, scores.max(axis=0), rtol=1e-6)


@pytest.mark.parametrize("teacher_gradient", [False, True])
def test_prototypes_learn_from_distillation_only_if_asked(teacher_gradient):
    generator = np.random.default_rng(10)
    teacher, student = (tf.Variable(generator.normal(size=(3, 4))) for _ in range(2))
    with tf.GradientTape() as tape:
        loss = intent_distillation(teacher, student, 0.5, teacher_gradient)
    to_teacher, to_student = tape.gradient(loss, [teacher, student])
    assert (to_teacher is not None) == teacher_gradient
    assert np.abs(to_student).max() > 0


def test_softmax_of_bfloat16_products_is_near_that_of_float32():
    generator = np.random.default_rng(8)
    states, items = generator.normal(size=(5, 8)), generator.normal(size=(30, 8))
    variables = [tf.Variable(x, dtype="float32") for x in (states, items)]
    targets = tf.constant([1, 2, 3, 4, 30], "int32")
    found = {}
    for dtype in ("float32", "bfloat16"):
        with tf.GradientTape() as tape:
            losses = next_item.softmax(*variables, targets, dtype=dtype)
        found[dtype] = [losses, *tape.gradient(losses, variables)]
    for exact, rounded in zip(*found.values(), strict=True):
        assert rounded.dtype == tf.float32
        scale = np.abs(exact).max()
        # 8 significant bits.
        np.testing.assert_allclose(rounded, exact, atol=0.02 * scale)


def test_binary_cross_entropy(positions):
    states, items, targets = (positions[k] for k in ("states", "items", "targets"))
    losses = next_item.binary_cross_entropy(
        states, next_item.lookup_in(items), targets, positions["negatives"]
    )
    expected = reference.bce_loss(states, targets, items, positions["negatives"])
    assert mean(losses, targets) == pytest.approx(expected, rel=TOLERANCE)


def test_a_position_without_negative_learns_from_its_target_only():
    states, items = np.ones((1, 1, 2), np.float32), np.array([[1.0, 2], [5, 5]])
    losses = next_item.binary_cross_entropy(
        states,
        next_item.lookup_in(items.astype(np.float32)),
        np.array([[1]]),
        np.array([[0]]),
    )
    assert float(losses[0, 0]) == pytest.approx(np.log1p(np.exp(-3.0)), rel=1e-6)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_generalized_binary_cross_entropy(positions, calibration):
    states, items, targets = (positions[k] for k in ("states", "items", "targets"))
    shared = NUM_ITEMS - positions["shared"] % 10  # never a target of the fixture
    losses = next_item.generalized_binary_cross_entropy(
        states, next_item.lookup_in(items), targets, shared, NUM_ITEMS, calibration
    )
    by_position = np.repeat(shared[:, None], targets.shape[1], axis=1)
    expected = reference.gbce_loss(states, targets, items, by_position, calibration)
    assert mean(losses, targets) == pytest.approx(expected, rel=TOLERANCE)


def test_a_target_is_no_negative_of_itself():
    states, items = np.ones((1, 2, 3)), np.diag([1.0, 2.0, 3.0])
    targets, negatives = np.array([[1, 2]]), np.array([[2, 3]])
    losses = next_item.generalized_binary_cross_entropy(
        states, next_item.lookup_in(items), targets, negatives, 3, calibration=0.0
    )
    log = lambda score: np.log1p(np.exp(score))  # noqa: E731
    expected = [log(-1.0) + log(2.0) + log(3.0), log(-2.0) + log(3.0)]
    np.testing.assert_allclose(losses[0], np.array(expected) / 3, rtol=1e-6)


def test_sampled_softmax_corrects_for_the_sampling(positions):
    states, items, targets = (positions[k] for k in ("states", "items", "targets"))
    share = np.random.default_rng(1).dirichlet(np.ones(NUM_ITEMS))
    losses = next_item.sampled_softmax(
        states,
        next_item.lookup_in(items),
        targets,
        positions["shared"],
        next_item.lookup_in(np.log(9 * share).astype(np.float32)),
    )
    by_position = np.repeat(positions["shared"][:, None], targets.shape[1], axis=1)
    expected = reference.sampled_softmax_loss(
        states, targets, items, by_position, share
    )
    assert mean(losses, targets) == pytest.approx(expected, rel=TOLERANCE)


def test_a_weight_without_a_loss_is_an_error(batch):
    model = build()
    model.loss_weights = lambda: {"next_item": 1.0, "novelty": 2.0}
    with pytest.raises(ValueError, match="novelty"):
        model.compute_loss(batch, y_pred=model(batch))


def test_paper_letters_are_settings():
    resolved = config.resolve("s4rec", None, ["alpha=0.01", "beta_1=0.1", "tau_1=1"])
    assert resolved.flat()["alpha"] == 0.01
    assert resolved.flat()["tau_1"] == 1.0
