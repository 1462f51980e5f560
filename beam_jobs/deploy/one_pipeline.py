"""The whole data job as one pipeline, whose last step is what the driver does else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.dataset.publish import place_itself
from beam_jobs.job import Job, JobStart, NotConverged, Progress
from beam_jobs.options import JobOptions
from beam_jobs.pipeline import Wiring
from beam_jobs.runner import Metrics
from beam_jobs.storage.files import remove_tree
from beam_jobs.storage.remote_path import set_flags


def start_job(options: JobOptions, flags: Sequence[str]) -> None:
    """Looks at the inputs, builds the pipeline and starts it, without waiting.

    Args:
        options: of the data job.
        flags: Beam's, checked.

    Raises:
        ValueError: as `Job.run` does for what is found before the pipeline.
    """
    set_flags(flags)
    job = Job(options, place_itself(options.output), refuse_more_rounds, Progress())
    start = job.start()
    pipeline = beam.Pipeline(options=PipelineOptions(list(flags)))
    wiring = Wiring(start.plan, pipeline)
    wiring.from_logs()
    wiring.report() | "Finish" >> beam.Map(finish_job, job, start)
    pipeline.run()


def finish_job(report: str, job: Job, start: JobStart) -> str:
    """Checks what a pipeline made and writes the manifest, on a worker.

    Args:
        report: the report's path, which exists by now.
        job: the job.
        start: what its pipeline was built from.

    Raises:
        ValueError: as `Job.run` does.
    """
    # A clock of the launcher's machine means nothing here.
    dataclasses.replace(job, report=Progress()).finish(start, {})
    remove_tree(job.place.work)
    return report


def refuse_more_rounds(
    wire: Callable[[beam.Pipeline], None], seconds: float = 0.0
) -> Metrics:
    """Runs no further pipeline: there is one alone.

    Raises:
        NotConverged: always.
    """
    raise NotConverged(
        "the k-core needs more rounds than stand in the one pipeline; raise "
        "`--core_rounds`"
    )
