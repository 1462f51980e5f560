"""Distances between two datasets: `python -m beam_jobs.drift DATASET PREVIOUS`.

What a job measures against the dataset before, for two that are finished.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from beam_jobs.dataset.popularity import read_popularity
from beam_jobs.dataset.validation_result import ValidationResult
from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.spec import DatasetDir


def compare(
    current: DatasetDir, previous: DatasetDir, times: float = 1.0
) -> ValidationResult:
    """The drift from one dataset to another.

    Args:
        current: the newer one.
        previous: the older one.
        times: users to be expected of the newer one, over those of the older one.

    Raises:
        DatasetError: if one is unfinished or damaged.
    """
    for dataset in (current, previous):
        dataset.verify()
    # Imported late: TensorFlow loads for ten seconds, `--help` need not wait for it.
    from beam_jobs.dataset import validation

    return validation.compare_with_previous(
        validation.read_statistics(current.root),
        validation.complete_schema(validation.curated_schema(), current.info()),
        validation.read_statistics(previous.root),
        (read_popularity(current), read_popularity(previous)),
        times,
    )


def run(argv: Sequence[str]) -> int:
    """The exit status of a command line; 1 for a dataset that cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m beam_jobs.drift",
        description="Prints the distances between two datasets and their thresholds.",
        allow_abbrev=False,
    )
    parser.add_argument("dataset", type=Path, help="a finished dataset")
    parser.add_argument("previous", type=Path, help="the one that it is compared with")
    text = "users to be expected over those before: 2 for two days after one (1)"
    parser.add_argument("--times", type=float, default=1.0, help=text)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    if not 0 < args.times < math.inf:
        parser.error(f"--times must be above 0. Received: {args.times}")
    try:
        both = (DatasetDir(args.dataset), DatasetDir(args.previous))
        findings = compare(*both, args.times)
    except (ValueError, OSError) as error:
        print(f"drift: error: {error}", file=sys.stderr)
        return ExitCode.FAILED
    if args.json:
        distances = [found._asdict() for found in findings.measurements]
        print(json.dumps({"distances": distances, "anomalies": findings.anomalies}))
        return ExitCode.OK
    for found in findings.measurements:
        verdict = "DRIFT" if found.value > found.threshold else "ok"
        print(
            f"{found.value:8.4f} of {found.threshold:<6g} {verdict:5} "
            f"{found.feature}, {found.measure}, {found.compared.split(' ')[0]}"
        )
    for line in findings.anomalies:
        print(line)
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
