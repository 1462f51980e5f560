import numpy as np

from s4rec_tf.analyze.embedding_map import embedding_map


def test_what_is_far_apart_stays_apart():
    generator = np.random.default_rng(5)
    is_head = np.arange(90) % 3 == 0
    z = generator.normal(size=(90, 8)) + 20 * is_head[:, None]
    found = embedding_map(z, is_head, seed=1)
    np.testing.assert_array_equal(found.is_head, is_head)
    distances = np.linalg.norm(found.places[:, None] - found.places[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argmin(distances, axis=1)
    np.testing.assert_array_equal(is_head[nearest], is_head)


def test_at_most_so_many_users_always_the_same(monkeypatch):
    monkeypatch.setattr("s4rec_tf.analyze.embedding_map.MAX_USERS", 40)
    z = np.random.default_rng(5).normal(size=(60, 4))
    is_head = np.arange(60) < 20
    first, again = (embedding_map(z, is_head, seed=2) for _ in range(2))
    np.testing.assert_array_equal(first.places, again.places)
    assert first.places.shape == (40, 2)


def test_hardly_any_users():
    for count in range(4):
        found = embedding_map(np.eye(4)[:count], np.ones(count, bool), seed=0)
        assert found.places.shape == (count, 2)


def test_embeddings_that_are_all_the_same():
    found = embedding_map(np.ones((12, 1)), np.arange(12) < 3, seed=0)
    assert np.isfinite(found.places).all()
