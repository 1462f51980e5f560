import numpy as np
import pytest

from pipelines.demo.own_terms import own_terms

USERS = 400
IS_HEAD = np.arange(USERS) < 80


@pytest.fixture
def written(tmp_path):
    """Writes ranks as `s4rec_tf.evaluate` does."""

    def write(name, ranks):
        path = tmp_path / f"{name}.npz"
        np.savez(path, ranks=np.asarray(ranks), is_head=IS_HEAD)
        return path

    return write


def test_a_win_on_tail_users_is_named_with_its_size(written):
    """Every tail user rises from rank 3 to rank 1: gain 1/log2(4) = 0.5 to 1."""
    before = np.full(USERS, 3)
    shown = own_terms(
        written("sasrec", before), written("s4rec", np.where(IS_HEAD, before, 1))
    )
    rows = dict(line.rsplit("  ", 2)[:2] for line in shown.splitlines()[2:5])
    sizes = {name.split()[0]: value.strip() for name, value in rows.items()}
    assert sizes == {"all": "+80.0 %", "head,": "+0.0 %", "tail": "+100.0 %"}
    assert "win on all users and win on tail users" in shown.splitlines()[-1]


def test_a_loss_is_called_a_loss(written):
    shown = own_terms(
        written("sasrec", np.full(USERS, 1)), written("s4rec", np.full(USERS, 3))
    )
    assert "lose on all users" in shown.splitlines()[-1]
    assert "win" not in shown.splitlines()[-1]


def test_chance_is_called_chance(written):
    ranks = np.random.default_rng(0).integers(1, 40, (2, USERS))
    shown = own_terms(written("sasrec", ranks[0]), written("s4rec", ranks[1]))
    assert shown.splitlines()[-1] == (
        "On this log the difference is too small to tell from chance."
    )


def test_where_nothing_is_found_there_is_no_share(written):
    nothing = np.full(USERS, 100)
    shown = own_terms(written("sasrec", nothing), written("s4rec", nothing))
    assert shown.count("SASRec finds nothing here") == 3
