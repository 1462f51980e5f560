import keras
import numpy as np
import tensorflow as tf

from s4rec_tf.layers.gradient_reversal import GradientReversal

INPUTS = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


def test_is_exactly_the_identity_forward():
    outputs = GradientReversal(gamma=0.7)(INPUTS)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(outputs), INPUTS)


def test_classifier_learns_and_encoder_unlearns():
    encoder = tf.Variable(INPUTS[:3] * 0.3)
    classifier = tf.Variable(INPUTS[:, :1].T[:, :3] * 0.5 + 1.0)

    def gradients(reverse):
        with tf.GradientTape() as tape:
            hidden = tf.matmul(INPUTS, encoder)
            hidden = GradientReversal(gamma=2.5)(hidden) if reverse else hidden
            loss = tf.reduce_mean(tf.tanh(tf.matmul(hidden, classifier, False, True)))
        return tape.gradient(loss, [encoder, classifier])

    plain, reversed_ = gradients(False), gradients(True)
    np.testing.assert_allclose(reversed_[0], -2.5 * plain[0], rtol=1e-5)
    np.testing.assert_allclose(reversed_[1], plain[1], rtol=1e-6)


def test_scale_multiplies_gamma():
    x = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(GradientReversal(gamma=2.0)(x, scale=0.25) * [3.0, 4.0])
    np.testing.assert_allclose(tape.gradient(loss, x), [-1.5, -2.0])
