"""The first pipeline: log files -> distinct actions and sequences, bucket by bucket."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam

from beam_jobs.actions import BucketSummary, write_bucket
from beam_jobs.dataset.previous import read_actions
from beam_jobs.erasure import Erasure
from beam_jobs.log_reader import LogReader, LogSummary
from beam_jobs.logs.log_file import LogFile
from beam_jobs.logs.selection import Selection
from beam_jobs.spill import spill, spilled
from beam_jobs.splits import SplitRule
from beam_jobs.storage.files import new_file
from beam_jobs.tf_examples import shard_name

_SECONDS_PER_BYTE = 1.2e-6
"""Of logs and earlier actions as they lie on disk, on one core; compressed ones."""


def seconds_for(num_bytes: int) -> float:
    """About how long one core is busy with logs of a size."""
    return num_bytes * _SECONDS_PER_BYTE


class IngestSettings(NamedTuple):
    """What the first pipeline needs to know.

    Attributes:
        selection: which valid actions count.
        num_buckets: buckets that users are spread over by a hash of their id.
        max_actions_per_user: newest actions of a user that count.
        order_is_time: whether the logs are sequences without times.
        erasure: whose actions are dropped.
        split_rule: how sequences are divided.
        spill_dir: where action lines lie between parsing and grouping.
        bad_records_dir: where bad lines go, one file per input file that has any.
        actions_dir: where all distinct actions go.
        sequences_dir: where the users' sequences go.
        summary_path: JSON file of the summaries.
    """

    selection: Selection
    num_buckets: int
    max_actions_per_user: int
    order_is_time: bool
    erasure: Erasure
    split_rule: SplitRule
    spill_dir: Path
    bad_records_dir: Path
    actions_dir: Path
    sequences_dir: Path
    summary_path: Path


class IngestSummary(NamedTuple):
    """What all files and buckets came to; see `LogSummary` and `BucketSummary`."""

    lines: int
    not_selected: int
    bad: dict[str, int]
    bad_examples: list[str]
    errors: list[str]
    users: int
    actions: int
    duplicates: int
    capped_users: int
    capped_actions: int
    erased: int
    conflicts: list[str]
    actions_per_file: dict[str, int]
    days: dict[int, int]


def _spill_log(log_file: LogFile, settings: IngestSettings) -> LogSummary:
    reader = LogReader(log_file, settings.selection, settings.bad_records_dir)
    source = f"log-{log_file.number:05d}"
    spill(reader, settings.spill_dir, source, settings.num_buckets)
    return reader.summary()


def _spill_previous(number_and_path: tuple[int, Path], settings: IngestSettings) -> str:
    number, path = number_and_path
    source = f"previous-{number:05d}"
    spill(read_actions(path), settings.spill_dir, source, settings.num_buckets)
    return source


def bucket_paths(settings: IngestSettings, bucket: int) -> tuple[Path, Path]:
    """The files of a bucket's actions and of its sequences."""
    name = shard_name(bucket, settings.num_buckets)
    return settings.actions_dir / name, settings.sequences_dir / f"{bucket:05d}.txt"


def _write_bucket(
    bucket: int, _all_spilled: int, settings: IngestSettings
) -> BucketSummary:
    actions_path, sequences_path = bucket_paths(settings, bucket)
    return write_bucket(
        spilled(settings.spill_dir, bucket),
        actions_path,
        sequences_path,
        settings.max_actions_per_user,
        settings.order_is_time,
        settings.erasure,
        settings.split_rule,
    )


def _write_summaries(
    path: Path, logs: list[LogSummary], buckets: list[BucketSummary]
) -> None:
    content = {
        "logs": [summary._asdict() for summary in logs],
        "buckets": [summary._asdict() for summary in buckets],
    }
    with new_file(path) as stream:
        stream.write(json.dumps(content).encode())


def wire_ingest(
    pipeline: beam.Pipeline,
    log_files: list[LogFile],
    previous_actions: list[Path],
    settings: IngestSettings,
) -> None:
    """Wires parse, spill by bucket of users, and the writing of every bucket.

    Args:
        pipeline: the pipeline.
        log_files: the logs.
        previous_actions: files of actions of the dataset that is gone on from.
        settings: see there.
    """
    logs = (
        pipeline
        | "Logs" >> beam.Create(log_files)
        | "SpreadLogs" >> beam.Reshuffle()
        | "SpillLog" >> beam.Map(_spill_log, settings)
    )
    previous = (
        pipeline
        | "Previous" >> beam.Create(list(enumerate(previous_actions)))
        | "SpreadPrevious" >> beam.Reshuffle()
        | "SpillPrevious" >> beam.Map(_spill_previous, settings)
    )
    # As a side input it holds the buckets back until every source is spilled.
    all_spilled = (
        (logs, previous) | beam.Flatten() | "Count" >> beam.combiners.Count.Globally()
    )
    buckets = (
        pipeline
        | "Buckets" >> beam.Create(range(settings.num_buckets))
        | "SpreadBuckets" >> beam.Reshuffle()
        | "WriteBucket"
        >> beam.Map(_write_bucket, beam.pvalue.AsSingleton(all_spilled), settings)
    )
    (
        pipeline
        | "Once" >> beam.Create([settings.summary_path])
        | "WriteSummaries"
        >> beam.Map(
            _write_summaries, beam.pvalue.AsList(logs), beam.pvalue.AsList(buckets)
        )
    )


def read_summary(path: Path) -> IngestSummary:
    """The sum of the summaries that the pipeline wrote."""
    content = json.loads(path.read_bytes())
    logs = [LogSummary(**entry) for entry in content["logs"]]
    buckets = [BucketSummary(**entry) for entry in content["buckets"]]
    bad: Counter[str] = Counter()
    days: Counter[int] = Counter()
    for log in logs:
        bad.update(log.bad)
        days.update({int(day): rows for day, rows in log.days.items()})
    return IngestSummary(
        lines=sum(log.lines for log in logs),
        not_selected=sum(log.not_selected for log in logs),
        bad=dict(sorted(bad.items())),
        bad_examples=sorted(log.example for log in logs if log.example),
        errors=sorted(log.error for log in logs if log.error),
        users=sum(bucket.users for bucket in buckets),
        actions=sum(bucket.actions for bucket in buckets),
        duplicates=sum(bucket.duplicates for bucket in buckets),
        capped_users=sum(bucket.capped_users for bucket in buckets),
        capped_actions=sum(bucket.capped_actions for bucket in buckets),
        erased=sum(bucket.erased for bucket in buckets),
        conflicts=sorted(bucket.conflict for bucket in buckets if bucket.conflict),
        actions_per_file={bucket.file: bucket.actions for bucket in buckets},
        days=dict(days),
    )
