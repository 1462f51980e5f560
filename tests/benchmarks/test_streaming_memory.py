import numpy as np

from benchmarks.small_datasets import write_dataset
from benchmarks.streaming_memory import write_times
from s4rec_tf import spec
from s4rec_tf.data import records


def test_dataset_several_times_over_is_whole(tmp_path):
    rows = [[1, 2, 3, 4], [4, 2, 1]]
    once = spec.DatasetDir(write_dataset(tmp_path / "once", rows, 4))
    write_times(once, 3, tmp_path / "thrice")
    thrice = spec.DatasetDir(tmp_path / "thrice")
    records.verify(thrice)
    split = records.read_split(thrice, "train")
    np.testing.assert_array_equal(split.values, [1, 2] * 3 + [4] * 3)
    assert (thrice.info().num_users, thrice.info().num_actions) == (6, 21)
    assert thrice.info().num_items == once.info().num_items
    assert records.read_split(once, "train").values.tolist() == [1, 2, 4]
