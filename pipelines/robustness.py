"""`python -m pipelines.robustness`: models trained on logs with wrong items."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines import family

if TYPE_CHECKING:
    from pipelines.experiments.queue_files import Run
    from pipelines.experiments.training_backends import Backend
    from pipelines.report.groups import Group

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
METRIC = "NDCG@20"
_OUTPUT = "out/robustness/NAME"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The checked command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.robustness",
        description="DSSRec's test of robustness: trains models on the dataset as it "
        "is, and with shares of the training items replaced by uniformly drawn ones; "
        "validation and test stay as they are. Writes OUTPUT.html, with a plot, and "
        "OUTPUT.md. If interrupted, rerun the command; it resumes.",
        allow_abbrev=False,
    )
    family.add_flags(parser, _OUTPUT)
    parser.add_argument(
        "--shares",
        default=",".join(map(str, SHARES)),
        help="shares that are replaced, with commas between (%(default)s)",
    )
    args = parser.parse_args(argv)
    family.check_flags(parser, args, _OUTPUT)
    args.shares = _shares(parser, args.shares)
    return args


def _shares(parser: argparse.ArgumentParser, text: str) -> list[float]:
    try:
        shares = sorted({float(part) for part in text.split(",")})
    except ValueError:
        parser.error(f"--shares must be numbers with commas between. Received: {text}")
    if not all(0 < share <= 1 for share in shares):
        parser.error(f"--shares must lie in (0, 1]. Received: {text}")
    return shares


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    return family.run_command(
        "robustness",
        args,
        lambda: _plan(args),
        lambda backend, by_share: _write(args, backend, by_share),
    )


def _plan(args: argparse.Namespace) -> tuple[list[Run], dict[float, list[Run]]]:
    by_share = {0.0: family.runs_of(args)}
    for share in args.shares:
        settings, variant = {"replaced_share": share}, f"replaced_share={share:g}"
        by_share[share] = family.runs_of(args, settings, variant)
    return [run for runs in by_share.values() for run in runs], by_share


def _write(
    args: argparse.Namespace, backend: Backend, by_share: Mapping[float, Sequence[Run]]
) -> None:
    from pipelines.report.blocks import NAMES
    from s4rec_tf.report_page import page as report_page

    name = family.dataset_name(args.dataset)
    found = {
        share: family.finished_groups(args, backend, runs)
        for share, runs in by_share.items()
    }
    title = f"Robustness on {NAMES.get(name, name)}"
    blocks = robustness_blocks(found)
    texts = {
        ".html": report_page.as_html(title, blocks),
        ".md": report_page.as_markdown(title, blocks),
    }
    family.write_files(args.output, texts)


def robustness_blocks(found: Mapping[float, Sequence[Group]]) -> list[Any]:
    """The plots and their numbers.

    Args:
        found: finished models by the share of items that was replaced, 0 first.
    """
    from pipelines.report.groups import NONE, spread
    from s4rec_tf.report_page.blocks import Figure, Paragraph, Table
    from s4rec_tf.report_page.figures import line_plot

    models = dict.fromkeys(group.model for groups in found.values() for group in groups)
    if not models:
        return [Paragraph("No finished run.")]
    cells = {
        (group.model, share): group.values(METRIC)
        for share, groups in found.items()
        for group in groups
    }
    means = {key: sum(values) / len(values) for key, values in cells.items() if values}
    kept = {
        (model, share): mean / means[model, 0.0]
        for (model, share), mean in means.items()
        if means.get((model, 0.0))
    }
    header = ["model", *(f"{share:.0%}" for share in found)]
    rows = [
        [model, *(spread(cells.get((model, share), [])) for share in found)]
        for model in models
    ]
    kept_rows = [
        [
            model,
            *(
                f"{kept[model, share]:.1%}" if (model, share) in kept else NONE
                for share in found
            ),
        ]
        for model in models
    ]
    blocks: list[Any] = [
        Paragraph(
            f"Test {METRIC} of models trained with a share of the training items "
            "replaced by uniformly drawn ones (DSSRec, section 6.2); mean and sample "
            "standard deviation over seeds."
        )
    ]
    for title, values, table in (
        (f"{METRIC}, test", means, rows),
        (f"{METRIC}, share kept of what whole logs give", kept, kept_rows),
    ):
        series = {
            model: [
                (f"{share:.0%}", values[model, share])
                for share in found
                if (model, share) in values
            ]
            for model in models
        }
        plot = line_plot("share of training items replaced", series)
        blocks.append(Figure(title, plot, Table(header, table)))
    return blocks


if __name__ == "__main__":
    sys.exit(main())
