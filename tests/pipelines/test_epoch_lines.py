import json

from pipelines.experiments.run_folders import EpochLines


def test_new_epochs_are_told_those_of_early_stages_too(tmp_path):
    log = tmp_path / "metrics.jsonl"
    lines = EpochLines(tmp_path)
    entries = [
        {"epoch": 1, "masked_item": 7.5, "train_seconds": 61.4},
        {"epoch": 2, "next_item": 6.5, "val_NDCG@20": 0.04567, "train_seconds": 59.6},
    ]
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert lines.new() == [
        "epoch 1: an early stage, 61 s",
        "epoch 2: validation NDCG@20 0.0457, 60 s",
    ]
    assert lines.new() == []
