"""Stands in for `python -m s4rec_tf.train`: leaves a log of epochs at once.

    fake_search.py s4rec_tf.train --dataset D --run_dir R --config FILE

Validation rises over FAKE_EPOCHS epochs to 0.5 minus the distance of the learning
rate from 0.003 in decades, so that 0.003 is the best one. FAKE_FAILS makes it fail,
FAKE_EPOCH_SECONDS is how long an epoch lasts.
"""

import json
import math
import os
import sys
import time
from pathlib import Path

import yaml

flags = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
settings = yaml.safe_load(Path(flags["--config"]).read_text())
run_dir = Path(flags["--run_dir"])
run_dir.mkdir(exist_ok=True)
if "FAKE_FAILS" in os.environ:
    sys.exit("out of memory")
top = 0.5 - abs(math.log10(settings["learning_rate"] / 0.003))
log = run_dir / "metrics.jsonl"
done = len(log.read_text().splitlines()) if log.is_file() else 0
epochs = int(os.environ.get("FAKE_EPOCHS", 3))
for epoch in range(done + 1, epochs + 1):
    time.sleep(float(os.environ.get("FAKE_EPOCH_SECONDS", 0)))
    line = {"epoch": epoch, "val_NDCG@20": top * epoch / epochs}
    with log.open("a") as stream:
        stream.write(json.dumps(line) + "\n")
