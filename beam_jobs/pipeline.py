"""The graph of the data job: from the logs to the examples and their statistics.

logs, actions of the dataset before
-> DropErased -> GroupByUser -> KCore -> FindHead, BuildVocabulary
-> MakeExamples -> WriteExamples, WriteStatistics
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import apache_beam as beam

from beam_jobs import job_report
from beam_jobs.job_report import Note, WriteReport
from beam_jobs.options import JobOptions
from beam_jobs.sinks.write_actions import WriteActions
from beam_jobs.sinks.write_bad_records import WriteBadRecords
from beam_jobs.sinks.write_examples import WriteExamples, num_shards_for
from beam_jobs.sinks.write_sequences import ReadSequences, WriteSequences
from beam_jobs.sinks.write_vocabulary import WriteVocabulary
from beam_jobs.splits import FILES
from beam_jobs.transforms import (
    BuildVocabulary,
    DropErased,
    FindHead,
    GroupByUser,
    KCore,
    MakeExamples,
    ReadActions,
    ReadInteractions,
)
from beam_jobs.transforms.counting import SumCounts
from beam_jobs.transforms.drop_repeats import DropRepeats
from beam_jobs.transforms.group_by_user import Ties
from beam_jobs.transforms.stop_early import TWINS, StopEarly, StopRule
from s4rec_tf.spec import SPLITS


@dataclasses.dataclass(frozen=True)
class JobPlan:
    """Options of the job and what its launcher found: all that the graph needs.

    Attributes:
        options: what the user asked for.
        root: the dataset folder being built.
        work: the folder of what the driver reads.
        order_is_time: whether the logs are sequences without times.
        ties: order of a user's actions of one time.
        previous: sha256 of the earlier dataset's files of actions, by name.
        num_action_shards: files of actions.
        stop_rule: when the logs are refused.
    """

    options: JobOptions
    root: Path
    work: Path
    order_is_time: bool
    ties: Ties
    previous: dict[str, str]
    num_action_shards: int
    stop_rule: StopRule

    @property
    def first_rounds(self) -> int:
        """Rounds of the k-core in the first pipeline."""
        return min(self.options.core_rounds, self.options.max_rounds)


class Wiring:
    """Adds the job's transforms to a pipeline, and collects what is reported.

    Args:
        plan: what the graph is built from.
        pipeline: the pipeline.
    """

    def __init__(self, plan: JobPlan, pipeline: beam.Pipeline) -> None:
        self.plan = plan
        self.pipeline = pipeline
        self.counts: list[beam.PCollection] = []
        self.notes: dict[str, list[beam.PCollection]] = {}

    def from_logs(self) -> None:
        """The whole job."""
        plan, options = self.plan, self.plan.options
        interactions = self._read()
        if not options.erasure.is_empty:
            left = interactions | DropErased(
                options.erasure.users, options.erasure.items
            )
            interactions = left.interactions
            self.counts.append(left.counts)
        if options.split_rule.kind == FILES:
            interactions = interactions | DropRepeats()
        self._note(
            job_report.FILE,
            interactions | WriteActions(plan.root, plan.num_action_shards),
        )
        grouped = interactions | GroupByUser(
            options.max_actions_per_user,
            options.split_rule,
            plan.ties,
            plan.order_is_time,
        )
        self.counts.append(grouped.counts)
        self._note(job_report.CONFLICT, grouped.conflicts)
        self._note(job_report.LARGEST_USER, grouped.largest)
        passed = grouped.sequences | StopEarly(
            plan.stop_rule, self._read_counts, self._float_ids
        )
        self._note(job_report.TWIN, passed[TWINS] | "DistinctTwins" >> beam.Distinct())
        self._from_sequences(passed.sequences, plan.first_rounds, 1)

    def from_unfinished(self, paths: list[str], rounds: int, first_round: int) -> None:
        """The job from the k-core on.

        Args:
            paths: files of sequences that the rounds before left.
            rounds: of the k-core, in this pipeline.
            first_round: number of the first of them.
        """
        sequences = self.pipeline | ReadSequences(paths)
        self._from_sequences(sequences, rounds, first_round)

    def _read(self) -> beam.PCollection:
        """Logs and earlier actions."""
        plan, options = self.plan, self.plan.options
        patterns = (options.inputs, options.valid_inputs, options.test_inputs)
        logs, counts, float_ids = [], [], []
        for number, (split, of_split) in enumerate(zip(SPLITS, patterns, strict=True)):
            if not of_split:
                continue
            read = self.pipeline | f"Read/{split}" >> ReadInteractions(
                of_split,
                options.format_options,
                options.selection,
                number,
                options.max_bad_share < 1,
            )
            logs.append(read.interactions)
            counts.append(read.counts)
            float_ids.append(read.float_ids)
            self._note(job_report.INPUT, read.files)
            self._note(job_report.ERROR, read.errors)
            self._note(
                job_report.FILE,
                read.bad_records | f"BadRecords/{split}" >> WriteBadRecords(plan.root),
            )
            self._note(
                job_report.BAD_EXAMPLE,
                read.bad_records | f"FirstBad/{split}" >> _FirstBad(),
            )
        if plan.previous:
            actions = self.pipeline | ReadActions(options.previous, plan.previous)
            logs.append(actions.interactions)
            counts.append(actions.counts)
            self._note(job_report.ERROR, actions.errors)
        self._read_counts = (
            tuple(counts) | "ReadCounts" >> beam.Flatten() | "SumRead" >> SumCounts()
        )
        self._float_ids = tuple(float_ids) | "FloatIds" >> beam.Flatten(
            pipeline=self.pipeline
        )
        self.counts.append(self._read_counts)
        return logs[0] if len(logs) == 1 else tuple(logs) | beam.Flatten()

    def _from_sequences(
        self, sequences: beam.PCollection, rounds: int, first_round: int
    ) -> None:
        plan, options = self.plan, self.plan.options
        core = sequences | KCore(options.k_core, rounds, first_round)
        self.counts.append(core.counts)
        self._note(job_report.LARGEST_ITEM, core.largest)
        self._note(
            job_report.UNFINISHED,
            core.unfinished
            | WriteSequences(
                plan.work, f"sequences-{first_round}", plan.num_action_shards
            ),
        )
        vocabulary = core.sequences | BuildVocabulary(options.pinned_vocabulary)
        self._note(job_report.FILE, vocabulary | WriteVocabulary(plan.root))
        head = core.sequences | FindHead()
        self._note(job_report.HEAD, head.rule)
        examples = core.sequences | MakeExamples(vocabulary, head.rule)
        self.counts.append(examples.counts)
        self._write_examples(examples.by_split, head.lengths)
        self._write_statistics(examples.by_split)

    def _write_examples(
        self, examples: dict[str, beam.PCollection], lengths: beam.PCollection
    ) -> None:
        num_shards = lengths | "NumShards" >> beam.Map(
            _num_shards, self.plan.options.num_shards
        )
        self._note(
            job_report.FILE, examples | WriteExamples(self.plan.root, num_shards)
        )

    def _write_statistics(self, examples: dict[str, beam.PCollection]) -> None:
        # Imported late: it brings TensorFlow, which takes some seconds.
        from beam_jobs.dataset.validation import curated_schema
        from beam_jobs.transforms.statistics import WriteStatistics

        root, schema = self.plan.root, curated_schema()
        for split, records in examples.items():
            written = records | f"Statistics/{split}" >> WriteStatistics(
                root, split, schema
            )
            self._note(job_report.FILE, written)

    def _note(self, kind: str, values: beam.PCollection) -> None:
        self.notes.setdefault(kind, []).append(values)

    def report(self) -> beam.PCollection:
        """Writes what the driver reads; called last. A collection of its path."""
        counts = tuple(self.counts) | "AllCounts" >> beam.Flatten()
        self._note(job_report.COUNT, counts | "SumAll" >> SumCounts())
        notes = [
            tuple(values)
            | f"All/{kind}" >> beam.Flatten()
            | f"Note/{kind}" >> Note(kind)
            for kind, values in self.notes.items()
        ]
        report = tuple(notes) | "AllNotes" >> beam.Flatten()
        return report | WriteReport(self.plan.work / "report.json")


@dataclasses.dataclass(eq=False)
class _FirstBad(beam.PTransform):
    """The entry of the first bad record, by file and offset."""

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, bad_records: beam.PCollection) -> beam.PCollection:
        return (
            bad_records
            | beam.combiners.Top.Smallest(1)
            | beam.FlatMap(lambda found: [bad.entry for bad in found])
        )


def _num_shards(lengths: dict[int, int], asked: int | None) -> int:
    if asked is not None:
        return asked
    actions = sum(length * users for length, users in lengths.items())
    return num_shards_for(sum(lengths.values()), actions)
