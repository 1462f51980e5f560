"""S4Rec's options against a plain float64 evaluation, and what a weight of 0 saves."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.small_datasets import markov_sequences, train_split
from s4rec_tf.data import augment, stream
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.data.samples import training_samples
from s4rec_tf.losses.adversarial import head_tail_cross_entropy
from s4rec_tf.models.s4rec_settings import S4RecSettings
from tests.s4rec_tf import reference
from tests.s4rec_tf.small_runs import as_numpy, shaken_s4rec

NUM_ITEMS, LENGTH, ROWS = 30, 10, 12
USERS = np.array([0, 1, 2, 2, 3, 4, 5, 6, 6, 6, 7, 8], np.int32)
TARGETS = np.array([4, 9, 4, 9, 9, 1, 2, 3, 5, 9, 4, 7], np.int32)


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(5)
    lengths = generator.integers(1, LENGTH + 1, ROWS)
    is_real = np.arange(LENGTH) >= LENGTH - lengths[:, None]

    def rows():
        ids = generator.integers(1, NUM_ITEMS + 1, (ROWS, LENGTH))
        return np.where(is_real, ids, 0).astype(np.int32)

    return {
        "item_ids": rows(),
        "target_ids": TARGETS[:, None],
        "user_index": USERS,
        "is_head": generator.random(ROWS) < 0.3,
        "view_1": rows(),
        "view_2": rows(),
    }


def build(**settings):
    return shaken_s4rec(NUM_ITEMS, LENGTH, **settings)


def encode(model, batch):
    encoded = model(batch, training=False)
    terms = {k: float(v) for k, v in model.loss_terms(batch, encoded).items()}
    vectors = map(as_numpy, (encoded.rows.z, *encoded.rows.views))
    return terms, *vectors, as_numpy(model.prototypes.mu)


def test_swapped_targets(batch):
    terms, _, z_1, z_2, mu = encode(build(clustering_targets="swapped"), batch)
    p_1, p_2 = (reference.soft_assignment(x, mu, 0.1) for x in (z_1, z_2))
    q_1, q_2 = (
        reference.sinkhorn_targets(reference.prototype_scores(x, mu))
        for x in (z_1, z_2)
    )
    expected = reference.clustering_loss(p_1, q_2) + reference.clustering_loss(p_2, q_1)
    assert terms["clustering"] == pytest.approx(expected / 2, rel=1e-5)


def contrastive_by_hand(z_1, z_2, mu, assigned, are_negatives, tau_2):
    """Eq. 10 where the pairs (u, n) that are negatives are given, bool [B, B]."""
    total = 0.0
    for first, second in ((z_1, z_2), (z_2, z_1)):
        first, second = reference.unit(first), reference.unit(second)
        for u in range(ROWS):
            positive = np.exp(first[u] @ second[u] / tau_2)
            denominator = positive
            for n in np.flatnonzero(are_negatives[u]):
                denominator += np.exp(first[u] @ first[n] / tau_2)
                denominator += np.exp(first[u] @ second[n] / tau_2)
            for k in set(range(len(mu))) - {assigned[u]}:
                denominator += np.exp(first[u] @ reference.unit(mu)[k] / tau_2)
            total -= np.log(positive / denominator) / ROWS
    return total


@pytest.mark.parametrize("by_target", [True, False])
@pytest.mark.parametrize("by_intent", [True, False])
def test_false_negatives_are_left_out(batch, by_target, by_intent):
    masked = {"mask_same_target": by_target, "mask_same_intent": by_intent}
    model = build(**masked, tau_2=0.5)
    terms, z, z_1, z_2, mu = encode(model, batch)
    q = reference.sinkhorn_targets(reference.prototype_scores(z, mu))
    assigned = reference.assigned_intents(q)
    differ = USERS[:, None] != USERS[None, :]
    if by_target:
        differ &= TARGETS[:, None] != TARGETS[None, :]
    if by_intent:
        differ &= assigned[:, None] != assigned[None, :]
    expected = contrastive_by_hand(z_1, z_2, mu, assigned, differ, tau_2=0.5)
    assert terms["contrastive"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_with_kmeans_an_intent_is_the_nearest_centroid(batch, normalize):
    model = build(
        clustering="kmeans",
        normalize_prototypes=normalize,
        distillation_vectors="raw",
        tau_3=1.0,
    )
    # Of lengths so different that a dot product alone would choose another.
    mu = as_numpy(model(batch).rows.z)[:5] * np.array(
        [[0.6], [0.9], [1.2], [1.5], [2.0]]
    )
    model.prototypes.mu.assign(mu)
    terms, z, z_1, z_2, _ = encode(model, batch)
    ours = (reference.unit(z), reference.unit(mu)) if normalize else (z, mu)
    distances = np.linalg.norm(ours[0][:, None] - ours[1][None], axis=2)
    nearest = np.argmin(distances, axis=1)
    assert len(set(nearest)) > 1
    expected = reference.distillation_loss(z_1, z_2, mu, nearest, 1.0)
    assert terms["distillation"] == pytest.approx(expected, rel=1e-4)
    assert model.clusters(z.astype(np.float32)).tolist() == nearest.tolist()


def test_both_classes_weigh_alike():
    logits = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    is_head = np.array([True, False, False, False, True])

    def mean_over(rows):
        chosen = logits[rows].astype(np.float64)
        return reference.head_tail_loss(chosen, is_head[rows], np.eye(2), np.zeros(2))

    received = float(head_tail_cross_entropy(logits, is_head, balanced=True))
    expected = (mean_over([0, 4]) + mean_over([1, 2, 3])) / 2
    assert received == pytest.approx(expected, rel=1e-6)
    for rows in ([1, 2, 3], [0, 4]):  # one class alone
        alone = head_tail_cross_entropy(logits[rows], is_head[rows], balanced=True)
        assert float(alone) == pytest.approx(mean_over(rows), rel=1e-6)


def test_a_prefix_is_head_by_its_own_length(batch):
    split = train_split(markov_sequences(60, NUM_ITEMS, seed=1), head_above=7)
    model = build(head_tail_by="prefix")
    samples = training_samples(split, "prefix", LENGTH)
    settings = augment.AugmentationSettings()
    needs = model.batch_spec()
    data = stream.training_batches(split, samples, needs, settings, NUM_ITEMS, 32, 1)
    for made in data.take(4).as_numpy_iterator():
        # Cut to L = 10 items, but head from 8 on.
        lengths = np.count_nonzero(made["item_ids"], axis=1)
        shortest_head = split.sequence_lengths[split.is_head].min()
        assert shortest_head == 8
        np.testing.assert_array_equal(made["is_head"], lengths >= shortest_head)
    terms, z, *_ = encode(model, batch)
    weight, bias = (as_numpy(w) for w in model.head_tail_classifier.weights)
    is_head = batch["is_head"]
    expected = [
        reference.head_tail_loss(z[rows], is_head[rows], weight, bias)
        for rows in (is_head, ~is_head)
    ]
    assert terms["adversarial"] == pytest.approx(np.mean(expected), rel=1e-5)


NO_TERMS = {"alpha": 0, "beta_1": 0, "beta_2": 0, "lambda_adv": 0}
ALL = {"next_item", "clustering", "contrastive", "distillation", "adversarial"}


@pytest.mark.parametrize(
    ("settings", "absent", "num_views"),
    [
        ({"lambda_adv": 0}, {"adversarial"}, 2),
        ({"alpha": 0}, {"clustering"}, 2),
        ({"beta_1": 0, "beta_2": 0}, {"contrastive", "distillation"}, 0),
        (
            {"beta_1": 0, "beta_2": 0, "clustering_targets": "swapped"},
            {"contrastive", "distillation"},
            2,
        ),
        ({"clustering": "kmeans"}, {"clustering"}, 2),
        (
            NO_TERMS,
            ALL - {"next_item"},
            0,
        ),
    ],
)
def test_a_term_without_weight_is_neither_computed_nor_logged(
    batch, settings, absent, num_views
):
    model = build(**settings)
    assert model.batch_spec().num_views == num_views
    held = {k: v for k, v in batch.items() if num_views or not k.startswith("view")}
    with tf.GradientTape() as tape:
        loss = model.compute_loss(held, y_pred=model(held, training=True))
    assert np.isfinite(float(loss))
    assert set(model.loss_weights()) == ALL - absent
    logged = {name.removesuffix("_weighted") for name in model.get_metrics_result()}
    assert logged - {"loss"} == ALL - absent
    # Nothing is left to an optimizer that no term teaches.
    gradients = tape.gradient(loss, model.trainable_weights)
    idle = [
        weight.path
        for weight, gradient in zip(model.trainable_weights, gradients, strict=True)
        if gradient is None and "mask_vector" not in weight.path
    ]
    assert idle == []


def trained(batch, steps, **settings):
    """Prototypes and logged weighted terms after each of some steps."""
    model = build(**settings)
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    prototypes, logs = [np.asarray(model.prototypes.mu)], []
    for _ in range(steps):
        data = tf.data.Dataset.from_tensors(batch)
        logs.append(model.fit(data, verbose=0).history)
        prototypes.append(np.asarray(model.prototypes.mu))
    return prototypes, logs


def of_users(batch):
    """Rows of other users, beside a batch that has no views."""
    users = {name: np.roll(values, 3, axis=0) for name, values in batch.items()}
    own = {name: batch[name] for name in batch if not name.startswith("view")}
    return {**own, "users": {**users, "user_index": np.arange(ROWS, dtype=np.int32)}}


def test_terms_beside_the_next_item_look_at_users_alone(batch):
    given = of_users(batch)
    model, plain = build(auxiliary_rows="users"), build()
    needs = model.batch_spec()
    assert (needs.num_views, needs.users.num_views) == (0, 2)
    expected = encode(plain, given["users"])[0]
    expected["next_item"] = encode(plain, batch)[0]["next_item"]
    encoded = model(given, training=False)
    received = model.loss_terms(given, encoded)
    for name, value in expected.items():
        assert float(received[name]) == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("as_padding", [True, False])
def test_a_step_without_users_learns_the_next_item_alone(batch, as_padding):
    given = of_users(batch)
    none = {name: np.zeros_like(values) for name, values in given["users"].items()}
    alone = {name: values for name, values in given.items() if name != "users"}
    model, sasrec = build(auxiliary_rows="users"), build(**NO_TERMS)
    losses = [
        recommender.compute_loss(held, y_pred=recommender(held, training=True))
        for recommender, held in (
            (model, {**alone, "users": none} if as_padding else alone),
            (sasrec, alone),
        )
    ]
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-6)
    logs = model.get_metrics_result()
    assert [float(logs[f"{name}_weighted"]) for name in ALL - {"next_item"}] == [0] * 4
    # A step without users leaves the mean over those with users as it is.
    once = [float(v) for v in model.loss_terms(given, model(given)).values()]
    model.compute_loss(given, y_pred=model(given))
    logged = [float(model.get_metrics_result()[name]) for name in model.loss_weights()]
    assert logged == pytest.approx(once, rel=1e-5)


@pytest.mark.parametrize("score", ["dot", "cosine"])
def test_the_expected_intent_is_part_of_what_ranks(batch, score):
    model = build(predicted_intents=0.5, score=score, score_temperature=0.2, tau_1=0.3)
    z, mu = as_numpy(model(batch).rows.z), as_numpy(model.prototypes.mu)
    expected = reference.soft_assignment(z, mu, 0.3) @ mu
    vectors = (z if score == "dot" else reference.unit(z)) + 0.5 * expected
    table = as_numpy(model.item_embedding.table)
    if score == "cosine":
        vectors, table = reference.unit(vectors) / 0.2, reference.unit(table)
    received = as_numpy(model.user_vectors(batch["item_ids"]))
    np.testing.assert_allclose(received, vectors, atol=1e-5)
    assert not model.embeds_with_user_vectors
    loss = reference.softmax_loss(vectors[:, None], batch["target_ids"], table)
    terms = model.loss_terms(batch, model(batch))
    assert float(terms["next_item"]) == pytest.approx(loss, rel=1e-5)


def divergence(model, teacher, whole, student):
    """KL(p || q) of every row, p of the teacher on whole rows, q of the model."""
    p, q = (
        reference.softmax(
            as_numpy(m.sequence_embeddings(ids)) @ as_numpy(m.item_vectors()).T
        )
        for m, ids in ((teacher, whole), (model, student))
    )
    return np.sum(p * np.log(p / q), axis=1)


@pytest.mark.parametrize("rows", ["samples", "users"])
def test_short_histories_are_told_what_the_whole_one_predicts(batch, rows):
    model = build(teach_weight=0.3, short_items=1, auxiliary_rows=rows)
    given = of_users(batch) if rows == "users" else batch
    whole = given.get("users", given)["item_ids"]
    assert model.loss_weights()["teaching"] == 0.3
    received = model.loss_terms(given, model(given, training=False))["teaching"]
    # Of at most one item, all but the last are left out.
    last = np.where(np.arange(LENGTH) == LENGTH - 1, whole, 0)
    is_cut = np.count_nonzero(whole, axis=1) > 1
    assert 0 < np.sum(is_cut) < ROWS
    expected = divergence(model, model, whole, last)[is_cut].mean()
    assert float(received) == pytest.approx(expected, rel=1e-4)


def test_a_moving_average_teaches_the_views(batch):
    teaching = {"teach_weight": 0.3, "taught": "views", "teacher_decay": 0.75}
    model, teacher = build(**NO_TERMS, **teaching), build(**NO_TERMS)
    assert model.batch_spec().num_views == 2
    # The average begins with the weights, before they were shaken; one step moves it.
    start = [as_numpy(average) for average in model.average.averages]
    averaged = [as_numpy(weight) for weight in model.averaged_weights()]
    encoded = model(batch, training=True)
    expected = [0.75 * a + 0.25 * w for a, w in zip(start, averaged, strict=True)]
    assert len(expected) == len(teacher.averaged_weights()) > 10
    for weight, value in zip(teacher.averaged_weights(), expected, strict=True):
        weight.assign(value)
    received = model.loss_terms(batch, encoded)["teaching"]
    whole = batch["item_ids"]
    views = [divergence(model, teacher, whole, batch[f"view_{n}"]) for n in (1, 2)]
    assert float(received) == pytest.approx(np.mean(sum(views)), rel=1e-4)


def test_the_teacher_learns_nothing(batch):
    model = build(teach_weight=1.0, short_items=1)
    whole = {**batch, "item_ids": batch["item_ids"][np.newaxis, 0].repeat(ROWS, axis=0)}
    with tf.GradientTape() as tape:
        terms = model.loss_terms(whole, model(whole, training=True))
    gradient = tape.gradient(terms["teaching"], model.encoder.positions.value)
    moved = np.abs(as_numpy(tf.convert_to_tensor(gradient))).max(axis=1) > 0
    # The student stands at the last position alone.
    assert moved.tolist() == [False] * (LENGTH - 1) + [True]


def test_prototypes_stay_in_the_first_steps(batch):
    prototypes, _ = trained(batch, 4, prototype_freeze_steps=2)
    np.testing.assert_array_equal(prototypes[0], prototypes[2])
    for step in (3, 4):
        assert np.abs(prototypes[step] - prototypes[step - 1]).max() > 0


def test_auxiliary_weights_rise_linearly(batch):
    _, logs = trained(batch, 4, auxiliary_ramp_steps=2, alpha=0.4)
    shares = [log["clustering_weighted"][0] / log["clustering"][0] for log in logs]
    assert shares == pytest.approx([0.0, 0.2, 0.4, 0.4], abs=1e-6)
    for log in logs:
        assert log["next_item_weighted"] == log["next_item"]


def reversed_gradient(model, batch):
    """Size of the adversary's gradient at the item embeddings."""
    with tf.GradientTape() as tape:
        terms = model.loss_terms(batch, model(batch, training=True))
    gradient = tape.gradient(terms["adversarial"], model.item_embedding.table.value)
    return float(tf.norm(tf.convert_to_tensor(gradient)))


def test_the_reversal_rises_as_in_dann(batch):
    model = build(gamma_ramp_steps=10, lambda_adv=1.0)
    sizes = [reversed_gradient(model, batch) for _ in range(6)]
    assert sizes[0] == 0
    # t = 0.1 and 0.5: 2 / (1 + exp(-1)) - 1 = 0.46212, 2 / (1 + exp(-5)) - 1 = 0.98661.
    constant = reversed_gradient(build(lambda_adv=1.0), batch)
    assert sizes[1] / constant == pytest.approx(0.462117, rel=1e-4)
    assert sizes[5] / constant == pytest.approx(0.986614, rel=1e-4)
    half = reversed_gradient(build(lambda_adv=1.0, gamma=0.5), batch)
    assert half / constant == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("prototype_freeze_steps", -1, "must not be negative"),
        ("auxiliary_ramp_steps", -2, "must not be negative"),
        ("num_intents", 0, "must be at least 1"),
        ("tau_2", 0.0, "must be positive"),
    ],
)
def test_wrong_settings_are_named(setting, value, rule):
    with pytest.raises(ValueError, match=f"`{setting}` {rule}. Received: {value}"):
        S4RecSettings(**{setting: value})


def test_views_never_hold_the_target():
    # Five items only: an insertion would often be the target.
    rows = [[1, 2, 3, 4, 5], [2, 3, 4, 5, 1], [3, 4, 5, 1, 2], [5, 4, 3, 2, 1]]
    split = train_split(rows, head_above=4)
    samples = training_samples(split, "prefix", 6)
    needs = BatchSpec(max_length=6, num_views=2)
    settings = augment.AugmentationSettings(insert_ratio=1.0)
    data = stream.training_batches(split, samples, needs, settings, 5, 16, seed=1)
    for made in data.take(40).as_numpy_iterator():
        for view in (made["view_1"], made["view_2"]):
            assert not np.any(view == made["target_ids"])
