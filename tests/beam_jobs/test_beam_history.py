"""The history in a dataset, its drawing, and item popularity."""

import pytest
from page_reading import plots

from beam_jobs.dataset.history import (
    Baseline,
    Entry,
    RowsError,
    check_rows,
    history_bytes,
    newest_day,
    read_history,
    usual_day,
    usual_rows,
)
from beam_jobs.dataset.history_page import history_blocks
from beam_jobs.dataset.validation_result import Measurement
from s4rec_tf.report_page.page import as_html


def entry(rows, is_increment=True, day="2014-01-17", value=0.05):
    distance = Measurement("train with <previous>", "item_ids", "js", value, 0.1)
    per_day = None if is_increment else rows / 10
    return Entry(day, is_increment, rows, per_day, 5, 6, 7, [distance])


def test_the_last_twenty_are_kept(tmp_path):
    assert read_history(tmp_path) == []
    content = history_bytes([entry(rows) for rows in range(25)])
    (tmp_path / "history.json").write_bytes(content)
    kept = read_history(tmp_path)
    assert kept == [entry(rows) for rows in range(5, 25)]


def test_a_log_is_compared_with_its_like():
    whole = entry(1000, is_increment=False)
    assert usual_rows([], True) is None
    # The first increment has only a day of the log before it to be compared with.
    assert usual_rows([whole], True).rows == 100
    assert usual_rows([whole, entry(80), entry(0), entry(90)], True).rows == 85
    assert usual_rows([whole, entry(80)], False).rows == 1000


def test_a_usual_day_leaves_out_the_cut_ones():
    assert usual_day({}) is None
    assert usual_day({7: 30}) == 30
    assert usual_day({7: 30, 8: 70}) == 100
    assert usual_day({1: 5, 2: 40, 3: 60, 4: 50, 9: 1}) == 50
    # 40 days: the newest thirty but the last count.
    assert usual_day({day: day for day in range(40)}) == (9 + 38) / 2


def test_the_newest_day_is_that_of_log_or_history():
    assert newest_day([], {}) is None
    assert newest_day([], {0: 3, 1: 2}) == "1970-01-02"
    assert newest_day([entry(1)], {1: 2}) == "2014-01-17"


def test_few_rows_are_refused():
    usual = Baseline(1000, "the median of the last 7 logs")
    check_rows(200, usual, 0.2)
    check_rows(0, usual, 0.2)  # only an erasure: no log at all
    check_rows(1, usual, 0)
    check_rows(1, None, 0.2)
    message = (
        r"have 199 rows, 19\.9% of the usual 1,000 \(the median of the last 7 logs\)"
    )
    with pytest.raises(RowsError, match=message):
        check_rows(199, usual, 0.2)


def test_the_page_draws_every_distance_with_its_threshold():
    days = [entry(100, False, "2014-01-16"), entry(10, True, "2014-01-17", 0.2)]
    page = as_html("page", list(history_blocks(days)))
    assert "The last 2 datasets" in page
    assert "2014-01-16 (whole)" in page
    (drawn,) = [plot for title, plot in plots(page).items() if "<previous>" in title]
    assert drawn["data"][0]["x"][-1] == "2014-01-17"
    assert drawn["data"][0]["y"][-1] == 0.2
    assert drawn["layout"]["shapes"][0]["y0"] == 0.1
