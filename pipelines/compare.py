"""`python -m pipelines.compare`: many models on one dataset, in one table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines import family
from pipelines.experiments.queue_files import QueueError, Run

if TYPE_CHECKING:
    from pipelines.experiments.training_backends import Backend

_OUTPUT = "out/comparison/NAME"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The checked command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.compare",
        description="Trains and evaluates models on one dataset, skipping what the "
        "ledger has, and writes OUTPUT.html (nothing loaded), .md and .csv: metrics "
        "overall and of head and tail users, differences, time, parameters, and the "
        "papers' figures beside. If interrupted, rerun the command; it resumes, "
        "and writes the table of the runs that have finished when its time is up.",
        allow_abbrev=False,
    )
    family.add_flags(parser, _OUTPUT)
    parser.add_argument(
        "--against",
        metavar="MODEL",
        help="the model that the others are tested against (s4rec if it is compared, "
        "otherwise the first)",
    )
    args = parser.parse_args(argv)
    family.check_flags(parser, args, _OUTPUT)
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)

    def plan() -> tuple[list[Run], tuple[list[Run], str]]:
        runs = family.runs_of(args)
        return runs, (runs, _reference(args.against, [run.model for run in runs]))

    return family.run_command(
        "compare", args, plan, lambda backend, planned: _write(args, backend, *planned)
    )


def _reference(asked: str | None, models: Sequence[str]) -> str:
    if asked is None:
        return "s4rec" if "s4rec" in models else models[0]
    if asked not in models:
        raise QueueError(
            f"--against must be one of {', '.join(dict.fromkeys(models))}. "
            f"Received: {asked!r}"
        )
    return asked


def _write(
    args: argparse.Namespace, backend: Backend, runs: Sequence[Run], reference: str
) -> None:
    import yaml

    from pipelines.report import comparison_table
    from pipelines.report.blocks import NAMES, PUBLISHED
    from s4rec_tf.report_page import page as report_page

    name = family.dataset_name(args.dataset)
    groups = family.finished_groups(args, backend, runs)
    info = backend.info(args.dataset)
    resolved = {run.model: run.resolved for run in runs}
    finished = {group.model for group in groups}
    published = yaml.safe_load(PUBLISHED.read_text("utf-8"))
    comparison = comparison_table.Comparison(
        groups,
        reference,
        [row for row in published["results"] if row["dataset"] == name],
        [row for row in published["sampled_uniform_99"] if row["dataset"] == name],
        {
            model: comparison_table.count_parameters(resolved[model], info)
            for model in finished
        },
        info.split_examples["train"],
        args.ledger,
    )
    missing = [model for model in resolved if model not in finished]
    blocks = comparison.blocks(missing)
    title = f"Models on {NAMES.get(name, name)}"
    texts = {
        ".html": report_page.as_html(title, blocks),
        ".md": report_page.as_markdown(title, blocks),
        ".csv": comparison.as_csv(),
    }
    family.write_files(args.output, texts)


if __name__ == "__main__":
    sys.exit(main())
