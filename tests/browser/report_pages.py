"""The reports' pages, from numbers written by hand."""

import json

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from beam_jobs.dataset.history import Entry
from beam_jobs.dataset.statistics_page import render_page
from beam_jobs.dataset.validation_result import Measurement, ValidationResult
from pipelines.experiments import ledger
from pipelines.report.comparison_table import Comparison
from pipelines.report.groups import groups_of
from pipelines.simulate_days import page as days_page
from s4rec_tf.analyze.run_page import write_page
from s4rec_tf.report_page.page import as_html
from s4rec_tf.spec import SPLITS, DatasetInfo
from tests.pipelines.test_compare import entry, keep
from tests.s4rec_tf.analyze.test_run_page import EPOCHS, USER


def run(folder):
    """A run with a curve of losses, clusters, users and intents."""
    run_dir = folder / "a run"
    (run_dir / "evaluation").mkdir(parents=True)
    lines = [json.dumps(epoch) + "\n" for epoch in EPOCHS]
    clusters = {"prototypes": {"users": [4, 0, 10], "heads": [1, 0, 5]}}
    found = {"split": "test", "findings": {"probe_auc": 0.7}, "clusters": clusters}
    intents = [["soap", "brush"], ["never"], ["oil", "comb"]]
    for name, text in {
        "metrics.jsonl": "".join(lines),
        "config.json": json.dumps({"model": "s4rec", "dim": 64}),
        "evaluation/analysis.json": json.dumps(found),
        "evaluation/examples.json": json.dumps({"users": [USER], "intents": intents}),
    }.items():
        (run_dir / name).write_text(text)
    return write_page(run_dir)


class Shop:
    """The fields of a ledger line that name its dataset."""

    def fingerprint(self):
        return "of a shop"


def comparison(folder):
    """Three models, one of them of two seeds."""
    path = folder / "ledger.jsonl"
    ranks = np.tile([1, 2, 3, 21], 20)
    for model, seed, level in (
        *(("popularity", 1, 0.2), ("sasrec", 1, 0.4)),
        *(("s4rec", 1, 0.41), ("s4rec", 2, 0.43)),
    ):
        keep(path, entry(Shop(), model, seed, level), ranks + (model == "popularity"))
    groups = groups_of(ledger.read(path))
    sizes = {"popularity": 0, "sasrec": 103_808, "s4rec": 112_130}
    table = Comparison(groups, "sasrec", [], [], sizes, 80, path)
    return as_html("Models on a shop", table.blocks(["bert4rec"]))


def lengths(counts):
    """TFDV's statistics of one feature that counts categories."""
    found = statistics_pb2.DatasetFeatureStatisticsList()
    feature = found.datasets.add().features.add()
    feature.path.step.append("sequence_length")
    feature.type = feature.INT
    common = feature.string_stats.common_stats
    common.num_non_missing = common.tot_num_values = sum(counts.values())
    common.min_num_values = common.max_num_values = 1
    for length, count in counts.items():
        feature.string_stats.rank_histogram.buckets.add(
            label=str(length), sample_count=count
        )
    return found


def data(_):
    """A dataset with the day before it, one distance near its threshold."""
    facts = {"num_users": 1200, "num_items": 40, "num_actions": 9600}
    head = {"num_head_users": 240, "head_share": 0.2, "head_min_length": 9}
    info = DatasetInfo(
        **facts, **head, k_core=5, split_examples=dict.fromkeys(SPLITS, 1200)
    )
    now = dict.fromkeys(SPLITS, lengths({5: 500, 6: 400, 9: 300}))
    before = dict.fromkeys(SPLITS, lengths({5: 450, 6: 450, 9: 300}))
    near = Measurement("test with valid", "sequence_length", "js", 0.045, 0.05)
    days = [
        Entry(f"2014-07-0{day}", True, 900 + 10 * day, None, 1200, 40, 9600, [distance])
        for day in range(1, 5)
        for distance in [near._replace(value=0.01 * day)]
    ]
    return render_page(info, now, before, ValidationResult([], [near]), days)


def days(folder):
    """Five days, of which one was refused."""
    rows = [{"day": 0, "refusal": "", "seconds": 40.0}]
    for day in range(1, 5):
        qualities = {"before": 0.1, "daily": 0.1 + 0.01 * day, "rebuild": 0.13}
        sizes = {"users": 400 + day, "items": 90, "bytes": (20 + day) << 20}
        seconds = {"seconds": 50.0 + day, "rebuild_seconds": 30.0 + 5 * day}
        more = {"refusal": "", "interval": [-0.01, 0.02], "day": day}
        rows.append(qualities | sizes | seconds | more)
    refusal = "day 5 is refused at bless: NDCG@20 of tail must not fall by more"
    rows.append({"day": 5, "refusal": refusal, "seconds": 30.0})
    args = {"days": 5, "users_a_day": 60, "seed": 7, "train": ["--model", "sasrec"]}
    days_page.write(folder / "days", rows, args)
    return (folder / "days.html").read_text("utf-8")


PAGES = {
    "comparison": (comparison, ("h1", "main > .wide")),
    "data": (data, ("#validation", "#drift-over-the-last-datasets")),
    "days": (days, ("#quality", "#time-and-disk")),
}
"""The maker of each page, and the places of it that are compared."""
