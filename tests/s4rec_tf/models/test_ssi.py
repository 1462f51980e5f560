"""SSI: consistent teachers, and a student that imitates them."""

import keras
import numpy as np
import pytest

from s4rec_tf.losses import imitation
from s4rec_tf.models.ssi import SSI
from s4rec_tf.models.weighted_terms import MAIN_STAGE
from s4rec_tf.runs import config
from tests.s4rec_tf import reference
from tests.s4rec_tf.models.test_contrast_models import batch
from tests.s4rec_tf.small_runs import as_numpy

NUM_ITEMS = 20
SMALL = {"max_length": 6, "dim": 8, "teacher_dim": 8, "dropout": 0.0}
SMALL |= {"teacher_layers": 1}


def build(**settings):
    keras.utils.set_random_seed(1)
    return SSI({**SMALL, **settings}, NUM_ITEMS)


def test_imitation_agrees_with_its_definition():
    generator = np.random.default_rng(3)
    teacher, student = generator.normal(size=(2, 5, 4)).astype(np.float32)
    of_teacher, of_student = generator.normal(size=(2, 9, 4)).astype(np.float32)
    found = imitation.prediction_imitation(teacher, of_teacher, student, of_student)
    p_t = reference.softmax(teacher @ of_teacher.T)
    p_s = reference.softmax(student @ of_student.T)
    expected = [
        sum(p_t[u, v] * np.log(p_t[u, v] / p_s[u, v]) for v in range(9))
        for u in range(5)
    ]
    np.testing.assert_allclose(as_numpy(found), expected, atol=1e-5)
    found = imitation.representation_imitation(teacher, student)
    squares = [sum((teacher[n] - student[n]) ** 2) for n in range(5)]
    assert float(found) == pytest.approx(np.mean(squares), rel=1e-5)
    weights = np.array([1.0, 2.0, 4.0], np.float32)
    # 1 + 1/2 + 1/4 = 1.75; 1.75^2 = 3.0625.
    assert float(imitation.teacher_weight_penalty(weights)) == pytest.approx(4.8125)


def test_the_student_imitates_every_teacher_with_its_weight():
    model, given = build(), batch()
    model.log_weights.assign(np.log([1.0, 2.0, 3.0]))
    vectors = model(given, training=True)
    terms = model.loss_terms(given, vectors)
    assert set(terms) == set(model.loss_weights())
    items, targets = as_numpy(model.item_vectors()), given["target_ids"][:, 0] - 1
    log_p = np.log(reference.softmax(as_numpy(vectors) @ items.T))
    expected = {"next_item": -np.mean(log_p[np.arange(7), targets])}
    expected |= {"prediction_imitation": 0.0, "item_imitation": 0.0}
    for weight, teacher in zip((1.0, 2.0, 3.0), model.teachers, strict=True):
        of_teacher = as_numpy(teacher.item_vectors())
        users = as_numpy(teacher.user_vectors(given["item_ids"]))
        p = reference.softmax(users @ of_teacher.T)
        divergence = np.mean(np.sum(p * (np.log(p) - log_p), axis=1))
        expected["prediction_imitation"] += weight * divergence
        distance = np.sum((of_teacher[targets] - items[targets]) ** 2, axis=1)
        expected["item_imitation"] += weight * np.mean(distance)
    expected["teacher_weights"] = 11 / 6 + (11 / 6) ** 2
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(value, rel=1e-4), name


def test_teachers_of_another_width_are_reached_by_a_projection():
    model, given = build(teacher_dim=12, teacher_heads=3), batch()
    assert model.projection is not None
    terms = model.loss_terms(given, model(given, training=True))
    assert np.isfinite([float(value) for value in terms.values()]).all()
    assert build().projection is None


@pytest.mark.parametrize("student", ["gru", "hgn"])
def test_a_student_sees_no_padding(student):
    model = build(student=student)
    short = np.array([[3, 4]], np.int32)
    long = np.array([[0, 0, 0, 0, 3, 4]], np.int32)
    vectors = [as_numpy(model.user_vectors(ids)) for ids in (short, long)]
    np.testing.assert_allclose(*vectors, atol=1e-5)


def test_the_student_hgn_by_hand():
    model = build(window=2)
    layer = model.student
    generator = np.random.default_rng(6)
    for weight in layer.trainable_weights:
        weight.assign(generator.normal(size=weight.shape))
    vectors = generator.normal(size=(1, 3, 8)).astype(np.float32)
    s, user = vectors[0, 1:], vectors[0].mean(axis=0)

    def sigmoid(values):
        return 1 / (1 + np.exp(-values))

    of, gate = layer.feature_gate, layer.instance_gate
    inner = s @ as_numpy(of.of_items) + user @ as_numpy(of.of_user) + as_numpy(of.bias)
    gated = s * sigmoid(inner)
    weights = gated @ as_numpy(gate.of_items)[:, 0] + user @ as_numpy(gate.of_user)
    weights = sigmoid(weights)
    pooled = weights @ gated / weights.sum()
    state = user + pooled + s.sum(axis=0)
    kernel, bias = (
        as_numpy(layer.output_layer.kernel),
        as_numpy(layer.output_layer.bias),
    )
    found = as_numpy(layer(vectors, np.ones((1, 3), bool)))[0]
    np.testing.assert_allclose(found, state @ kernel + bias, rtol=1e-4, atol=1e-4)


def test_each_teacher_asks_its_own_question():
    model, given = build(), batch()
    item_ids = np.array([[0, 0, 1, 2, 3, 4], [0, 5, 6, 7, 8, 9]] * 40, np.int32)
    users = np.arange(80, dtype=np.int32)
    temporal, persona, _ = model.teachers
    for teacher in (temporal, persona):
        (asked,), is_consistent = teacher._questions(item_ids, users)
        asked, is_consistent = np.asarray(asked), np.asarray(is_consistent)
        assert (asked[:, -1] == -2).all()
        shown, known = asked[:, :-1], item_ids[:, 1:]
        np.testing.assert_array_equal((shown == known).all(axis=1), is_consistent)
        assert 0.2 < is_consistent.mean() < 0.9
        same_items = (np.sort(shown, axis=1) == np.sort(known, axis=1)).all(axis=1)
        if teacher is temporal:
            assert same_items.all()
        else:
            np.testing.assert_array_equal(same_items, is_consistent)
    model.begin_stage("teach")
    terms = model.loss_terms(given, model(given, training=True))
    assert (
        set(terms)
        == set(model.loss_weights())
        == {
            *("temporal", "temporal_gaps", "persona", "persona_gaps"),
            *("session", "session_gaps"),
        }
    )


def test_the_question_is_a_vector_of_its_own():
    model = build()
    question = np.array([[0, 0, 1, 2, 3, -2]], np.int32)
    before = as_numpy(model.teachers[0].encode(question))
    model.teachers[0].int_vector.assign(np.ones(8))
    assert np.abs(as_numpy(model.teachers[0].encode(question)) - before).max() > 1e-2


def test_cross_entropy_of_the_classifier_by_hand():
    teacher = build().teachers[0]
    teacher.classifier = [lambda values: values[:, :1]]
    logits = np.array([[0.0], [2.0], [-1.0]], np.float32)
    found = teacher._cross_entropy(logits, np.array([True, True, False]))
    p = 1 / (1 + np.exp(-logits[:, 0]))
    expected = -np.mean([np.log(p[0]), np.log(p[1]), np.log(1 - p[2])])
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_every_ablation_is_one_change():
    full = config.resolve(None, "ssi_beauty").flat()
    expected = {
        "no_items": {"imitates_items": False},
        "no_predictions": {"imitates_predictions": False},
        "student": {"imitates_items": False, "imitates_predictions": False},
        "temporal": {"teachers": ["temporal"]},
        "persona": {"teachers": ["persona"]},
        "session": {"teachers": ["session"]},
        "gru": {"student": "gru"},
    }
    for name, change in expected.items():
        flat = config.resolve(None, f"ssi_beauty_{name}").flat()
        assert {key: flat[key] for key in flat if flat[key] != full[key]} == change


def test_a_student_without_teachers_is_trained_in_one_stage():
    model = build(imitates_items=False, imitates_predictions=False)
    assert model.pretraining_stages() == {} and model.teachers == []
    assert set(model.loss_weights()) == {"next_item"}
    one = build(teachers=("persona",))
    assert [teacher.task for teacher in one.teachers] == ["persona"]
    assert one.stage == MAIN_STAGE


@pytest.mark.parametrize(
    ("wrong", "received"),
    [
        ({"teacher_layers": 0}, "0"),
        ({"dropout": 1.5}, "1.5"),
        ({"session_tau": 0.0}, "0.0"),
        ({"consistency_weight": -1.0}, "-1.0"),
        ({"teachers": ("spatial",)}, r"\('spatial',\)"),
    ],
)
def test_impossible_settings_are_refused(wrong, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        build(**wrong)
