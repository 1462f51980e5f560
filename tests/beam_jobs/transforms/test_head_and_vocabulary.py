import apache_beam as beam
import pytest
from literal_rows import outputs_of

from beam_jobs.sequences import UserSequence
from beam_jobs.transforms import BuildVocabulary, FindHead, HeadRule, MakeExamples
from beam_jobs.transforms.find_head import HeadCut, cut_head
from beam_jobs.transforms.vocabulary import item_ids, number_items, parse_vocabulary


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ({9: 1, 5: 3, 3: 6}, HeadCut(2, 5, 1)),
        ({9: 2, 5: 2, 3: 6}, HeadCut(2, 9, 2)),
        ({4: 10}, HeadCut(2, 4, 2)),
        ({8: 1, 7: 1, 2: 11}, HeadCut(3, 2, 1)),  # round(0.2 * 13) = round(2.6)
        ({7: 2}, HeadCut(0, 8, 0)),
        ({}, HeadCut(0, 1, 0)),
    ],
)
def test_where_the_head_ends(lengths, expected):
    assert cut_head(lengths) == expected


def test_ties_for_the_head_go_by_user_as_bytes(tmp_path):
    users = ["zz", "é", "b", "B", "a", "~"]
    rows = [UserSequence(user.encode(), [b"i", b"j", b"k"]) for user in users]
    rows += [UserSequence(b"short%d" % n, [b"i"]) for n in range(13)]
    rows.append(UserSequence(b"long", [b"i"] * 9))

    def wire(pipeline):
        head = pipeline | beam.Create(rows) | FindHead()
        return {"rule": head.rule, "lengths": head.lengths}

    found = outputs_of(tmp_path, wire)
    assert found["rule"] == [[4, 3, "b"]]  # round(0.2 * 20): long, then B, a, b
    assert found["lengths"] == [{"9": 1, "3": 6, "1": 13}]
    rule = HeadRule(4, 3, b"b")
    assert {row.user for row in rows if rule.is_head(row)} == {
        b"long",
        b"B",
        b"a",
        b"b",
    }


def test_items_are_numbered_by_count_then_bytes():
    counts = {"é".encode(): 3, b"b": 3, b"z": 9, b"B": 3}
    numbered = number_items(counts)
    assert numbered == [(b"z", 9), (b"B", 3), (b"b", 3), ("é".encode(), 3)]


def test_pinned_items_keep_their_ids_also_without_actions(tmp_path):
    (tmp_path / "before").write_bytes(b"gone\nb\n")
    rows = [UserSequence(b"u", [b"a", b"b"]), UserSequence(b"v", [b"a", b"c", b"c"])]

    def wire(pipeline):
        vocabulary = pipeline | beam.Create(rows) | BuildVocabulary(tmp_path / "before")
        return {"vocabulary": vocabulary}

    (value,) = outputs_of(tmp_path, wire)["vocabulary"]
    assert value == "gone\t0\nb\t1\na\t2\nc\t2\n"
    assert item_ids(value.encode()) == {b"gone": 1, b"b": 2, b"a": 3, b"c": 4}
    assert parse_vocabulary(b"b\t12\n") == [(b"b", 12)]


def test_examples_of_a_user(tmp_path):
    import tensorflow as tf

    rows = [UserSequence(b"u", [b"a", b"b", b"a", b"c"])]

    def wire(pipeline):
        sequences = pipeline | beam.Create(rows)
        vocabulary = pipeline | "V" >> beam.Create([b"a\t2\nb\t1\nc\t1\n"])
        head = pipeline | "H" >> beam.Create([HeadRule(1, 4, b"u")])
        made = sequences | MakeExamples(vocabulary, head)
        as_hex = {
            split: records
            | f"Hex/{split}" >> beam.Map(lambda record: (record[0], record[1].hex()))
            for split, records in made.by_split.items()
        }
        return as_hex | {"counts": made.counts}

    found = outputs_of(tmp_path, wire)
    expected = {"train": ([1, 2], []), "valid": ([1, 2], [1]), "test": ([1, 2, 1], [3])}
    for split, (ids, target) in expected.items():
        ((user, record),) = found[split]
        example = tf.train.Example.FromString(bytes.fromhex(record)).features.feature
        assert user == "u"
        assert list(example["item_ids"].int64_list.value) == ids
        assert list(example["target_id"].int64_list.value) == target
        assert list(example["is_head"].int64_list.value) == [1]
        assert list(example["sequence_length"].int64_list.value) == [4]
    counts = dict(map(tuple, found["counts"]))
    assert counts["users_in_core"] == counts["head_users"] == 1
    assert counts["actions_in_core"] == 4
