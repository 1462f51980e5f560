"""The stages of the data job in order, each a Beam pipeline of its own module.

`ingest` reads the logs into buckets of users, `core_filter` finds the k-core,
`dataset_info` who is head, `tf_examples` writes the examples, `validation` checks what
was written. The folder appears when all of it holds.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beam_jobs import (
    core_filter,
    dataset_info,
    ingest,
    tf_examples,
    vocabulary,
)
from beam_jobs.actions import ACTIONS
from beam_jobs.core_filter import Core
from beam_jobs.dataset import history
from beam_jobs.dataset.findings import STATISTICS, Findings, Statistics
from beam_jobs.dataset.popularity import read_popularity
from beam_jobs.dataset.previous import ORDER_IS_TIME, Previous, open_previous
from beam_jobs.dataset.publish import (
    BAD_RECORDS,
    Workplace,
    keep_bad_records,
    publish,
    write_json,
    write_manifest,
)
from beam_jobs.dataset.statistics_page import render_page
from beam_jobs.dataset_info import HEAD_SHARE, HeadRule
from beam_jobs.ingest import IngestSettings, IngestSummary
from beam_jobs.logs.files import Fingerprint, InputError
from beam_jobs.logs.inputs import find_inputs, order_is_time
from beam_jobs.logs.log_file import LogFile
from beam_jobs.options import JobOptions
from beam_jobs.runner import RunPipeline
from beam_jobs.spill import num_buckets_for
from beam_jobs.splits import LEAVE_ONE_OUT
from beam_jobs.storage.files import new_file, remove_tree
from s4rec_tf.spec import SPLITS, DatasetDir, DatasetInfo

_INGEST_SUMMARY = "ingest.json"


class JobError(ValueError):
    """Logs from which no dataset can be made, with the reason."""


class Progress:
    """Lines on standard error, each with the seconds since the job's start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        """Prints one line."""
        seconds = time.monotonic() - self._start
        print(f"[{seconds:6.1f} s] {text}", file=sys.stderr, flush=True)


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
    place: Workplace
    run_pipeline: RunPipeline
    report: Callable[[str], None]

    def run(self) -> None:
        """Builds the dataset and publishes it.

        Raises:
            InputError: if an input cannot be read or its format not be told.
            JobError: if too many lines are bad, or nothing is left.
            NotConverged: if the k-core needs too many rounds.
            AnomalyError: if what was written breaks the schema.
            DatasetError: if a dataset named beside is unfinished or damaged.
            PreviousError: if the previous dataset cannot be gone on from.
            RowsError: if a log has far fewer rows than those before it.
            ErasureError: if a list of what to erase cannot be read.
        """
        previous = self._open_previous()
        log_files, inputs = find_inputs(self.options, self._known_items(), self.report)
        ingested = self._ingest(log_files, previous.actions, inputs)
        core = self._find_core(ingested)
        head_rule = self._find_head(core)
        examples = self._write_examples(core, head_rule)
        inputs = sorted({*previous.inputs, *inputs})
        info = self._facts(core, head_rule, examples)
        self._check_split(info)
        self._write_facts(info, inputs, order_is_time(log_files))
        self._validate(info)
        counts = _counts(info, ingested)
        for name, actions in ingested.actions_per_file.items():
            examples[f"{ACTIONS}/{name}"] = actions
        write_manifest(self.place.dataset, counts, examples)
        publish(self.place)
        self._summarize(counts)

    def _open_previous(self) -> Previous:
        options = self.options
        for root in {options.previous_statistics, options.item_ids_from}:
            if root is not None:
                DatasetDir(root).verify()
        options.erasure.check()
        if options.previous is None:
            return Previous([], [])
        previous = open_previous(options.previous, options.selection)
        self.report(f"going on from {options.previous}")
        return previous

    def _ingest(
        self,
        log_files: list[LogFile],
        previous_actions: list[Path],
        inputs: list[Fingerprint],
    ) -> IngestSummary:
        root, work = self.place.dataset, self.place.work
        num_bytes = sum(identity.bytes for identity in inputs)
        num_bytes += sum(path.stat().st_size for path in previous_actions)
        settings = IngestSettings(
            selection=self.options.selection,
            num_buckets=num_buckets_for(num_bytes, self.options.max_shards),
            max_actions_per_user=self.options.max_actions_per_user,
            order_is_time=order_is_time(log_files),
            erasure=self.options.erasure,
            split_rule=self.options.split_rule,
            spill_dir=work / "spilled",
            bad_records_dir=root / BAD_RECORDS,
            actions_dir=root / ACTIONS,
            sequences_dir=work / "sequences",
            summary_path=work / _INGEST_SUMMARY,
        )
        settings.bad_records_dir.mkdir()
        self.run_pipeline(
            functools.partial(
                ingest.wire_ingest,
                log_files=log_files,
                previous_actions=previous_actions,
                settings=settings,
            ),
            ingest.seconds_for(num_bytes),
        )
        summary = ingest.read_summary(settings.summary_path)
        remove_tree(settings.spill_dir)
        self._check_ingested(summary)
        self.report(
            f"read {summary.lines:,} lines: {summary.actions:,} distinct actions of "
            f"{summary.users:,} users"
        )
        return summary

    def _check_ingested(self, summary: IngestSummary) -> None:
        if summary.errors:
            raise InputError("; ".join(summary.errors))
        num_bad = sum(summary.bad.values())
        if num_bad > self.options.max_bad_share * summary.lines:
            raise JobError(self._bad_records_message(summary, num_bad))
        if summary.conflicts:
            raise JobError(
                f"user {summary.conflicts[0]!r} has more than one line in logs of "
                "sequences, where the order within a line is the time; their order is "
                "not known"
            )
        if summary.actions == 0:
            raise JobError(
                f"no action is left of {summary.lines:,} lines ({num_bad:,} bad, "
                f"{summary.not_selected:,} actions outside --since, --until and "
                "--min_rating)"
            )
        self._check_rows(summary)

    def _check_rows(self, summary: IngestSummary) -> None:
        is_increment = self.options.previous is not None
        usual = history.usual_rows(self._history(), is_increment)
        history.check_rows(summary.lines, usual, self.options.min_rows_share)

    def _history(self) -> list[history.Entry]:
        """The datasets up to the one that is compared with."""
        root = self.options.previous_statistics
        return [] if root is None else history.read_history(root / STATISTICS)

    def _bad_records_message(self, summary: IngestSummary, num_bad: int) -> str:
        kept = keep_bad_records(self.place)
        reasons = ", ".join(f"{name} {count:,}" for name, count in summary.bad.items())
        return (
            f"{num_bad:,} of {summary.lines:,} lines are bad "
            f"({num_bad / summary.lines:.2%}; --max_bad_share allows "
            f"{self.options.max_bad_share:.2%}): {reasons}. All of them are in {kept}; "
            f"the first: {summary.bad_examples[0]}"
        )

    def _find_core(self, ingested: IngestSummary) -> Core:
        options = self.options
        paths = sorted((self.place.work / "sequences").iterdir())
        core = core_filter.find_core(
            paths,
            self.place.work / "core",
            options.k_core,
            options.max_rounds,
            self.run_pipeline,
            self.report,
        )
        if not core.item_counts:
            raise JobError(
                f"the {options.k_core}-core of {ingested.actions:,} actions of "
                f"{ingested.users:,} users is empty; lower `--k_core`"
            )
        dataset = DatasetDir(self.place.dataset)
        vocabulary.write_vocabulary(
            dataset.item_vocab, dataset.item_counts, core.item_counts, self._pinned()
        )
        return core

    def _known_items(self) -> list[str]:
        """Items of the dataset that is gone on from."""
        root = self.options.previous
        return [] if root is None else DatasetDir(root).vocabulary()

    def _pinned(self) -> list[bytes]:
        """Items whose ids are given, in order of id."""
        root = self.options.item_ids_from
        if root is None:
            return []
        return list(vocabulary.read_item_ids(DatasetDir(root).item_vocab))

    def _find_head(self, core: Core) -> HeadRule:
        rule = dataset_info.find_head_rule(
            core.sequences, core.summary.lengths, self.place.work, self.run_pipeline
        )
        self.report(
            f"head: {rule.num_users:,} users, from a length of {rule.min_length}"
        )
        return rule

    def _write_examples(self, core: Core, head_rule: HeadRule) -> dict[str, int]:
        """Examples per file of the splits."""
        num_shards = self.options.split_shards(core.summary.users)
        counts_path = self.place.work / "examples.json"
        self.run_pipeline(
            functools.partial(
                tf_examples.wire_examples,
                shards=tf_examples.group_into_shards(core.sequences, num_shards),
                root=self.place.dataset,
                head_rule=head_rule,
                counts_path=counts_path,
            ),
            core.summary.users * tf_examples.SECONDS_PER_USER,
        )
        examples = tf_examples.read_counts(counts_path)
        self.report(f"wrote {sum(examples.values()):,} examples, {num_shards} shards")
        return examples

    def _facts(
        self,
        core: Core,
        head_rule: HeadRule,
        examples: dict[str, int],
    ) -> DatasetInfo:
        return DatasetInfo(
            num_users=core.summary.users,
            num_items=len(DatasetDir(self.place.dataset).vocabulary()),
            num_actions=core.summary.actions,
            num_head_users=head_rule.num_users,
            head_share=HEAD_SHARE,
            head_min_length=head_rule.min_length,
            k_core=self.options.k_core,
            split=self.options.split_rule.describe(),
            split_examples={
                split: sum(
                    count
                    for name, count in examples.items()
                    if name.startswith(f"{split}/")
                )
                for split in SPLITS
            },
        )

    def _check_split(self, info: DatasetInfo) -> None:
        if self.options.split_rule.kind == LEAVE_ONE_OUT:
            return
        for split in SPLITS:
            if info.split_examples[split] == 0:
                raise JobError(
                    f"`--split` {info.split} leaves no example for {split}: a user "
                    "needs an action for training, and one to take the target from"
                )
        left_out = info.num_users - info.split_examples["train"]
        self.report(f"users without an action for training, in no split: {left_out:,}")

    def _write_facts(
        self, info: DatasetInfo, inputs: list[Fingerprint], order_is_time: bool
    ) -> None:
        content = {
            "info": dataclasses.asdict(info),
            "settings": self.options.settings(),
            ORDER_IS_TIME: order_is_time,
            "inputs": [identity._asdict() for identity in inputs],
        }
        write_json(DatasetDir(self.place.dataset).info_file, content)

    def _validate(self, info: DatasetInfo) -> None:
        # Imported late: it brings TensorFlow, which a job that fails early can spare.
        from beam_jobs.dataset import validation

        self.report("computing statistics")
        root, previous_root = self.place.dataset, self.options.previous_statistics
        schema = validation.complete_schema(validation.curated_schema(), info)
        statistics = validation.generate_statistics(
            root, schema, self.run_pipeline, sum(info.split_examples.values())
        )
        previous, popularities = None, None
        if previous_root is not None:
            previous = validation.read_statistics(previous_root)
            both = (DatasetDir(root), DatasetDir(previous_root))
            popularities = (read_popularity(both[0]), read_popularity(both[1]))
        findings = validation.validate(
            statistics,
            schema,
            info,
            previous,
            popularities,
            validation.DRIFT in self.options.allow,
        )
        validation.write_findings(root, schema, findings)
        self._write_page(info, statistics, previous, findings)
        self.report(
            f"validated: no anomaly, {len(findings.measurements)} distances measured"
            if not findings.allowed
            else f"validated: {len(findings.allowed)} anomalies allowed"
        )
        for line in findings.allowed:
            self.report(f"allowed: {line}")

    def _write_page(
        self,
        info: DatasetInfo,
        statistics: Statistics,
        previous: Statistics | None,
        findings: Findings,
    ) -> None:
        folder = self.place.dataset / STATISTICS
        ingested = ingest.read_summary(self.place.work / _INGEST_SUMMARY)
        before = self._history()
        entry = history.Entry(
            newest_day=history.newest_day(before, ingested.days),
            is_increment=self.options.previous is not None,
            rows=ingested.lines,
            rows_per_day=history.usual_day(ingested.days),
            users=info.num_users,
            items=info.num_items,
            actions=info.num_actions,
            distances=findings.measurements,
        )
        entries = [*before, entry][-history.KEPT_DATASETS :]
        history.write_history(folder, entries)
        page = render_page(info, statistics, previous, findings, entries)
        with new_file(folder / "index.html") as stream:
            stream.write(page.encode())

    def _summarize(self, counts: dict[str, Any]) -> None:
        bad = ", ".join(f"{name} {n:,}" for name, n in counts["bad_records"].items())
        self.report(
            f"{self.options.output}: {counts['users']:,} users, {counts['items']:,} "
            f"items, {counts['actions']:,} actions"
        )
        self.report(
            f"of {counts['log_lines']:,} lines: bad {bad or 0}; not selected "
            f"{counts['not_selected']:,}; duplicates {counts['duplicates']:,}; over "
            f"the cap {counts['capped_actions']:,} actions of "
            f"{counts['capped_users']:,} users; erased {counts['erased']:,}"
        )


def _counts(info: DatasetInfo, ingested: IngestSummary) -> dict[str, Any]:
    return {
        "split": info.split,
        "users": info.num_users,
        "items": info.num_items,
        "actions": info.num_actions,
        "head_users": info.num_head_users,
        "examples": info.split_examples,
        "log_lines": ingested.lines,
        "bad_records": ingested.bad,
        "not_selected": ingested.not_selected,
        "duplicates": ingested.duplicates,
        "distinct_actions": ingested.actions,
        "distinct_users": ingested.users,
        "capped_users": ingested.capped_users,
        "capped_actions": ingested.capped_actions,
        "erased": ingested.erased,
    }
