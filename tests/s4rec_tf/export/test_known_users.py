"""An exported model that knows its users: by raw id, and everybody else."""

import json

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import small_datasets
from s4rec_tf import spec
from s4rec_tf.data import records
from s4rec_tf.export import __main__ as command
from s4rec_tf.runs import restore
from s4rec_tf.train import __main__ as train_command

NUM_ITEMS, LENGTH = 12, 6


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The dataset, the model of the run, and its exported version."""
    root = tmp_path_factory.mktemp("known_users")
    sequences = small_datasets.markov_sequences(30, NUM_ITEMS, seed=3)
    dataset = small_datasets.write_dataset(root / "data", sequences, NUM_ITEMS)
    flags = ["--dataset", str(dataset), "--run_dir", str(root / "run")]
    settings = ["--set", "dim=4", f"max_length={LENGTH}", "epochs=2"]
    settings += ["learning_rate=0.1"]
    assert not train_command.main([*flags, "--model", "bpr", *settings])
    assert not command.main([*flags, "--export_dir", str(root / "demo")])
    model, _ = restore.restore_best(root / "run", spec.DatasetDir(dataset))
    return spec.DatasetDir(dataset), model, root / "demo" / "1"


def answers(exported, users, histories):
    version = exported[2]
    signature = tf.saved_model.load(str(version)).signatures["recommend_for_user"]
    rows = [[""] * (LENGTH - len(items)) + items for items in histories]
    answer = signature(
        user_id=tf.constant(users),
        history=tf.constant(rows),
        k=tf.fill([len(users)], 3),
        exclude=tf.constant([[""]] * len(users)),
    )
    items = [[i.decode() for i in row[:3]] for row in answer["item_ids"].numpy()]
    return items, answer


def best(scores, left_out):
    order = sorted(range(1, NUM_ITEMS + 1), key=lambda item: -scores[item - 1])
    return [f"item-{item}" for item in order if item not in left_out][:3]


def test_a_known_user_is_served_by_their_vector(exported):
    dataset, model, _ = exported
    users = np.asarray(model.users.table)
    items, bias = np.asarray(model.items.table), np.asarray(model.bias.table)[:, 0]
    train = records.read_split(dataset, "train")
    row = int(np.flatnonzero(train.user_ids == b"user-00007")[0])
    asked = ["user-00007", "user-00007", "nobody", "nobody"]
    histories = [["item-2", "item-5"], [], ["item-2", "item-5"], []]
    received, answer = answers(exported, asked, histories)
    own = items @ users[row] + bias
    mean = items @ (items[1] + items[4]) / 2 + bias
    assert received[:3] == [best(own, {2, 5}), best(own, set()), best(mean, {2, 5})]
    assert answer["is_fallback"].numpy().tolist() == [False, False, False, True]


def test_card_and_samples_tell_of_users(exported):
    _, _, version = exported
    meta = version.parent / ".meta" / "1"
    card = (meta / "model_card.md").read_text()
    assert "`recommend_for_user` | `user_id` [B]" in card
    assert "are served by the mean of their items' vectors" in " ".join(card.split())
    lines = (meta / "golden_requests.jsonl").read_text().splitlines()
    asked = [json.loads(line) for line in lines]
    users = [line["inputs"].get("user_id") for line in asked]
    known = next(row for row in users if row)[0]
    assert known.startswith("user-")
    assert any(
        row and row[1:2] == ["\N{REPLACEMENT CHARACTER}no such user"] for row in users
    )
