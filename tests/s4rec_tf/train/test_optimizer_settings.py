"""Warm-up, clipping, accumulation and averages of weights, against NumPy."""

import itertools
import types

import keras
import numpy as np
import pytest

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.runs import config
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.runs.settings import TrainSettings
from s4rec_tf.train.optimizers import averaged_weights, make_optimizer
from s4rec_tf.train.tensorflow.trainer import TensorFlowTrainer
from tests.s4rec_tf.small_runs import arrays
from tests.s4rec_tf.train import lives as living

TABLE = np.array([[1.0, -2.0], [0.5, 4.0]])
BIAS = np.array([0.25, -0.5])
GRADIENTS = [
    (np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([12.0, 0.0])),
    (np.array([[0.3, 0.1], [-0.2, 0.0]]), np.array([0.0, 0.1])),
    (np.array([[-1.0, 2.0], [1.0, 0.5]]), np.array([-3.0, 1.0])),
    (np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([0.5, 0.6])),
]


def histories(**settings):
    """Both weights after every step; the optimizer."""
    settings = {"optimizer": "sgd", "learning_rate": 0.5, **settings}
    optimizer = make_optimizer(TrainSettings(**settings), num_steps=0)
    weights = [keras.Variable(array, dtype="float32") for array in (TABLE, BIAS)]
    optimizer.build(weights)
    found = []
    for pair in GRADIENTS:
        optimizer.apply([keras.ops.convert_to_tensor(g, "float32") for g in pair])
        found.append([np.array(weight) for weight in weights])
    return found, optimizer, weights


def assert_all_close(received, expected):
    for ours, theirs in zip(received, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)


def test_defaults_are_plain_sgd():
    expected, weights = [], [TABLE, BIAS]
    for pair in GRADIENTS:
        weights = [w - 0.5 * g for w, g in zip(weights, pair, strict=True)]
        expected.append(weights)
    assert_all_close(histories()[0], expected)


def test_gradients_longer_than_the_norm_are_scaled_down_together():
    expected, weights, lengths = [], [TABLE, BIAS], []
    for pair in GRADIENTS:
        length = np.sqrt(sum(np.sum(g**2) for g in pair))
        lengths.append(length)
        scale = min(1.0, 2.0 / length)
        weights = [w - 0.5 * scale * g for w, g in zip(weights, pair, strict=True)]
        expected.append(weights)
    # Some are scaled and some are not: 3, 4 and 12 have 13 as their diagonal.
    assert lengths[0] == 13 and min(lengths) < 2
    assert_all_close(histories(clip_norm=2.0)[0], expected)


def test_warm_up_rises_in_a_line_and_stays():
    rates, weights, expected = [0.0, 0.25, 0.5, 0.5], [TABLE, BIAS], []
    for rate, pair in zip(rates, GRADIENTS, strict=True):
        weights = [w - rate * g for w, g in zip(weights, pair, strict=True)]
        expected.append(weights)
    assert_all_close(histories(warmup_steps=2)[0], expected)


def test_cosine_rises_as_long_as_asked_for():
    chosen = TrainSettings(schedule="cosine", warmup_steps=10, learning_rate=0.5)
    optimizer = make_optimizer(chosen, num_steps=100)
    rates = []
    for step in (0, 5, 10, 55, 100):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0, 0.25, 0.5, 0.25, 0], atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_accumulated_steps_are_one_update_by_their_mean(optimizer):
    found, _, _ = histories(optimizer=optimizer, accumulation_steps=2)
    expected, weights = [], [TABLE, BIAS]
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
    for step, pair in enumerate(GRADIENTS):
        if step % 2:
            means = [
                (a + b) / 2 for a, b in zip(GRADIENTS[step - 1], pair, strict=True)
            ]
            if optimizer == "sgd":
                steps = [0.5 * mean for mean in means]
            else:
                steps = []
                for number, mean in enumerate(means):
                    first, second = moments[number]
                    first = 0.9 * first + 0.1 * mean
                    second = 0.999 * second + 0.001 * mean**2
                    moments[number] = (first, second)
                    updates = (step + 1) // 2
                    unbiased = second / (1 - 0.999**updates)
                    change = first / (1 - 0.9**updates) / (np.sqrt(unbiased) + 1e-7)
                    steps.append(0.5 * change)
            weights = [w - s for w, s in zip(weights, steps, strict=True)]
        expected.append(weights)
    assert_all_close(found, expected)


def test_average_takes_its_share_of_every_step():
    found, optimizer, weights = histories(ema_decay=0.75)
    averages = found[0]
    for after in found[1:]:
        averages = [
            0.75 * average + 0.25 * weight
            for average, weight in zip(averages, after, strict=True)
        ]
    model = types.SimpleNamespace(trainable_variables=weights, optimizer=optimizer)
    with averaged_weights(model):
        assert_all_close([[np.array(w) for w in weights]], [averages])
    assert_all_close([[np.array(w) for w in weights]], [found[-1]])


TINY = ["dim=8", "max_length=6", "num_layers=1", "seed=5", "batch_size=16"]
ALL = ["clip_norm=1", "warmup_steps=4", "ema_decay=0.9", "accumulation_steps=2"]
ALL += ["weight_decay=0.01"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "dataset"
    sequences = small_datasets.markov_sequences(40, 20, seed=3)
    return spec.DatasetDir(small_datasets.write_dataset(root, sequences, 20))


def test_killed_run_with_all_of_them_ends_as_if_it_had_not_been(dataset, tmp_path):
    lives = living.Lives("sasrec", dataset, [*TINY, *ALL, "epochs=2"])
    whole, steps = tmp_path / "whole", []

    def noted(trainer):
        loss = TensorFlowTrainer.step(trainer)
        weights = trainer.model.trainable_variables
        steps.append([np.array(weight) for weight in weights])
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(living.KeptTrainer, "step", noted)
        most = lives.live(whole)
    assert living.random_moments(lives, tmp_path / "run", most, seed=2, kills=5) > 2
    living.assert_same_run(tmp_path / "run", whole)
    # Nine steps an epoch; updates after every second one.
    moved = [not np.array_equal(a[0], b[0]) for a, b in itertools.pairwise(steps)]
    assert moved[:8] == [True, False] * 4
    averages, best = steps[0], arrays(RunDir(whole).best)
    kept = RunDir(whole).read_manifest()["best_epoch"] * 9
    for number, after in enumerate(steps[1:kept], start=1):
        # Keras starts the average anew until the first update is made.
        decay = 0.0 if number < 2 else 0.9
        averages = [
            decay * average + (1 - decay) * weight
            for average, weight in zip(averages, after, strict=True)
        ]
    model = lives.trainer.model
    names = {id(w): f"variable_{n:05d}" for n, w in enumerate(model.weights)}
    for weight, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_allclose(best[names[id(weight)]], average, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["clip_norm=-1"], "`clip_norm` must not be negative"),
        (["warmup_steps=-1"], "`warmup_steps` must not be negative"),
        (["accumulation_steps=0"], "`accumulation_steps` must be at least 1"),
        (["ema_decay=1"], r"`ema_decay` must lie in \[0, 1\)"),
        (["optimizer=lazy_adam", "clip_norm=1"], "for lazy_adam"),
        (["optimizer=lazy_adam", "ema_decay=0.9"], "for lazy_adam"),
        (["optimizer=lazy_adam", "accumulation_steps=2"], "for lazy_adam"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(config.ConfigError, match=message):
        config.resolve("sasrec", None, settings)
