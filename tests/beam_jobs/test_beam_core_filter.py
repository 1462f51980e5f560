from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_jobs.core_filter import NotConverged, find_core
from beam_jobs.dataset_info import HeadCut, HeadRule, cut_head, find_head_rule
from beam_jobs.records import UserSequence
from beam_jobs.runner import with_flags
from beam_jobs.vocabulary import order_items, read_item_ids, write_vocabulary

RUN = with_flags(["--runner=FnApiRunner"])


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


def write_parts(folder, sequences, num_parts=2):
    folder.mkdir()
    paths = [folder / f"{part:05d}.txt" for part in range(num_parts)]
    for part, path in enumerate(paths):
        lines = [
            f"{user}\t{' '.join(items)}\n"
            for number, (user, items) in enumerate(sorted(sequences.items()))
            if number % num_parts == part
        ]
        path.write_text("".join(lines))
    return paths


def beam_core(tmp_path, sequences, k, max_rounds=50):
    said = []
    core = find_core(
        write_parts(tmp_path / "in", sequences),
        tmp_path / "core",
        k,
        max_rounds,
        RUN,
        said.append,
    )
    lines = [line for path in core.sequences for line in path.read_text().splitlines()]
    found = {user: items.split() for user, items in (x.split("\t") for x in lines)}
    return core, found, said


def check_equal(core, found, expected):
    assert found == expected
    items = Counter(item.encode() for items in expected.values() for item in items)
    assert core.item_counts == dict(items)
    assert core.summary.users == len(expected)
    assert core.summary.actions == items.total()
    assert core.summary.lengths == Counter(map(len, expected.values()))


SEQUENCES = st.dictionaries(
    st.sampled_from([f"u{n}" for n in range(12)]),
    st.lists(st.sampled_from([f"i{n}" for n in range(9)]), min_size=1, max_size=6),
)


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(sequences=SEQUENCES, k=st.integers(1, 4))
def test_the_core_is_that_of_a_reference(tmp_path_factory, sequences, k):
    core, found, _ = beam_core(tmp_path_factory.mktemp("core"), sequences, k)
    check_equal(core, found, reference_core(sequences, k))


def chain(length):
    """Each user joins two neighbouring items: the 2-core falls from both ends."""
    return {f"u{n:02d}": [f"i{n}", f"i{n + 1}"] for n in range(length)}


def test_a_long_chain_falls_whole(tmp_path):
    core, found, said = beam_core(tmp_path, chain(9), 2)
    assert found == {}
    assert core.item_counts == {}
    assert core.rounds == 6 == len(said)


def test_a_chain_that_ends_in_a_ring_keeps_the_ring(tmp_path):
    ring = {"r1": ["x", "y"], "r2": ["y", "z"], "r3": ["z", "x"]}
    sequences = chain(4) | {"t": ["i4", "x"]} | ring
    core, found, _ = beam_core(tmp_path, sequences, 2)
    check_equal(core, found, ring)
    # Intermediate files do not pile up.
    parts = set((tmp_path / "core").rglob("0000*.txt"))
    assert parts == set(core.sequences)


def test_repeats_count_as_actions(tmp_path):
    sequences = {"u": ["a", "a", "b", "b"], "v": ["c"]}
    _, found, _ = beam_core(tmp_path, sequences, 2)
    assert found == {"u": ["a", "a", "b", "b"]}


def test_not_converging_is_an_error(tmp_path):
    with pytest.raises(NotConverged, match=r"not at its fixed point after 2 rounds"):
        beam_core(tmp_path, chain(9), 2, max_rounds=2)


def test_items_are_numbered_by_count_then_bytes(tmp_path):
    counts = {"é".encode(): 3, b"b": 3, b"z": 9, b"B": 3}
    assert order_items(counts) == [b"z", b"B", b"b", "é".encode()]
    write_vocabulary(tmp_path / "vocab", tmp_path / "counts", counts)
    assert (tmp_path / "vocab").read_text() == "z\nB\nb\né\n"
    assert (tmp_path / "counts").read_text() == "9\n3\n3\n3\n"
    assert read_item_ids(tmp_path / "vocab")[b"b"] == 3


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ({9: 1, 5: 3, 3: 6}, HeadCut(2, 5, 1)),
        ({9: 2, 5: 2, 3: 6}, HeadCut(2, 9, 2)),
        ({4: 10}, HeadCut(2, 4, 2)),
        ({8: 1, 7: 1, 2: 11}, HeadCut(3, 2, 1)),  # round(0.2 * 13) = round(2.6)
        ({7: 2}, HeadCut(0, 8, 0)),
    ],
)
def test_where_the_head_ends(lengths, expected):
    assert cut_head(lengths) == expected


def test_ties_for_the_head_go_by_user_as_bytes(tmp_path):
    users = ["zz", "é", "b", "B", "a", "~"]
    sequences = {user: ["i", "j", "k"] for user in users}
    sequences |= {f"short{n}": ["i"] for n in range(13)} | {"long": ["i"] * 9}
    paths = write_parts(tmp_path / "in", sequences, num_parts=3)
    rule = find_head_rule(paths, {9: 1, 3: 6, 1: 13}, tmp_path, RUN)
    assert rule == HeadRule(4, 3, b"b")  # round(0.2 * 20): long, then B, a, b
    head = {
        user
        for user, items in sequences.items()
        if rule.is_head(UserSequence(user.encode(), [i.encode() for i in items]))
    }
    assert head == {"long", "B", "a", "b"}
