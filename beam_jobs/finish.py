"""The last steps of a dataset: facts, validation, statistics page, manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from beam_jobs.balance import check_examples
from beam_jobs.dataset import history
from beam_jobs.dataset.popularity import read_popularity
from beam_jobs.dataset.previous import ORDER_IS_TIME
from beam_jobs.dataset.publish import json_bytes, write_manifest
from beam_jobs.dataset.statistics_page import render_page
from beam_jobs.dataset.validation_result import Statistics, ValidationResult
from beam_jobs.job_counts import JobCounts
from beam_jobs.job_report import JobReport
from beam_jobs.layout import STATISTICS
from beam_jobs.pipeline import JobPlan
from beam_jobs.splits import LEAVE_ONE_OUT
from beam_jobs.storage.digests import write_whole
from beam_jobs.transforms.counting import histogram
from beam_jobs.transforms.find_head import HEAD_SHARE
from s4rec_tf.spec import SPLITS, DatasetDir, DatasetInfo


class JobError(ValueError):
    """Logs from which no dataset can be made, with the reason."""


@dataclasses.dataclass(frozen=True)
class Finisher:
    """Completes a dataset folder whose examples and statistics are written.

    Attributes:
        plan: what its graph was built from.
        found: the report of its pipelines.
        before: the last datasets.
        inputs_before: the inputs of the dataset that is gone on from.
        report: prints a line of progress.
    """

    plan: JobPlan
    found: JobReport
    before: Sequence[history.Entry]
    inputs_before: Sequence[dict[str, Any]]
    report: Callable[[str], None]

    def finish(self) -> DatasetInfo:
        """Checks what was written and writes the manifest.

        Returns:
            the facts of the dataset.

        Raises:
            JobError: if a split has no example.
            LostRecordsError: if an engine lost records between two steps.
            AnomalyError: if what was written breaks the schema.
        """
        info = self._facts()
        item_counts = DatasetDir(self.plan.root).item_counts.read_text("utf-8")
        check_examples(self.found, map(int, item_counts.split()))
        self._check_split(info)
        self._write_facts(info)
        self._validate(info)
        counts = JobCounts.of_report(self.found)
        write_manifest(self.plan.root, _manifest(info, counts), self.found.files)
        return info

    def _facts(self) -> DatasetInfo:
        counts, options = self.found.counts, self.plan.options
        num_head, min_length = self.found.head
        return DatasetInfo(
            num_users=counts.get("users_in_core", 0),
            num_items=len(DatasetDir(self.plan.root).vocabulary()),
            num_actions=counts.get("actions_in_core", 0),
            num_head_users=num_head,
            head_share=HEAD_SHARE,
            head_min_length=min_length,
            k_core=options.k_core,
            split=options.split_rule.describe(),
            split_examples={
                split: counts.get(f"{split}_examples", 0) for split in SPLITS
            },
        )

    def _check_split(self, info: DatasetInfo) -> None:
        if self.plan.options.split_rule.kind == LEAVE_ONE_OUT:
            return
        for split in SPLITS:
            if info.split_examples[split] == 0:
                raise JobError(
                    f"`--split` {info.split} leaves no example for {split}: a user "
                    "needs an action for training, and one to take the target from"
                )
        left_out = info.num_users - info.split_examples["train"]
        self.report(f"users without an action for training, in no split: {left_out:,}")

    def _write_facts(self, info: DatasetInfo) -> None:
        shards = [f for f in self.found.files if f.name.startswith("train/")]
        examples = sum(info.split_examples.values())
        self.report(f"wrote {examples:,} examples, {len(shards)} shards")
        self.report(
            f"head: {info.num_head_users:,} users, from a length of "
            f"{info.head_min_length}"
        )
        read = [identity._asdict() for identity in self.found.inputs]
        inputs = [each for each in read if each not in self.inputs_before]
        content = {
            "info": dataclasses.asdict(info),
            "settings": self.plan.options.settings() | {"ties": self.plan.ties},
            ORDER_IS_TIME: self.plan.order_is_time,
            "inputs": sorted(
                [*self.inputs_before, *inputs],
                key=lambda entry: (entry["name"], entry["bytes"], str(entry)),
            ),
        }
        self._write(DatasetDir(self.plan.root).info_file.name, json_bytes(content))

    def _write(self, name: str, content: bytes) -> None:
        self.found.files.append(write_whole(str(self.plan.root), name, content))

    def _validate(self, info: DatasetInfo) -> None:
        # Imported late: it brings TensorFlow, which a job that fails early can spare.
        from beam_jobs.dataset import validation

        root, options = self.plan.root, self.plan.options
        schema = validation.complete_schema(validation.curated_schema(), info)
        statistics = validation.read_statistics(root)
        previous, popularities = None, None
        if options.previous_statistics is not None:
            previous = validation.read_statistics(options.previous_statistics)
            both = (DatasetDir(root), DatasetDir(options.previous_statistics))
            popularities = (read_popularity(both[0]), read_popularity(both[1]))
        findings = validation.validate(
            statistics,
            schema,
            info,
            previous,
            popularities,
            validation.DRIFT in options.allow,
        )
        self.found.files += validation.write_findings(root, schema, findings)
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
        findings: ValidationResult,
    ) -> None:
        days = histogram(self.found.counts, "days")
        entry = history.Entry(
            newest_day=history.newest_day(self.before, days),
            is_increment=self.plan.options.previous is not None,
            rows=self.found.counts.get("lines", 0),
            rows_per_day=history.usual_day(days),
            users=info.num_users,
            items=info.num_items,
            actions=info.num_actions,
            distances=findings.measurements,
        )
        entries = [*self.before, entry][-history.KEPT_DATASETS :]
        page = render_page(info, statistics, previous, findings, entries)
        self._write(f"{STATISTICS}/{history.HISTORY}", history.history_bytes(entries))
        self._write(f"{STATISTICS}/index.html", page.encode())


def _manifest(info: DatasetInfo, counts: JobCounts) -> dict[str, Any]:
    return {
        "split": info.split,
        "users": info.num_users,
        "items": info.num_items,
        "actions": info.num_actions,
        "head_users": info.num_head_users,
        "examples": info.split_examples,
        "log_lines": counts.lines,
        "bad_records": counts.bad,
        "not_selected": counts.not_selected,
        "distinct_actions": counts.distinct,
        "distinct_users": counts.users,
        "duplicates": counts.duplicates,
        "erased": counts.erased,
        "capped_users": counts.capped_users,
        "capped_actions": counts.capped_actions,
    }
