import keras
import numpy as np
import tensorflow as tf

from s4rec_tf.train.tensorflow.fused_adam import FusedAdam


def trained(optimizer, gradients):
    variables = [
        keras.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)),
        keras.Variable(np.ones(3, np.float32)),
    ]
    optimizer.build(variables)
    step = tf.function(lambda pair: optimizer.apply(pair, variables))
    for pair in gradients:
        step(pair)
    return [v.numpy() for v in (*variables, *optimizer.variables)]


def test_it_takes_the_steps_of_keras_adam():
    generator = np.random.default_rng(0)
    gradients = [
        [tf.constant(generator.normal(size=s), tf.float32) for s in ((4, 3), (3,))]
        for _ in range(20)
    ]

    def rate():
        return keras.optimizers.schedules.CosineDecay(0.05, 15)

    expected = trained(keras.optimizers.Adam(rate()), gradients)
    received = trained(FusedAdam(rate()), gradients)
    for ours, theirs in zip(received, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_repeated_rows_of_a_sparse_gradient_are_summed():
    rows = tf.IndexedSlices(tf.ones((2, 3)), tf.constant([1, 1]), tf.constant([4, 3]))
    table = keras.Variable(np.zeros((4, 3), np.float32))
    optimizer = FusedAdam(1.0)
    optimizer.build([table])
    optimizer.apply([rows], [table])
    momentum = optimizer.variables[2].numpy()
    np.testing.assert_allclose(momentum[1], 0.2, rtol=1e-6)
    assert not np.any(momentum[[0, 2, 3]])
