"""Stands in for `python -m`: leaves what training and ranking leave, at once.

    fake_training.py MODULE --dataset D --run_dir R [...]

FAKE_EPOCH_SECONDS is how long an epoch lasts, FAKE_FAILS the module that fails. Every
call is written to RUN_DIR/calls.jsonl, with its process id.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

EPOCHS = 3
TRAIN_SECONDS = 30.0


def train(run_dir):
    log = run_dir / "metrics.jsonl"
    done = len(log.read_text().splitlines()) if log.is_file() else 0
    for epoch in range(done + 1, EPOCHS + 1):
        time.sleep(float(os.environ.get("FAKE_EPOCH_SECONDS", 0)))
        line = {"epoch": epoch, "val_NDCG@20": 0.5, "train_seconds": TRAIN_SECONDS}
        with log.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
    (run_dir / "MANIFEST.json").write_text('{"finished": true}')


def evaluate(run_dir, split):
    if "FAKE_LEAVES_NOTHING" in os.environ:
        return
    folder = run_dir / "evaluation"
    folder.mkdir(exist_ok=True)
    level = 0.25 if split == "valid" else 0.125
    values = {"HR@20": level, "NDCG@20": level / 2, "head/HR@20": None}
    (folder / f"{split}.json").write_text(json.dumps(values))
    ranks, is_head = np.array([1, 7, 300], np.uint16), np.array([True, False, False])
    np.savez(folder / f"{split}_ranks.npz", ranks=ranks, is_head=is_head)


def analyze(run_dir):
    if "FAKE_LEAVES_NOTHING" in os.environ:
        return
    content = {"split": "test", "findings": {"probe_auc": 0.625}, "clusters": {}}
    (run_dir / "evaluation" / "analysis.json").write_text(json.dumps(content))
    places, is_head = np.array([[0.5, 2.0]], np.float32), np.array([True])
    np.savez(
        run_dir / "evaluation" / "embedding_map.npz", places=places, is_head=is_head
    )


def main():
    module, *arguments = sys.argv[1:]
    run_dir = Path(arguments[arguments.index("--run_dir") + 1])
    with (run_dir / "calls.jsonl").open("a") as stream:
        call = {"pid": os.getpid(), "module": module, "arguments": arguments}
        stream.write(json.dumps(call | {"keras": os.environ["KERAS_BACKEND"]}) + "\n")
    if module == os.environ.get("FAKE_FAILS"):
        print("epoch 1\nMemoryError: 3 GiB\n\nArguments received:\n  * x=3\n")
        sys.exit(7)
    if module.startswith("s4rec_tf.train"):
        train(run_dir)
    if module == "s4rec_tf.evaluate":
        evaluate(run_dir, arguments[arguments.index("--split") + 1])
    if module == "s4rec_tf.analyze":
        analyze(run_dir)
    if module == "s4rec_tf.train_arrays":
        evaluate(run_dir, "valid")
        evaluate(run_dir, "test")
        analyze(run_dir)


main()
