import random

import apache_beam as beam
import pytest
from literal_rows import outputs_of

from beam_jobs.logs.interactions import Interaction
from beam_jobs.splits import SplitRule
from beam_jobs.transforms import DropErased, GroupByUser, group_by_user
from beam_jobs.transforms.drop_repeats import DropRepeats
from beam_jobs.transforms.group_by_user import (
    GatherByUser,
    NewestLines,
    sortable_line,
)


def grouped(folder, rows, **settings):
    def wire(pipeline):
        found = pipeline | beam.Create(rows) | GroupByUser(**settings)
        return found._asdict()

    found = outputs_of(folder, wire)
    return found | {"counts": dict(map(tuple, found["counts"]))}


def test_duplicates_go_repeats_stay_and_order_is_time_then_item(tmp_path):
    rows = [("u", "b", 2), ("u", "a", 2), ("t", "z", 1), ("u", "b", 1), ("u", "a", 2)]
    found = grouped(tmp_path, [Interaction(*row) for row in rows])
    assert found["sequences"] == [["t", ["z"], None], ["u", ["b", "a", "b"], None]]
    assert found["counts"] == {
        **{"users": 2, "grouped_actions": 5, "sequence_actions": 4},
        **{"capped_users": 0, "tied_actions": 2},
    }
    assert max(found["largest"]) == [4, "u"]
    assert found["conflicts"] == []


def test_the_cap_keeps_the_newest(tmp_path):
    rows = [("u", "a", 1), ("u", "c", 2), ("u", "b", 2), ("u", "d", 3), ("v", "a", 1)]
    found = grouped(
        tmp_path, [Interaction(*row) for row in rows], max_actions_per_user=2
    )
    assert found["sequences"] == [["u", ["c", "d"], None], ["v", ["a"], None]]
    assert found["counts"]["capped_users"] == 1
    assert max(found["largest"]) == [4, "u"]


def test_two_items_at_a_position_conflict_where_order_is_time(tmp_path):
    rows = [("u", "a", 0), ("u", "b", 1), ("u", "c", 0), ("v", "a", 0), ("v", "a", 0)]
    found = grouped(tmp_path, [Interaction(*row) for row in rows], order_is_time=True)
    assert found["conflicts"] == ["u"]


def test_ties_by_hash_favour_no_item_and_do_not_depend_on_order(tmp_path):
    rows = [Interaction(f"u{n}", item, 5) for n in range(64) for item in "ab"]
    random.Random(1).shuffle(rows)
    found = grouped(tmp_path, rows, ties="hash")["sequences"]
    last = sum(items[-1] == "a" for _, items, _ in found)
    assert 16 < last < 48
    again = sorted(rows, key=lambda row: row.item)
    assert grouped(tmp_path, again, ties="hash")["sequences"] == found


def test_a_users_times_divide_the_sequence(tmp_path):
    pairs = zip("abcd", (1, 5, 9, 9), strict=True)
    rows = [Interaction("u", item, time) for item, time in pairs]
    rule = SplitRule("global_time", 5, 9)
    found = grouped(tmp_path, rows, split_rule=rule)
    assert found["sequences"] == [["u", ["a", "b", "c", "d"], [1, 2]]]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_nobody_ever_holds_more_than_twice_the_limit(limit):
    draw = random.Random(2)
    times = [draw.randrange(500) for _ in range(2000)]
    parts = []
    for start in range(0, 2000, 250):
        gather = GatherByUser(limit, "item_id")
        gather.start_bundle()
        for time in times[start : start + 250]:
            assert list(gather.process_batch([Interaction("u", "i", time)])) == []
        ((user, part),) = (windowed.value for windowed in gather.finish_bundle())
        assert user == b"u"
        parts.append(part)
    distinct = [b"%014d\ti" % time for time in sorted(set(times))]
    expected = (distinct[-limit:], len(distinct) > limit, 2000)
    newest = NewestLines(limit)
    merged = newest.merge_accumulators(parts)
    for part in (*parts, merged):
        assert part.count(b"\n") <= 2 * limit + 1
    assert newest.extract_output(merged) == expected
    # Some engines merge one by one.
    one_by_one = newest.create_accumulator()
    for part in parts:
        one_by_one = newest.add_input(one_by_one, part)
        merged = newest.merge_accumulators([merged, part])
    assert newest.extract_output(one_by_one) == expected
    assert newest.extract_output(merged) == (*expected[:2], 4000)
    assert newest.extract_output(newest.create_accumulator()) == ([], False, 0)


def test_a_long_bundle_gives_its_users_in_between(tmp_path, monkeypatch):
    monkeypatch.setattr(group_by_user, "_GATHERED_AT_ONCE", 3)
    rows = [Interaction(f"u{n % 2}", f"i{n}", n) for n in range(10)]
    found = grouped(tmp_path, rows)["sequences"]
    assert found == [
        ["u0", ["i0", "i2", "i4", "i6", "i8"], None],
        ["u1", ["i1", "i3", "i5", "i7", "i9"], None],
    ]


def test_lines_sort_by_time():
    assert sortable_line(Interaction("u", "i", 7), "item_id") == b"00000000000007\ti"


def test_erased_users_and_items_go(tmp_path):
    (tmp_path / "users").write_bytes(b"u\r\nx\n")
    (tmp_path / "items").write_bytes("é".encode())
    rows = [("u", "a"), ("v", "é"), ("v", "a"), ("uu", "a")]

    def wire(pipeline):
        interactions = pipeline | beam.Create([Interaction(*row, 1) for row in rows])
        left = interactions | DropErased(tmp_path / "users", tmp_path / "items")
        return {"left": left.interactions, "counts": left.counts}

    found = outputs_of(tmp_path, wire)
    assert [row[:2] for row in found["left"]] == [["uu", "a"], ["v", "a"]]
    assert found["counts"] == [["erased", 2]]


def test_what_an_earlier_split_holds_is_no_target(tmp_path):
    rows = [("u", "a", 1, None, 2), ("u", "a", 1, None, 0), ("u", "b", 1, None, 1)]

    def wire(pipeline):
        rows_in = pipeline | beam.Create([Interaction(*row) for row in rows])
        return {"left": rows_in | DropRepeats()}

    found = outputs_of(tmp_path, wire)
    assert found["left"] == [["u", "a", 1, None, 0], ["u", "b", 1, None, 1]]


def test_a_wrong_limit_is_refused_before_there_is_a_job():
    with pytest.raises(ValueError, match="`max_actions_per_user` must be at least 1"):
        GroupByUser(max_actions_per_user=0)
