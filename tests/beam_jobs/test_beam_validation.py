"""Breaches of the schema stop the job; statistics come from TFDV itself."""

import copy
import gzip
import random

import apache_beam as beam
import pytest
from literal_rows import OPTIONS
from page_reading import needs_nothing_else, plots, without_plotly

from beam_jobs import prepare_dataset
from beam_jobs.dataset import validation
from beam_jobs.dataset.statistics_page import render_page
from beam_jobs.dataset.validation_result import Measurement, ValidationResult
from beam_jobs.sequences import UserSequence
from beam_jobs.sinks.encoding import read_records, serialize_example, write_records
from beam_jobs.splits import split_examples
from beam_jobs.transforms import make_examples
from beam_jobs.transforms.find_head import HeadRule
from beam_jobs.transforms.make_examples import to_features
from beam_jobs.transforms.statistics import WriteStatistics
from s4rec_tf.spec import SPLITS, DatasetInfo

NUM_USERS, NUM_ITEMS = 1200, 40
INFO = DatasetInfo(
    num_users=NUM_USERS,
    num_items=NUM_ITEMS,
    num_actions=0,
    num_head_users=240,
    head_share=0.2,
    head_min_length=9,
    k_core=5,
    split_examples=dict.fromkeys(SPLITS, NUM_USERS),
)
DRIFT = "test with the previous dataset (--previous_statistics)"
SCHEMA = validation.complete_schema(validation.curated_schema(), INFO)


def statistics_of(root, records):
    """The statistics that the job's transform writes, of records by split."""
    with beam.Pipeline(options=OPTIONS) as pipeline:
        for split in SPLITS:
            examples = [(b"", record) for record in records[split]]
            (
                pipeline
                | f"Create/{split}" >> beam.Create(examples)
                | split >> WriteStatistics(root, split, SCHEMA)
            )
    return validation.read_statistics(root)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Statistics of a dataset with nothing wrong."""
    draw = random.Random(3)
    records = {split: [] for split in SPLITS}
    rule = HeadRule(240, 10, b"u00600")
    for number in range(NUM_USERS):
        length = draw.randrange(5, 12)
        ids = [1 + draw.randrange(NUM_ITEMS) for _ in range(length)]
        sequence = UserSequence(b"u%05d" % number, [b""] * length)
        for example in split_examples(ids, None):
            is_head = rule.is_head(sequence)
            features = to_features(sequence, length, is_head, example)
            records[example.split].append(serialize_example(features))
    return statistics_of(tmp_path_factory.mktemp("sound"), records)


def test_sound_data_has_no_anomaly(sound):
    findings = validation.validate(sound, SCHEMA, INFO, previous=sound)
    assert findings.anomalies == []
    compared = {(m.compared, m.feature) for m in findings.measurements}
    assert ("test with valid", "target_id") in compared
    assert ("train with test", "item_ids") in compared
    assert (DRIFT, "sequence_length") in compared
    for measured in findings.measurements:
        assert 0 <= measured.value < measured.threshold


def feature(statistics, split, name):
    (found,) = [
        f for f in statistics[split].datasets[0].features if f.path.step[0] == name
    ]
    return found


def changed(sound, change):
    statistics = {split: copy.deepcopy(sound[split]) for split in SPLITS}
    change(statistics)
    return statistics


def id_too_large(s):
    feature(s, "train", "item_ids").num_stats.max = NUM_ITEMS + 1


def pad_as_target(s):
    feature(s, "test", "target_id").num_stats.min = 0


def empty_list(s):
    feature(s, "valid", "item_ids").num_stats.common_stats.min_num_values = 0


def two_targets(s):
    feature(s, "valid", "target_id").num_stats.common_stats.max_num_values = 2


def absent_user(s):
    stats = feature(s, "train", "user_id").string_stats.common_stats
    stats.num_missing, stats.num_non_missing = 1, NUM_USERS - 1


def third_kind_of_user(s):
    ranks = feature(s, "train", "is_head").string_stats.rank_histogram
    ranks.buckets.add(low_rank=2, high_rank=2, label="2", sample_count=1)


def too_short(s):
    ranks = feature(s, "test", "sequence_length").string_stats.rank_histogram
    ranks.buckets.add(low_rank=99, high_rank=99, label="4", sample_count=1)


def invalid_utf8(s):
    feature(s, "train", "user_id").string_stats.invalid_utf8_count = 3


def lost_examples(s):
    s["valid"].datasets[0].num_examples -= 1


def new_column(s):
    added = copy.deepcopy(feature(s, "train", "user_id"))
    added.path.step[0] = "email"
    s["train"].datasets[0].features.append(added)


def lost_column(s):
    del s["test"].datasets[0].features[:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            id_too_large,
            "train: item_ids: Unexpectedly large value: 41. (must hold at least 1 "
            "integer from 1 to 40 in every example)",
        ),
        (
            pad_as_target,
            "test: target_id: Unexpectedly small value: 0. (must hold exactly 1 ",
        ),
        (empty_list, "valid: item_ids: Some examples have fewer values than expected"),
        (two_targets, "valid: target_id: Some examples have more values than expected"),
        (absent_user, "train: user_id: The feature was present in fewer examples"),
        (third_kind_of_user, "train: is_head: Unexpectedly large value: 2."),
        (too_short, "test: sequence_length: Unexpectedly small value: 4."),
        (invalid_utf8, "train: user_id: 3 values are no valid UTF-8"),
        (lost_examples, "valid: The dataset has 1199 examples, which is fewer than"),
        (new_column, "train: email: New column"),
        (lost_column, "test: target_id: Column is completely missing"),
    ],
)
def test_each_check_bites(sound, change, message):
    statistics = changed(sound, change)
    anomalies = validation.validate(statistics, SCHEMA, INFO, None).anomalies
    assert [line for line in anomalies if message in line], anomalies


def shift_histogram(statistics, split, name):
    for histogram in feature(statistics, split, name).num_stats.histograms:
        for number, bucket in enumerate(histogram.buckets):
            bucket.sample_count = 10_000 if number == 9 else 1


def test_skew_between_splits(sound):
    shifted = changed(sound, lambda s: shift_histogram(s, "test", "target_id"))
    findings = validation.validate(shifted, SCHEMA, INFO, None)
    (anomaly,) = findings.anomalies
    assert anomaly.startswith("test with valid: target_id: The approximate Jensen-Sha")


def test_drift_since_the_previous_dataset(sound):
    def short_sequences(statistics):
        ranks = feature(statistics, "train", "sequence_length").string_stats
        ranks.rank_histogram.buckets[0].sample_count += 500

    before = changed(sound, short_sequences)
    (anomaly,) = validation.validate(sound, SCHEMA, INFO, before).anomalies
    message = "train with the previous dataset (--previous_statistics): sequence_length"
    assert anomaly.startswith(f"{message}: The approximate Jensen-Shannon divergence ")
    before = changed(sound, lambda s: shift_histogram(s, "test", "item_ids"))
    (anomaly,) = validation.validate(sound, SCHEMA, INFO, before).anomalies
    assert "item_ids: The approximate Jensen-Shannon divergence" in anomaly


def test_a_fall_in_the_number_of_users_is_drift(sound):
    def more_users(statistics):
        statistics["train"].datasets[0].num_examples *= 3

    before = changed(sound, more_users)
    (anomaly,) = validation.validate(sound, SCHEMA, INFO, before).anomalies
    assert "The ratio of num examples in the current dataset" in anomaly


def test_two_days_have_the_users_of_two(sound):
    def twice_as_many_and_more(statistics):
        statistics["train"].datasets[0].num_examples *= 3

    larger = changed(sound, twice_as_many_and_more)

    def drift(now, before, times):
        return validation.compare_with_previous(now, SCHEMA, before, times=times)

    assert drift(larger, sound, 2).anomalies == []  # 3 in 1 to 4
    assert drift(sound, larger, 0.5).anomalies == []  # a third in 0.25 to 1
    few = drift(sound, sound, 4).anomalies  # 1 in 2 to 8, of train and test
    many = drift(sound, sound, 0.25).anomalies  # 1 in 0.125 to 0.5
    assert ["below the threshold 2" in line for line in few] == [True, True]
    assert ["above the threshold 0.5" in line for line in many] == [True, True]


def test_small_samples_are_not_compared(sound):
    def few(statistics):
        for split in SPLITS:
            statistics[split].datasets[0].num_examples = 900
            shift_histogram(statistics, split, "item_ids")

    findings = validation.compare_with_previous(changed(sound, few), SCHEMA, sound)
    assert findings == ValidationResult([], [])


SOUND = {"user_id": b"u", "item_ids": [1], "is_head": 0, "sequence_length": 5}


def write_examples(root, split, examples):
    (root / split).mkdir()
    with gzip.open(root / split / "part-0.tfrecord.gz", "wb") as stream:
        write_records(stream, map(serialize_example, examples))


def written(root):
    return {
        split: [r for path in (root / split).iterdir() for r in read_records(path)]
        for split in SPLITS
    }


def write_broken(root):
    """A dataset whose TFRecords themselves are broken, one way a split."""
    write_examples(root, "train", [SOUND | {"user_id": b"\xff"}])
    write_examples(root, "valid", [SOUND | {"item_ids": [99], "target_id": 1}])
    write_examples(root, "test", [SOUND | {"is_head": 2, "target_id": 1}])


def test_each_check_bites_on_written_examples(tmp_path):
    """Records that only a damaged intermediate file could bring."""
    valid = SOUND | {"target_id": 1}
    nobody = {name: valid[name] for name in valid if name != "user_id"}
    write_examples(tmp_path, "train", [SOUND, SOUND | {"item_ids": []}, SOUND])
    twice, padded = valid | {"target_id": [1, 2]}, valid | {"item_ids": [0]}
    write_examples(tmp_path, "valid", [twice, padded])
    short, unknown = valid | {"sequence_length": 4}, valid | {"target_id": 41}
    stranger = valid | {"email": b"x"}
    write_examples(tmp_path, "test", [nobody, stranger, valid, short, unknown])
    broken = statistics_of(tmp_path, written(tmp_path))
    counts = {"train": 4, "valid": 2, "test": 5}
    info = DatasetInfo(**(vars(INFO) | {"split_examples": counts}))
    anomalies = validation.validate(broken, SCHEMA, info, None).anomalies
    for message in (
        "train: item_ids: ",
        "(must hold at least 1 integer from 1 to 40 in every example)",
        "train: The dataset has 3 examples, which is fewer than",
        "valid: target_id: Some examples have more values than expected",
        "valid: item_ids: Unexpectedly small value: 0.",
        "test: user_id: The feature was present in fewer examples than expected",
        "(must hold exactly 1 text in every example)",
        "test: email: New column",
        "test: sequence_length: Unexpectedly small value: 4.",
        "test: target_id: Unexpectedly large value: 41.",
    ):
        assert [line for line in anomalies if message in line], (message, anomalies)


def test_broken_records_and_an_empty_split(tmp_path):
    write_broken(tmp_path)
    broken = statistics_of(tmp_path, written(tmp_path))
    info = DatasetInfo(**(vars(INFO) | {"split_examples": dict.fromkeys(SPLITS, 1)}))
    findings = validation.validate(broken, SCHEMA, info, None)
    with pytest.raises(validation.AnomalyError) as caught:
        validation.write_findings(tmp_path, SCHEMA, findings)
    for message in (
        "nothing is published: ",
        "train: user_id: 1 values are no valid UTF-8",
        "valid: item_ids: Unexpectedly large value: 99.",
        "test: is_head: Unexpectedly large value: 2.",
    ):
        assert message in str(caught.value)
    assert not (tmp_path / "schema.pbtxt").exists()


def test_an_anomaly_stops_the_job_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    def features_of_a_lost_item(sequence, length, is_head, example):
        features = to_features(sequence, length, is_head, example)
        return features | {"item_ids": [99]}

    monkeypatch.setattr(make_examples, "to_features", features_of_a_lost_item)
    log = tmp_path / "log"
    log.write_text("u a b c\nv a b\n")
    argv = ["--input", str(log), "--output", str(tmp_path / "out"), "--k_core=1"]
    assert prepare_dataset.run(argv) == 1
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert "breaks its schema, nothing is published: train: " in last_line
    assert list(tmp_path.iterdir()) == [log]


def test_the_previous_dataset_must_be_finished(tmp_path, capsys):
    log = tmp_path / "log"
    log.write_text("u a b c\n")
    argv = ["--input", str(log), "--output", str(tmp_path / "out"), "--k_core=1"]
    argv += ["--previous_statistics", str(tmp_path / "before")]
    assert prepare_dataset.run(argv) == 1
    assert "before does not exist" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [log]


def test_the_page_stands_alone(sound):
    measured = [Measurement("test with <valid>", "item_ids", "l infty", 0.02, 0.1)]
    page = render_page(INFO, sound, sound, ValidationResult([], measured))
    assert page.startswith("<!doctype html>")
    for text in ("1,200", "test with &lt;valid&gt;", ">target_id</h2>", "previous"):
        assert text in page
    # A categorical integer is counted out: length 5 to 11, each about as often.
    lengths = plots(page)["sequence_length, share of values"]["data"][0]
    assert lengths["x"] == [5, 6, 7, 8, 9, 10, 11]
    assert all(0.1 < share < 0.2 for share in lengths["y"])
    assert len(plots(page)) >= 3
    assert needs_nothing_else(page)
    assert "u00000" not in without_plotly(page)  # no user is named
