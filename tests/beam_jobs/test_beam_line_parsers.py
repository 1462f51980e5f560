import json

import pytest

from beam_jobs.logs.interactions import BadRecord, Interaction, time_from_text
from beam_jobs.logs.parsers import LineFormat, make_parser

JSON = LineFormat("amazon", "json")
MOVIELENS = LineFormat("movielens", "delimited", "::")
TAB = LineFormat("movielens", "delimited", "\t")
CSV = LineFormat(
    "csv",
    "delimited",
    ",",
    user=2,
    item=0,
    time=1,
    rating=None,
    num_columns=None,
    time_unit="auto",
)
SEQUENCES = LineFormat("sequences", "sequences")


def parse(line_format, line, with_rating=False):
    return make_parser(line_format, with_rating)(line)


@pytest.mark.parametrize(
    ("line_format", "line", "expected"),
    [
        (
            JSON,
            b'{"reviewerID": "A1", "asin": "B1", "overall": 4.0, "unixReviewTime": 5}',
            [Interaction("A1", "B1", 5000)],
        ),
        (
            JSON,
            b'{"user_id": "AE1", "asin": "B9", "parent_asin": "B1", "timestamp": 5001}',
            [Interaction("AE1", "B1", 5001)],
        ),
        (
            JSON,
            b'{"user_id": "AE1", "asin": "B9", "timestamp": 5001}',
            [Interaction("AE1", "B9", 5001)],
        ),
        (
            JSON,
            '{"reviewerID": "Zoë", "asin": "日本", "unixReviewTime": 0}'.encode(),
            [Interaction("Zoë", "日本", 0)],
        ),
        (
            MOVIELENS,
            b"1::1193::5::978300760",
            [Interaction("1", "1193", 978300760000, 5.0)],
        ),
        (
            TAB,
            b"196\t242\t3\t881250949",
            [Interaction("196", "242", 881250949000, 3.0)],
        ),
        (CSV, b"i1,100000000000,u1", [Interaction("u1", "i1", 100_000_000_000)]),
        (CSV, b"i1,99999999999,u1,more", [BadRecord]),
        (CSV, b"i1,1970-01-02,u1", [Interaction("u1", "i1", 86_400_000)]),
        (CSV, b"i1,1970-01-01T01:00:01+01:00,u1", [Interaction("u1", "i1", 1000)]),
        (CSV, b'"i,1",1.5,u1', [Interaction("u1", "i,1", 1500)]),
        (
            SEQUENCES,
            b"u1 a b  a",
            [
                Interaction("u1", "a", 0),
                Interaction("u1", "b", 1),
                Interaction("u1", "a", 2),
            ],
        ),
        (
            SEQUENCES,
            b"u1\ta b",
            [Interaction("u1", "a", 0), Interaction("u1", "b", 1)],
        ),
    ],
)
def test_a_line_becomes_interactions(line_format, line, expected):
    if expected == [BadRecord]:
        with pytest.raises(BadRecord):
            parse(line_format, line)
    else:
        assert parse(line_format, line) == expected


def review(**changes):
    record = {"reviewerID": "A1", "asin": "B1", "unixReviewTime": 5}
    record.update(changes)
    return json.dumps(
        {name: value for name, value in record.items() if value is not ...}
    ).encode()


@pytest.mark.parametrize(
    ("line_format", "line", "reason"),
    [
        (JSON, b'{"reviewerID": "A1", "asin"', "not_json"),
        (JSON, b"[" * 100_000, "not_json"),
        (JSON, b"[1, 2]", "wrong_type"),
        (JSON, review(asin=...), "missing_field"),
        (JSON, review(reviewerID=...), "missing_field"),
        (JSON, b"{}", "missing_field"),
        (JSON, review(reviewerID=17), "wrong_type"),
        (JSON, review(asin=None), "wrong_type"),
        (JSON, review(unixReviewTime="5"), "wrong_type"),
        (JSON, review(unixReviewTime=float("nan")), "bad_time"),
        (JSON, review(unixReviewTime=True), "bad_time"),
        (JSON, review(unixReviewTime=-1), "bad_time"),
        (JSON, review(unixReviewTime=4_102_444_800), "bad_time"),
        (JSON, review(unixReviewTime=10**400), "bad_time"),
        (JSON, review(reviewerID=""), "empty_id"),
        (JSON, review(asin="\u00a0"), "empty_id"),
        (JSON, b'{"reviewerID": "A\xff", "asin": "B"}', "invalid_utf8"),
        (
            JSON,
            b'{"reviewerID": "\\ud800", "asin": "B", "unixReviewTime": 1}',
            "invalid_utf8",
        ),
        (JSON, review(asin="B" * 257), "id_too_long"),
        (JSON, review(asin="é" * 129), "id_too_long"),
        (JSON, review(asin="B 1"), "id_has_whitespace"),
        (JSON, review(asin="B\n1"), "id_has_whitespace"),
        (JSON, review(asin="B\u20281"), "id_has_whitespace"),
        (JSON, review(asin="B\x001"), "id_has_whitespace"),
        (MOVIELENS, b"1::2::3", "wrong_column_count"),
        (MOVIELENS, b"1::2::3::4::5", "wrong_column_count"),
        (MOVIELENS, b"1::2::high::4", "bad_rating"),
        (MOVIELENS, b"1::2::nan::4", "bad_rating"),
        (MOVIELENS, b"1::2::1_0::4", "bad_rating"),
        (MOVIELENS, b"1::2::3::today", "bad_time"),
        (MOVIELENS, b"1::2::3::inf", "bad_time"),
        (MOVIELENS, b"::2::3::4", "empty_id"),
        (MOVIELENS, b"1::\xfe::3::4", "invalid_utf8"),
        (CSV, b"i1,yesterday,u1", "bad_time"),
        (CSV, b"i1,1969-12-31,u1", "bad_time"),
        (CSV, b"i1,2100-01-01,u1", "bad_time"),
        (CSV, b"i1,5", "wrong_column_count"),
        (CSV, b'"i1,5,u1', "wrong_column_count"),
        (SEQUENCES, b"u1", "missing_field"),
        (SEQUENCES, b" a b", "empty_id"),
    ],
)
def test_a_bad_line_has_its_reason(line_format, line, reason):
    with pytest.raises(BadRecord) as caught:
        parse(line_format, line)
    assert caught.value.reason == reason


def test_an_id_may_have_256_bytes():
    (interaction,) = parse(JSON, review(asin="é" * 128))
    assert interaction.item == "é" * 128


def test_a_rating_is_needed_only_when_asked_for():
    assert parse(JSON, review(overall="x"))[0].rating is None
    assert parse(JSON, review(overall=4), with_rating=True)[0].rating == 4.0
    assert parse(JSON, review(rating=2.5), with_rating=True)[0].rating == 2.5
    for line, reason in (
        (review(), "missing_field"),
        (review(overall="x"), "bad_rating"),
    ):
        with pytest.raises(BadRecord) as caught:
            parse(JSON, line, with_rating=True)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("99999999999", "ms", 99_999_999_999),
        ("100000000000", "auto", 100_000_000_000),
        ("4102444799", "auto", 4_102_444_799_000),
        ("2001-01-01", "auto", 978_307_200_000),
        ("1.25", "s", 1250),
    ],
)
def test_times(text, unit, expected):
    assert time_from_text(text, unit) == expected
