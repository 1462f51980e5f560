"""The data job's work as a plain pandas script, everything in memory.

Reads gzip JSON lines, drops duplicates, orders, finds the k-core, numbers the items,
leaves the last two actions out and writes TFRecords. It leaves out what a script would:
bad lines, checks of any kind, statistics.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import pandas as pd

from beam_jobs.sinks.encoding import Feature, serialize_example, write_records

COLUMNS = ["reviewerID", "asin", "unixReviewTime"]


def k_core(log: pd.DataFrame, k: int) -> pd.DataFrame:
    """The actions of users and items with at least k of them."""
    while True:
        before = len(log)
        for column in COLUMNS[:2]:
            counts = log.groupby(column)[column].transform("size")
            log = log[counts >= k]
        if len(log) == before:
            return log


def main() -> None:
    """Makes a folder of TFRecords from logs."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("output", type=Path)
    parser.add_argument("logs", type=Path, nargs="+")
    args = parser.parse_args()
    args.output.mkdir()

    ids = dict.fromkeys(COLUMNS[:2], str)
    logs = [pd.read_json(path, lines=True, dtype=ids) for path in args.logs]
    parts = [log[COLUMNS] for log in logs]
    log = pd.concat(parts).drop_duplicates()
    log = log.sort_values(["reviewerID", "unixReviewTime", "asin"])
    log = k_core(log.groupby("reviewerID").tail(10_000), 5)
    counts = log["asin"].value_counts()
    item_ids = {item: number for number, item in enumerate(counts.index, start=1)}
    (args.output / "item_vocab.txt").write_text("\n".join(item_ids))
    log["item_id"] = log["asin"].map(item_ids)
    sequences = log.groupby("reviewerID")["item_id"].agg(list)
    longest = sequences.map(len).sort_values(ascending=False, kind="stable")
    head = set(longest.index[: round(0.2 * len(longest))])

    records: dict[str, list[bytes]] = {"train": [], "valid": [], "test": []}
    for user, items in sequences.items():
        ends = {"train": None, "valid": -2, "test": -1}
        for split, end in ends.items():
            features: dict[str, Feature] = {
                "user_id": str(user).encode(),
                "item_ids": items[: -2 if end is None else end],
                "is_head": int(user in head),
                "sequence_length": len(items),
            }
            if end is not None:
                features["target_id"] = items[end]
            records[split].append(serialize_example(features))
    for split, examples in records.items():
        with gzip.open(args.output / f"{split}.tfrecord.gz", "wb") as stream:
            write_records(stream, examples)


if __name__ == "__main__":
    main()
