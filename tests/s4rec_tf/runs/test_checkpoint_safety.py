"""A checkpoint is data: nothing of it is executed when it is read."""

import keras
import numpy as np
import pytest

from s4rec_tf.runs import checkpoints


class Canary:
    """Unpickled, it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("place", ["state", "variable_00000"])
def test_pickled_objects_are_refused_unopened(tmp_path, place):
    canary, path = tmp_path / "canary", tmp_path / "last.npz"
    arrays = {"state": np.asarray("{}"), "variable_00000": np.zeros(2, np.float32)}
    arrays[place] = np.array([Canary(canary)], dtype=object)
    np.savez(path, **arrays)
    np.load(path, allow_pickle=True)[place]  # the trap works
    assert canary.exists()
    canary.unlink()
    with pytest.raises(checkpoints.CheckpointError, match="is damaged: Object arrays"):
        checkpoints.read_checkpoint(path, [keras.Variable(np.zeros(2, np.float32))])
    assert not canary.exists()
