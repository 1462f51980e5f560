"""Rules of splits, on literal actions."""

import pytest

from beam_jobs.splits import (
    SplitPoints,
    SplitRule,
    split_examples,
    tagged_time,
    untagged_time,
)


@pytest.mark.parametrize(
    ("items", "cuts", "expected"),
    [
        ([1, 2], None, [("train", [1, 2], None)]),
        (
            [1, 2, 3],
            None,
            [("train", [1], None), ("valid", [1], 2), ("test", [1, 2], 3)],
        ),
        (
            [1, 2, 3, 4],
            None,
            [("train", [1, 2], None), ("valid", [1, 2], 3), ("test", [1, 2, 3], 4)],
        ),
        (
            [1, 2, 3, 4],
            SplitPoints(1, 3),
            [("train", [1], None), ("valid", [1], 2), ("test", [1, 2, 3], 4)],
        ),
        ([1, 2], SplitPoints(1, 1), [("train", [1], None), ("test", [1], 2)]),
        ([1, 2], SplitPoints(1, 2), [("train", [1], None), ("valid", [1], 2)]),
        ([1, 2], SplitPoints(2, 2), [("train", [1, 2], None)]),
        ([1, 2], SplitPoints(0, 1), []),
    ],
)
def test_examples_of_a_user(items, cuts, expected):
    assert list(split_examples(items, cuts)) == expected


def test_times_sort_by_split_first():
    latest = 9_999_999_999_999
    tagged = [tagged_time(latest, 0), tagged_time(0, 1), tagged_time(7, 2)]
    assert tagged == [9_999_999_999_999, 10_000_000_000_000, 20_000_000_000_007]
    assert [untagged_time(time) for time in tagged] == [latest, 0, 7]


def test_files_are_divided_by_the_log_of_an_action():
    times = [tagged_time(9, 0), tagged_time(1, 1), tagged_time(2, 1), tagged_time(0, 2)]
    assert SplitRule("files").cuts(times) == (1, 3)


def test_a_moment_belongs_to_the_later_part():
    rule = SplitRule("global_time", 1_000, 86_400_000)
    assert rule.cuts([999, 1_000, 86_399_999, 86_400_000]) == (1, 3)
    assert rule.describe() == (
        "global_time: validation from 1970-01-01T00:00:01+00:00, test from "
        "1970-01-02T00:00:00+00:00"
    )


def test_the_last_two_are_left_out_by_no_cut():
    assert SplitRule().cuts([1, 2, 3]) is None
    assert SplitRule().describe() == "leave_one_out"
