import gzip
import json
from collections import Counter, defaultdict

import numpy as np
import pytest

from pipelines import synthetic_log
from pipelines.synthetic_log import LogSettings, SyntheticLog

SETTINGS = LogSettings(users=600, items=400, intents=8, seed=3)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "reviews.json.gz"
    synthetic_log.write_log(path, SETTINGS)
    return path


@pytest.fixture(scope="module")
def lines(written):
    return gzip.decompress(written.read_bytes()).decode().splitlines()


def usable(line):
    """The (user, item, time) of a line, None for a broken one."""
    try:
        record = json.loads(line)
        fields = record["reviewerID"], record["asin"], record["unixReviewTime"]
    except (json.JSONDecodeError, KeyError):
        return None
    return fields if fields[0] and isinstance(fields[2], int) else None


@pytest.fixture(scope="module")
def histories(lines):
    by_user = defaultdict(dict)
    for user, item, time in filter(None, map(usable, lines)):
        by_user[user][item] = time
    return {u: sorted(items, key=items.get) for u, items in by_user.items()}


@pytest.fixture(scope="module")
def intent_of(written):
    rows = written.with_name("reviews.json.gz.intents.tsv").read_text().splitlines()
    return dict(row.split("\t") for row in rows)


def test_equal_settings_give_equal_bytes_and_another_seed_does_not(tmp_path, written):
    again, other = tmp_path / "again.json.gz", tmp_path / "other.json.gz"
    synthetic_log.write_log(again, SETTINGS)
    synthetic_log.write_log(other, LogSettings(users=600, items=400, intents=8, seed=4))
    assert again.read_bytes() == written.read_bytes()
    assert other.read_bytes() != written.read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_broken_lines_are_there_and_below_a_thousandth(lines):
    broken = [line for line in lines if usable(line) is None]
    assert 0 < len(broken) < 0.001 * len(lines)


def test_broken_lines_are_broken_in_four_ways():
    line = (
        '{"reviewerID": "A1", "asin": "B1", "unixReviewTime": 86400, "summary": "good"}'
    )
    for way in range(4):
        assert usable(synthetic_log._break(line, way)) is None
    assert usable(line) == ("A1", "B1", 86400)


def test_some_actions_stand_twice(lines):
    counts = Counter(filter(None, map(usable, lines)))
    twice = sum(count - 1 for count in counts.values())
    assert 0.003 * len(lines) < twice < 0.006 * len(lines)


def test_a_user_reviews_an_item_once_and_never_two_in_a_second(lines):
    actions = set(filter(None, map(usable, lines)))
    assert len({(user, item) for user, item, _ in actions}) == len(actions)
    assert len({(user, time) for user, _, time in actions}) == len(actions)


def test_lengths_have_a_long_tail_of_short_histories(histories):
    lengths = np.array([len(items) for items in histories.values()])
    assert np.sum(lengths >= 5) == 600
    assert np.sum(lengths < 5) == 60
    assert lengths.max() <= 50
    core = lengths[lengths >= 5]
    assert np.median(core) <= 8
    # A fifth of the users holds more than a third of the actions.
    longest = np.sort(core)[-120:]
    assert longest.sum() > core.sum() / 3
    assert 0.1 < np.mean(core >= 2 * np.median(core)) < 0.3


def test_a_user_follows_one_or_two_intents(histories, intent_of):
    counts = Counter(
        len({intent_of[item] for item in items})
        for items in histories.values()
        if len(items) >= 12
    )
    assert set(counts) == {1, 2}
    assert min(counts.values()) > 0.25 * sum(counts.values())


def test_the_next_item_depends_on_the_last_one(histories):
    """The likeliest successor, learnt on half the users, is often right on the rest."""
    users = sorted(histories)
    seen = defaultdict(Counter)
    for user in users[::2]:
        for last, item in zip(histories[user], histories[user][1:], strict=False):
            seen[last][item] += 1
    hits = total = 0
    for user in users[1::2]:
        for last, item in zip(histories[user], histories[user][1:], strict=False):
            if last in seen:
                total += 1
                hits += item in [i for i, _ in seen[last].most_common(3)]
    assert hits / total > 0.3  # 3 of 400 items by chance: below 0.01


def test_without_successors_only_the_intent_is_left():
    log = SyntheticLog(LogSettings(users=400, items=300, intents=5, successor_rate=0.0))
    counts = Counter(action.item for history in log.histories() for action in history)
    by_intent = defaultdict(list)
    for item, intent in zip(log.item_ids, log.intent_of, strict=True):
        by_intent[intent].append(counts[item])
    for group in by_intent.values():
        assert max(group) > 3 * np.median(group)


def test_settings_that_make_no_log_are_refused():
    with pytest.raises(ValueError, match="Received: 0, 1200, 24"):
        LogSettings(users=0)
    with pytest.raises(ValueError, match=r"items of one intent, 10.*Received: 50"):
        LogSettings(items=100, intents=10)


def test_command_line_names_the_rule(capsys):
    with pytest.raises(SystemExit) as end:
        synthetic_log.main(["--output", "x.gz", "--items", "24"])
    assert end.value.code == 2
    assert "`max_length` must be at most" in capsys.readouterr().err
