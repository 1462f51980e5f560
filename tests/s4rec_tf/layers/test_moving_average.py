import keras
import numpy as np

from s4rec_tf.layers.moving_average import MovingAverage


def test_the_average_by_hand_and_in_the_weights_place():
    weight = keras.Variable(np.array([1.0, -2.0], np.float32))
    average = MovingAverage(0.75)
    average.start([weight])
    for value, expected in (([3.0, 2.0], [1.5, -1.0]), ([1.5, 3.0], [1.5, 0.0])):
        weight.assign(value)
        average.advance([weight])
        with average.in_place_of([weight]):
            np.testing.assert_allclose(
                keras.ops.convert_to_numpy(weight * 2), 2 * np.array(expected)
            )
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(weight * 2), 2 * np.array(value)
        )
    assert not average.trainable_weights and len(average.weights) == 1


def test_it_serialises():
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(MovingAverage(0.9, name="teacher"))
    )
    assert (copy.decay, copy.name, copy.trainable) == (0.9, "teacher", False)
