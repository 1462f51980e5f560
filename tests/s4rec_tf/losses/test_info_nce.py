import numpy as np
import pytest

from s4rec_tf.losses.contrastive import info_nce
from tests.s4rec_tf import reference


def test_matching_agrees_with_its_definition():
    generator = np.random.default_rng(4)
    anchors, matches = generator.normal(size=(2, 5, 3)).astype(np.float32)
    users = np.array([0, 0, 1, 2, 3])
    a, m, losses = reference.unit(anchors), reference.unit(matches), []
    for u in range(5):
        others = [n for n in range(5) if users[n] != users[u]]
        powers = [np.exp(a[u] @ m[n] / 0.2) for n in (u, *others)]
        losses.append(-np.log(powers[0] / np.sum(powers)))
    found = info_nce(anchors, matches, [users], 0.2)
    assert float(found) == pytest.approx(np.mean(losses), abs=1e-5)
