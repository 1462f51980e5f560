"""Scores as probabilities: against known lines, and in the saved files."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.data import records
from s4rec_tf.export import calibration, module, write
from tests.s4rec_tf.export import standin
from tests.s4rec_tf.export.test_signatures import padded, raw


def test_a_known_line_is_found_again():
    generator = np.random.default_rng(3)
    scores = generator.normal(5.0, 2.0, 200_000)
    hits = generator.random(len(scores)) < 1 / (1 + np.exp(-(1.5 * scores - 9.0)))
    slope, intercept = calibration.fit(scores, hits)
    assert slope == pytest.approx(1.5, rel=0.03)
    assert intercept == pytest.approx(-9.0, rel=0.03)


def test_probabilities_never_fall_with_the_score():
    scores = np.linspace(0, 1, 1000)
    slope, intercept = calibration.fit(scores, scores < 0.3)
    assert slope == 0
    # The share of hits, but for Platt's two more misses and one more hit.
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("hit", [True, False])
def test_one_kind_alone_proves_nothing(hit):
    slope, intercept = calibration.fit(np.arange(10.0), np.full(10, hit))
    assert np.isfinite([slope, intercept]).all()
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(11 / 12 if hit else 1 / 12)


def test_mean_probability_is_the_share_of_hits(exported):
    """Of a likeliest line, with Platt's targets; counted without the servable."""
    split = records.read_split(exported.dataset, "valid")
    servable = module.ServableRecommender(
        exported.model,
        exported.dataset.item_vocab,
        exported.counts,
        standin.MAX_K,
        np.ones(standin.NUM_ITEMS, bool),
    )
    (slope, intercept), deciles = calibration.calibrate(servable, split)
    scores, hits, best = [], [], []
    for row in range(len(split)):
        history = split.items(row).tolist()
        items, values = exported.expected(history, history)
        scores += values
        best.append(values[0])
        hits += [item == split.target_ids[row] for item in items]
    share = np.mean(hits)
    mean = np.mean(1 / (1 + np.exp(-(slope * np.asarray(scores) + intercept))))
    assert 0 < share < 1 and slope >= 0
    assert mean == pytest.approx(share, abs=3 / len(hits))
    tenths = np.digitize(best, deciles)
    counts = np.bincount(tenths, minlength=10)
    assert len(deciles) == 9 and abs(counts - len(best) / 10).max() <= 1


def test_answers_carry_the_probabilities(exported):
    signature = tf.saved_model.load(str(exported.version)).signatures["recommend"]
    answer = signature(
        history=tf.constant([padded(raw([5])), padded([])]),
        k=tf.constant([7, 3]),
        exclude=tf.constant([[""], [""]]),
    )
    split = records.read_split(exported.dataset, "valid")
    servable = module.ServableRecommender(
        exported.model,
        exported.dataset.item_vocab,
        exported.counts,
        standin.MAX_K,
        np.ones(standin.NUM_ITEMS, bool),
    )
    slope, intercept = calibration.calibrate(servable, split).line
    values = answer["probabilities"].numpy()
    scores = answer["scores"].numpy()
    expected = 1 / (1 + np.exp(-(slope * scores[0, :7] + intercept)))
    np.testing.assert_allclose(values[0, :7], expected, rtol=1e-5)
    # Of popular items, the share of all actions.
    shares = np.sort(exported.counts)[::-1][:3] / exported.counts.sum()
    np.testing.assert_allclose(values[1, :3], shares, rtol=1e-5)
    assert not values[0, 7:].any() and not values[1, 3:].any()


def test_without_validation_users_every_item_is_alike(tmp_path):
    root = small_datasets.write_dataset(tmp_path / "data", [[1, 2], [2, 1]], 60)
    dataset = spec.DatasetDir(root)
    model = standin.MeanRecommender(standin.item_table(60))
    version = write.write_version(
        model,
        dataset,
        tmp_path / "demo",
        popularity=np.ones(60, np.int64),
        card={},
    )
    signature = tf.saved_model.load(str(version)).signatures["recommend"]
    answer = signature(
        history=tf.constant([padded(raw([1]))]),
        k=tf.constant([1]),
        exclude=tf.constant([[""]]),
    )
    # Two items are offered; a third outcome is "neither".
    assert answer["probabilities"].numpy()[0, 0] == pytest.approx(1 / 3)
