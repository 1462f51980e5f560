from collections import Counter

import apache_beam as beam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from literal_rows import outputs_of

from beam_jobs.sequences import UserSequence, parse_sequence_line, to_sequence_line
from beam_jobs.splits import SplitPoints
from beam_jobs.transforms import KCore, k_core
from beam_jobs.transforms.k_core import (
    ItemRule,
    ItemsToDrop,
    filter_block,
    filter_sequence,
)


def reference_core(sequences, k):
    """Drops one offender at a time until there is none: the order does not matter."""
    actions = [(user, item) for user, items in sequences.items() for item in items]
    while True:
        users = Counter(user for user, _ in actions)
        items = Counter(item for _, item in actions)
        offender = next(
            (a for a in actions if users[a[0]] < k or items[a[1]] < k), None
        )
        if offender is None:
            break
        actions = [
            a
            for a in actions
            if not (users[offender[0]] < k and a[0] == offender[0])
            and not (items[offender[1]] < k and a[1] == offender[1])
        ]
    core = {}
    for user, item in actions:
        core.setdefault(user, []).append(item)
    return core


def beam_core(folder, sequences, k, rounds, first_round=1):
    rows = [
        UserSequence(user.encode(), [item.encode() for item in items])
        for user, items in sequences.items()
    ]

    def wire(pipeline):
        return (pipeline | beam.Create(rows) | KCore(k, rounds, first_round))._asdict()

    found = outputs_of(folder, wire)
    core, left = (
        {user: items for user, items, _ in found[name]}
        for name in ("sequences", "unfinished")
    )
    return core, left, dict(map(tuple, found["counts"])), found["largest"]


SEQUENCES = st.dictionaries(
    st.sampled_from([f"u{n}" for n in range(12)]),
    st.lists(st.sampled_from([f"i{n}" for n in range(9)]), min_size=1, max_size=6),
)


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(sequences=SEQUENCES, k=st.integers(1, 4))
def test_the_core_is_that_of_a_reference(tmp_path_factory, sequences, k):
    folder = tmp_path_factory.mktemp("core")
    core, left, _, _ = beam_core(folder, sequences, k, rounds=8)
    assert core == reference_core(sequences, k)
    assert left == {}


def chain(length):
    """Each user joins two neighbouring items: the 2-core falls from both ends."""
    return {f"u{n:02d}": [f"i{n}", f"i{n + 1}"] for n in range(length)}


def test_too_few_rounds_leave_what_a_second_pipeline_goes_on_from(tmp_path):
    # A round takes a user from each end: of nine, two rounds leave five.
    core, left, counts, largest = beam_core(tmp_path, chain(9), 2, rounds=2)
    assert core == {}
    assert sorted(left) == [f"u{n:02d}" for n in range(2, 7)]
    assert counts["users_in_round_1"] == 9
    assert counts["items_below_in_round_1"] == 2
    assert counts["actions_in_round_2"] == 14
    assert max(largest)[0] == 2


def test_blocks_of_many_sequences_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(k_core, "_BLOCK_BYTES", 20)
    core, _, counts, _ = beam_core(tmp_path, chain(9), 2, rounds=6)
    assert core == {}
    assert [counts[f"users_in_round_{n}"] for n in range(1, 6)] == [9, 7, 5, 3, 1]


def test_rounds_after_the_fixed_point_count_nothing(tmp_path):
    sequences = {"u": ["a", "a", "b", "b"], "v": ["c"]}
    core, _, counts, _ = beam_core(tmp_path, sequences, 2, rounds=4)
    assert core == {"u": ["a", "a", "b", "b"]}  # repeats count as actions
    assert counts == {
        **{"users_in_round_1": 1, "actions_in_round_1": 4},
        "items_below_in_round_1": 0,
    }


def test_the_fewer_items_are_named():
    combiner = ItemsToDrop(2)

    def value(counts):
        found = combiner.create_accumulator()
        for pair in counts:
            found = combiner.add_input(found, pair)
        return combiner.extract_output(combiner.merge_accumulators([found]))

    assert value([(b"a", 1), (b"b", 2), (b"c", 2)]) == b"-\na"
    assert value([(b"a", 1), (b"b", 1), (b"c", 2)]) == b"+\nc"
    assert value([(b"a", 2)]) == b"-"
    block = b"u\ta b c\nv\ta b"
    assert filter_block(block, b"-\nb", 2) == [b"u\ta c"]
    assert filter_block(block, b"+\na\nb", 2) == [b"u\ta b\nv\ta b"]
    assert filter_block(block, b"+\na", 2) == []
    assert filter_block(block, b"-", 9) == [block]


def test_cuts_move_with_what_the_core_drops():
    sequence = UserSequence(b"u", [b"x", b"a", b"b", b"x", b"c"], SplitPoints(2, 4))
    filtered = filter_sequence(sequence, ItemRule({b"x"}, keeps=False), 2)
    assert filtered == UserSequence(b"u", [b"a", b"b", b"c"], SplitPoints(1, 2))
    assert parse_sequence_line(to_sequence_line(sequence) + b"\n") == sequence


def test_the_largest_item_is_the_first_rounds(tmp_path):
    sequences = {"u": ["a", "b"], "v": ["a", "c"], "w": ["a", "e"], "x": ["d", "d"]}
    core, _, counts, largest = beam_core(tmp_path, sequences, 2, 5, first_round=4)
    assert core == {"x": ["d", "d"]}
    assert max(largest) == [3, "a"]
    assert counts == {
        **{"users_in_round_4": 4, "actions_in_round_4": 8, "items_below_in_round_4": 3},
        **{"users_in_round_5": 1, "actions_in_round_5": 2, "items_below_in_round_5": 0},
    }


def sequence(text):
    user, *items = text.encode().split()
    return UserSequence(user, items, None)


def test_a_block_goes_when_it_is_longer_than_the_bound(monkeypatch):
    monkeypatch.setattr(k_core, "_BLOCK_BYTES", 10)
    to_blocks = k_core._ToBlocks(2)
    to_blocks.start_bundle()
    for text in ("u a b", "v a", "w a b"):  # five bytes, too few items, five
        assert list(to_blocks.process(sequence(text))) == []
    assert list(to_blocks.process(sequence("x c d"))) == [b"u\ta b\nw\ta b\nx\tc d"]
    assert list(to_blocks.process(sequence("y a b"))) == []
    assert [row.value for row in to_blocks.finish_bundle()] == [b"y\ta b"]
    assert list(to_blocks.finish_bundle()) == []


def test_items_are_counted_many_at_once(monkeypatch):
    monkeypatch.setattr(k_core, "_COUNTED_AT_ONCE", 2)
    count = k_core.CountItems()
    count.start_bundle()
    assert list(count.add([b"a", b"a"])) == []
    assert count._items == {}  # two wait
    assert list(count.add([b"a"])) == []
    assert count._items == {b"a": 3}
    twenty = [b"%d" % n for n in range(19)]
    assert list(count.add(twenty)) == []  # 20 items may be held
    found = dict(count.add([b"a", b"a", b"z"]))
    assert found == {b"a": 5, b"z": 1, **dict.fromkeys(twenty, 1)}
    assert list(count.add([b"a"])) == []
    assert [row.value for row in count.finish_bundle()] == [(b"a", 1)]


def test_as_many_items_to_drop_as_to_keep_are_named_as_dropped():
    combiner = ItemsToDrop(2)
    found = combiner.create_accumulator()
    for pair in ((b"a", 1), (b"b", 2)):
        found = combiner.add_input(found, pair)
    assert combiner.extract_output(found) == b"-\na"


@pytest.mark.parametrize("settings", [{"k": 0}, {"rounds": 0}])
def test_wrong_settings_are_refused_before_there_is_a_job(settings):
    with pytest.raises(ValueError, match=r"must be at least 1\. Received: 0"):
        KCore(**settings)
