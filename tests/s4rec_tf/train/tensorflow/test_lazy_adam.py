import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.small_datasets import markov_sequences, train_split
from s4rec_tf import backend, spec
from s4rec_tf.data import stream
from s4rec_tf.data.samples import training_samples
from s4rec_tf.runs import config
from s4rec_tf.train.setup import build_for_training
from s4rec_tf.train.tensorflow.lazy_adam import LazyAdam
from s4rec_tf.train.tensorflow.trainer import TensorFlowTrainer

RATE, BETA_1, BETA_2, EPSILON = 0.05, 0.9, 0.999, 1e-7


def trained(optimizer, gradients):
    table = keras.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))
    optimizer.build([table])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [table]))
    for gradient in gradients:
        step(gradient)
    # Of the optimizer's own: iterations, rate, momentums, velocities.
    return [table.numpy(), *(v.numpy() for v in optimizer.variables[2:])]


def listed(values, rows):
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([4, 3]))


def test_with_every_row_listed_it_is_adam():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(20, 6, 3)).astype(np.float32)
    # Rows 1 and 3 are listed twice.
    rows = [1, 0, 3, 2, 1, 3]
    dense = np.zeros((20, 4, 3), np.float32)
    for place, row in enumerate(rows):
        dense[:, row] += values[:, place]
    expected = trained(keras.optimizers.Adam(RATE), [tf.constant(d) for d in dense])
    received = trained(LazyAdam(RATE), [listed(v, rows) for v in values])
    for ours, theirs in zip(received, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_row_that_is_not_listed_stays_with_its_moments():
    generator = np.random.default_rng(1)
    steps = [[0], [2, 0], [0], [2]]
    values = [generator.normal(size=(len(r), 3)).astype(np.float32) for r in steps]
    table, momentums, velocities = trained(
        LazyAdam(RATE), [listed(v, r) for v, r in zip(values, steps, strict=True)]
    )
    expected = np.linspace(-1, 1, 12).reshape(4, 3)
    m, v = np.zeros((4, 3)), np.zeros((4, 3))
    for number, (rows, gradients) in enumerate(zip(steps, values, strict=True), 1):
        for row, gradient in zip(rows, gradients, strict=True):
            m[row] = BETA_1 * m[row] + (1 - BETA_1) * gradient
            v[row] = BETA_2 * v[row] + (1 - BETA_2) * gradient**2
            rate = RATE * np.sqrt(1 - BETA_2**number) / (1 - BETA_1**number)
            expected[row] -= rate * m[row] / (np.sqrt(v[row]) + EPSILON)
    np.testing.assert_allclose(table, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(momentums, m, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(velocities, v, rtol=1e-4)


NUM_ITEMS = 300
SPLIT = train_split(markov_sequences(40, 60, seed=2), head_above=8)
INFO = spec.DatasetInfo(
    num_users=40,
    num_items=NUM_ITEMS,
    num_actions=len(SPLIT.values),
    num_head_users=8,
    head_share=0.2,
    head_min_length=9,
    k_core=1,
    split="leave one out",
    split_examples=dict.fromkeys(spec.SPLITS, 40),
)


def settings(optimizer, loss, score):
    overrides = ["max_length=8", "dim=8", "num_layers=1", "num_heads=1", "seed=3"]
    overrides += ["dropout=0", "num_negatives=6", f"loss={loss}", f"score={score}"]
    overrides += [f"optimizer={optimizer}", "batch_size=16"]
    return config.resolve("sasrec", None, overrides)


def built(optimizer, loss, score):
    """A model, and its endless batches."""
    resolved = settings(optimizer, loss, score)
    model = build_for_training(resolved, INFO, SPLIT)
    model.rows_at_once = 0
    samples = training_samples(SPLIT, "prefix", 8)
    return model, stream.training_batches(
        SPLIT, samples, model.batch_spec(), resolved.data, NUM_ITEMS, 16, seed=5
    )


def table_gradient(optimizer, loss, score):
    model, data = built(optimizer, loss, score)
    batch = next(iter(data))
    with tf.GradientTape() as tape:
        value = model.compute_loss(batch, y_pred=model(batch, training=True))
    return tape.gradient(value, model.item_embedding.table.value)


@pytest.mark.parametrize("score", ["dot", "cosine"])
@pytest.mark.parametrize("loss", ["sampled_softmax", "bce", "gbce"])
def test_losses_that_look_at_few_items_list_their_rows(loss, score):
    dense = table_gradient("adam", loss, score)
    sparse = table_gradient("lazy_adam", loss, score)
    assert isinstance(sparse, tf.IndexedSlices)
    assert not isinstance(dense, tf.IndexedSlices)
    np.testing.assert_allclose(tf.convert_to_tensor(sparse), dense, atol=1e-6)


def shapes_in_a_step(optimizer, loss, score):
    """Shapes of all tensors in the graph of a trainer's step."""
    trainer = TensorFlowTrainer(settings(optimizer, loss, score), INFO, SPLIT)
    trainer.begin(0)
    step = trainer._compiled_step.get_concrete_function(trainer._iterator)
    graph = step.graph.as_graph_def(add_shapes=True)
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    shapes = [s for n in nodes for s in n.attr["_output_shapes"].list.shape]
    return {tuple(axis.size for axis in shape.dim) for shape in shapes}


@pytest.mark.parametrize(
    ("loss", "score"),
    [("sampled_softmax", "cosine"), ("bce", "dot"), ("gbce", "dot")],
)
def test_no_tensor_of_a_step_is_as_large_as_the_table(loss, score):
    found = shapes_in_a_step("lazy_adam", loss, score)
    assert (16, 8) in found
    assert {shape for shape in found if NUM_ITEMS in shape} <= {(NUM_ITEMS,)}


def test_a_tensor_as_large_as_the_table_would_be_seen():
    assert (NUM_ITEMS, 8) in shapes_in_a_step("adam", "bce", "dot")


def test_the_full_softmax_lists_every_row():
    tables, losses = [], []
    for optimizer in ("adam", "lazy_adam"):
        model, data = built(optimizer, "softmax", "cosine")
        history = model.fit(data, steps_per_epoch=3, epochs=1, verbose=0)
        losses.append(history.history["next_item"][0])
        tables.append(np.asarray(model.item_embedding.table))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-5)


def test_another_backend_refuses_it(monkeypatch):
    monkeypatch.setattr(backend, "IS_TENSORFLOW", False)
    with pytest.raises(config.ConfigError, match="`optimizer` must not be lazy_adam"):
        built("lazy_adam", "bce", "dot")
