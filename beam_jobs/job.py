"""The driver of the data job: builds the graph, runs it, checks, publishes.

One pipeline makes the dataset; a second one goes on from its sequences where the k-core
needs more rounds than stand in the graph. The driver reads small files alone.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam

from beam_jobs.balance import LostRecordsError, check_reading
from beam_jobs.dataset import history
from beam_jobs.dataset.previous import (
    Previous,
    PreviousError,
    check_lightly,
    open_previous,
)
from beam_jobs.dataset.publish import StagingDir, keep_bad_records, publish
from beam_jobs.finish import Finisher, JobError
from beam_jobs.inputs import Inputs, look_at_inputs
from beam_jobs.job_counts import JobCounts, remarks
from beam_jobs.job_report import JobReport, read_report
from beam_jobs.layout import BAD_RECORDS, STATISTICS
from beam_jobs.logs.files import InputError
from beam_jobs.logs.log_file import LogFile
from beam_jobs.logs.remedies import remedy
from beam_jobs.options import JobOptions
from beam_jobs.pipeline import JobPlan, Wiring
from beam_jobs.runner import Metrics, RunPipeline
from beam_jobs.splits import FILES
from beam_jobs.transforms.group_by_user import Ties
from beam_jobs.transforms.stop_early import MAX_EARLY_SHARE, StopRule
from s4rec_tf.spec import DatasetDir, DatasetInfo

ACTION_SHARD_BYTES = 128 << 20
"""Of unpacked logs a file of actions, which one worker sorts in memory."""

_MIN_ACTION_SHARDS = 4
_SECONDS_PER_BYTE = 3.5e-7
"""Of unpacked logs, on one core, to the finished dataset."""

_MORE_ROUNDS = 4
"""The factor of rounds from one pipeline to the next."""


class NotConverged(ValueError):
    """The k-core is not at its fixed point after the stated number of rounds."""


class Progress:
    """Lines on standard error, each with the seconds since the job's start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        """Prints one line."""
        seconds = time.monotonic() - self._start
        print(f"[{seconds:6.1f} s] {text}", file=sys.stderr, flush=True)


class JobStart(NamedTuple):
    """Inputs and plan of a job, known before its pipeline is built.

    Attributes:
        plan: what the pipeline is built from.
        num_bytes: about what the logs unpack to.
        inputs_before: the inputs of the dataset that is gone on from.
        checked: the files whose first lines were looked at.
    """

    plan: JobPlan
    num_bytes: int
    inputs_before: Sequence[dict[str, Any]]
    checked: Sequence[LogFile]


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of the data job.

    Attributes:
        options: what the user asked for.
        place: where the dataset is being built.
        run_pipeline: runs a pipeline.
        report: prints a line of progress.
    """

    options: JobOptions
    place: StagingDir
    run_pipeline: RunPipeline
    report: Callable[[str], None]

    def run(self) -> None:
        """Builds the dataset and publishes it.

        Raises:
            InputError: if an input cannot be read or its format not be told.
            JobError: if too many lines are bad, or nothing is left.
            LostRecordsError: if an engine lost records between two steps, twice.
            NotConverged: if the k-core needs too many rounds.
            AnomalyError: if what was written breaks the schema.
            DatasetError: if a dataset named beside is unfinished or damaged.
            PreviousError: if the previous dataset cannot be gone on from.
            RowsError: if a log has far fewer rows than those before it.
            ErasureError: if a list of what to erase cannot be read.
        """
        start = self.start()
        try:
            self._make(start)
        except LostRecordsError as error:
            self.report(f"{error}: the pipeline is run once more")
            self._make(start)

    def _make(self, start: JobStart) -> None:
        metrics = self._run(Wiring.from_logs, start.plan, start.num_bytes)
        self.finish(start, metrics)

    def start(self) -> JobStart:
        """Looks at the inputs and plans the pipeline; raises as `run` does."""
        (self.place.dataset / BAD_RECORDS).mkdir(parents=True)
        previous = self._open_previous()
        inputs = look_at_inputs(self.options, self._known_items(), self.report)
        return JobStart(
            self._plan(inputs, previous),
            inputs.unpacked_bytes + previous.unpacked_bytes,
            previous.inputs,
            inputs.checked,
        )

    def finish(self, start: JobStart, metrics: Metrics) -> None:
        """Checks what the pipeline made, and publishes it; raises as `run` does.

        Args:
            start: what the pipeline was built from.
            metrics: the pipeline's.
        """
        found = read_report(self.place.work / "report.json")
        self._check_read(found, start.checked)
        check_reading(found, self.options.split_rule.kind == FILES)
        self._report_read(found, start.plan)
        self._run_more_rounds(start.plan, found)
        info = Finisher(
            start.plan, found, self._history(), start.inputs_before, self.report
        ).finish()
        publish(self.place)
        self._summarize(info, JobCounts.of_report(found, metrics))

    def _open_previous(self) -> Previous:
        options = self.options
        for root in {options.previous_statistics, options.item_ids_from}:
            if root is not None:
                check_lightly(DatasetDir(root))
        options.erasure.check()
        if options.previous is None:
            return Previous({}, 0, [], "item_id")
        previous = open_previous(options.previous, options.selection)
        self.report(f"going on from {options.previous}")
        return previous

    def _plan(self, inputs: Inputs, previous: Previous) -> JobPlan:
        num_bytes = inputs.unpacked_bytes + previous.unpacked_bytes
        by_size = -(-num_bytes // ACTION_SHARD_BYTES)
        usual = history.usual_rows(self._history(), self.options.previous is not None)
        least = 0.0 if usual is None else self.options.min_rows_share * usual.rows
        return JobPlan(
            options=self.options,
            root=self.place.dataset,
            work=self.place.work,
            order_is_time=inputs.order_is_time,
            ties=self._ties(inputs, previous),
            previous=previous.actions,
            num_action_shards=max(
                self.options.num_shards or _MIN_ACTION_SHARDS, by_size
            ),
            stop_rule=self._stop_rule(least),
        )

    def _stop_rule(self, min_lines: float) -> StopRule:
        options = self.options
        takes_all = options.max_bad_share == 1 or options.format_options.time_unit
        early_share = 1.0 if takes_all else MAX_EARLY_SHARE
        return StopRule(options.max_bad_share, min_lines, early_share)

    def _ties(self, inputs: Inputs, previous: Previous) -> Ties:
        asked = self.options.ties
        if self.options.previous is None:
            return asked or inputs.ties
        if asked not in (None, previous.ties):
            raise PreviousError(
                f"`--ties` must be as in `--previous` {self.options.previous}: "
                f"{previous.ties!r} there. Received: {asked!r}"
            )
        return previous.ties

    def _run(
        self, add: Callable[[Wiring], None], plan: JobPlan, num_bytes: int
    ) -> Metrics:
        def wire(pipeline: beam.Pipeline) -> None:
            wiring = Wiring(plan, pipeline)
            add(wiring)
            wiring.report()

        return self.run_pipeline(wire, num_bytes * _SECONDS_PER_BYTE)

    def _known_items(self) -> list[str]:
        """Items of the dataset that is gone on from."""
        root = self.options.previous
        return [] if root is None else DatasetDir(root).vocabulary()

    def _history(self) -> list[history.Entry]:
        """The datasets up to the one that is compared with."""
        root = self.options.previous_statistics
        return [] if root is None else history.read_history(root / STATISTICS)

    def _check_read(self, found: JobReport, checked: Sequence[LogFile]) -> None:
        counts = found.counts
        lines, num_bad = counts.get("lines", 0), counts.get("bad", 0)
        if found.errors:
            raise InputError("; ".join(sorted(found.errors)))
        if num_bad > self.options.max_bad_share * lines:
            raise JobError(self._bad_records_message(found, num_bad, checked))
        if self._stop_rule(0).has_early_times(counts):
            raise JobError(
                f"{counts['early_times']:,} of {counts['judged_times']:,} times lie "
                "before 1973-03-03, those of the first lines excepted; look at the "
                "later lines of the logs: the column may hold something else there; "
                "where such times are right, give `--time_unit`"
            )
        if found.conflicts:
            raise JobError(
                f"user {min(found.conflicts)!r} has more than one line in logs of "
                "sequences, where the order within a line is the time; their order is "
                "not known"
            )
        if counts.get("sequence_actions", 0) == 0:
            raise JobError(
                f"no action is left of {lines:,} lines ({num_bad:,} bad, "
                f"{counts.get('not_selected', 0):,} actions outside --since, --until "
                "and --min_rating)"
            )
        self._check_rows(lines)

    def _check_rows(self, lines: int) -> None:
        is_increment = self.options.previous is not None
        usual = history.usual_rows(self._history(), is_increment)
        history.check_rows(lines, usual, self.options.min_rows_share)

    def _bad_records_message(
        self, found: JobReport, num_bad: int, checked: Sequence[LogFile]
    ) -> str:
        kept = keep_bad_records(self.place)
        lines, bad = found.counts["lines"], JobCounts.of_report(found).bad
        reasons = ", ".join(f"{name} {count:,}" for name, count in bad.items())
        return (
            f"{num_bad:,} of {lines:,} lines are bad "
            f"({num_bad / lines:.2%}; --max_bad_share allows "
            f"{self.options.max_bad_share:.2%}): {reasons}. All of them are in {kept}; "
            f"the first: {min(found.bad_examples)}. {_remedy(checked, bad)}".rstrip()
        )

    def _report_read(self, found: JobReport, plan: JobPlan) -> None:
        counts = JobCounts.of_report(found)
        self.report(
            f"read {counts.lines:,} lines: {counts.distinct:,} distinct actions of "
            f"{counts.users:,} users"
        )
        for line in remarks(found, plan.ties):
            self.report(line)

    def _run_more_rounds(self, plan: JobPlan, found: JobReport) -> None:
        """Runs further pipelines until no item is below k."""
        k, done = self.options.k_core, plan.first_rounds
        self._report_rounds(found, 1, done)
        while found.unfinished:
            if done >= self.options.max_rounds:
                below = found.counts[f"items_below_in_round_{done}"]
                raise NotConverged(
                    f"the {k}-core is not at its fixed point after {done} rounds "
                    f"({below:,} items below {k}); raise `--max_rounds`"
                )
            rounds = min(_MORE_ROUNDS * done, self.options.max_rounds - done)
            paths = [str(plan.work / file.name) for file in found.unfinished]
            num_bytes = sum(file.bytes for file in found.unfinished)
            found.forget_core()
            first = done + 1
            self._run(
                functools.partial(
                    Wiring.from_unfinished,
                    paths=paths,
                    rounds=rounds,
                    first_round=first,
                ),
                plan,
                num_bytes,
            )
            read_report(self.place.work / "report.json", found)
            done += rounds
            self._report_rounds(found, first, done)
        if not found.counts.get("users_in_core"):
            raise JobError(
                f"the {k}-core of {JobCounts.of_report(found).distinct:,} actions of "
                f"{found.counts['users']:,} users is empty; lower `--k_core`"
            )

    def _report_rounds(self, found: JobReport, first: int, last: int) -> None:
        k, counts = self.options.k_core, found.counts
        for number in range(first, last + 1):
            end = f"_in_round_{number}"
            if f"users{end}" in counts:
                self.report(
                    f"{k}-core round {number}: {counts[f'users{end}']:,} users, "
                    f"{counts[f'actions{end}']:,} actions left, "
                    f"{counts[f'items_below{end}']:,} items below {k}"
                )

    def _summarize(self, info: DatasetInfo, counts: JobCounts) -> None:
        bad = ", ".join(f"{name} {n:,}" for name, n in counts.bad.items())
        self.report(
            f"{self.options.output}: {info.num_users:,} users, {info.num_items:,} "
            f"items, {info.num_actions:,} actions"
        )
        self.report(
            f"of {counts.lines:,} lines: bad {bad or 0}; not selected "
            f"{counts.not_selected:,}; duplicates {counts.duplicates:,}; over "
            f"the cap {counts.capped_actions:,} actions of "
            f"{counts.capped_users:,} users; erased {counts.erased:,}"
        )


def _remedy(checked: Sequence[LogFile], bad: Mapping[str, int]) -> str:
    """Remedy for the most frequent kind of bad line."""
    if not checked:
        return ""
    file, reason = checked[0], max(bad, key=lambda name: bad[name])
    return remedy(file.path, file.line_format, reason)
