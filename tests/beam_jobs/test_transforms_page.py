"""The pipeline of docs/data_transforms.md runs as it stands."""

import datetime
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

PAGE = (Path(__file__).parents[2] / "docs" / "data_transforms.md").read_text()
ORDERS = [
    ("ada", "tea", 1),
    ("ada", "cup", 2),
    ("ada", "tea", 3),
    ("bob", "cup", 1),
    ("bob", "rare", 2),
    ("bob", "tea", 3),
]


def records(folder, split):
    paths = [str(path) for path in folder.glob(f"{split}-*.tfrecord.gz")]
    found = tf.data.TFRecordDataset(paths, compression_type="GZIP")
    return [tf.train.Example.FromString(each.numpy()) for each in found]


def test_the_pipeline_of_the_page(tmp_path, monkeypatch):
    (tmp_path / "orders").mkdir()
    customers, items, days = zip(*ORDERS, strict=True)
    times = [datetime.datetime(2026, 1, day, tzinfo=datetime.UTC) for day in days]
    table = pa.table({"customer": customers, "sku": items, "ordered_at": times})
    pq.write_table(table, tmp_path / "orders" / "one.parquet")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "data_transforms.md", "exec"), {"__name__": "page"})
    # "rare" falls; tea has three actions left, cup two.
    (lines,) = tmp_path.glob("items-*")
    assert lines.read_text() == "tea\t3\ncup\t2\n"
    found = {
        example.features.feature["user_id"].bytes_list.value[0]: list(
            example.features.feature["item_ids"].int64_list.value
        )
        for example in records(tmp_path, "train")
    }
    assert found == {b"ada": [1], b"bob": [2, 1]}
    (test,) = records(tmp_path, "test")
    assert list(test.features.feature["target_id"].int64_list.value) == [1]
