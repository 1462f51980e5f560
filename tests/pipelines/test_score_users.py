"""All users of a dataset, scored from the command line."""

import json

import pytest
import tensorflow as tf

from benchmarks import small_datasets
from pipelines import score_users
from tests.s4rec_tf.export import standin


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return standin.export_once(tmp_path_factory)


def lines(folder, name):
    return [
        json.loads(line)
        for path in sorted(folder.glob(f"{name}-*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]


def test_every_user_gets_what_a_server_would_answer(exported, tmp_path):
    output = tmp_path / "scored"
    code = score_users.main(
        [
            *("--dataset", str(exported.dataset.root)),
            *("--model", str(exported.export_dir)),
            *("--output", str(output), "--k", "7", "--embeddings"),
            *("--max_batch_size", "16"),
        ]
    )
    assert code == 0
    # What `standin.Exported` wrote.
    sequences = small_datasets.markov_sequences(40, standin.NUM_ITEMS, seed=1)
    answers = {line["user"]: line for line in lines(output, "recommendations")}
    assert sorted(answers) == [f"user-{n:05d}" for n in range(40)]
    for number, sequence in enumerate(sequences):
        answer = answers[f"user-{number:05d}"]
        items, scores = exported.expected(sequence, sequence, 7)
        assert answer["items"] == [f"item-{item}" for item in items]
        assert answer["scores"] == pytest.approx(scores, rel=1e-4, abs=1e-5)
        assert answer["is_fallback"] is False
    vectors = {line["id"]: line["embedding"] for line in lines(output, "embeddings")}
    signature = tf.saved_model.load(str(exported.version)).signatures["serving_default"]
    last = [f"item-{item}" for item in sequences[3][-standin.MAX_LENGTH :]]
    row = [""] * (standin.MAX_LENGTH - len(last)) + last
    expected = signature(history=tf.constant([row]))["user_embedding"].numpy()[0]
    assert vectors["user-00003"] == pytest.approx(expected.tolist(), rel=1e-4)
    assert len(vectors) == 40


def test_histories_from_lines(exported, tmp_path):
    (tmp_path / "h.txt").write_bytes(b"new\titem-3 item-9\nodd\xff\tnope\n")
    output = tmp_path / "scored"
    flags = ["--histories", str(tmp_path / "h.txt"), "--model", str(exported.version)]
    assert score_users.main([*flags, "--output", str(output), "--embeddings"]) == 0
    new, odd = sorted(lines(output, "recommendations"), key=lambda a: a["user"])
    items = exported.expected([3, 9], [3, 9])[0]
    assert new["items"] == [f"item-{item}" for item in items]
    assert odd["user"] == "odd\udcff" and odd["is_fallback"] is True
    assert [line["id"] for line in lines(output, "embeddings")] == ["new"]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--dataset", "/none", "--model", "{0}", "--output", "{1}/x"], "/none"),
        (["--histories", "h", "--model", "/none", "--output", "{1}/x"], "no version"),
        (["--histories", "h", "--model", "{0}", "--output", "{1}"], "exists"),
        (
            ["--histories", "h", "--model", "{0}", "--output", "{1}/x", "--nope"],
            "--nope",
        ),
    ],
)
def test_wrong_flags_are_one_line(exported, tmp_path, capsys, flags, reason):
    filled = [flag.format(exported.export_dir, tmp_path) for flag in flags]
    assert score_users.main(filled) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("score_users: ") and reason in errors
    assert errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
