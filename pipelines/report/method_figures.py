"""`python -m pipelines.report.method_figures`: the plots of docs/how_s4rec_works.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.experiments.ledger import DEFAULT_LEDGER
from s4rec_tf.exit_codes import ExitCode


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.report.method_figures",
        description="Draws the plots of docs/how_s4rec_works.md as SVG files, in a "
        "Chromium: from the ledger quality by length, head users by cluster, and users "
        "in the plane; with --run users by intent.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--ledger", type=Path, default=DEFAULT_LEDGER, help=f"({DEFAULT_LEDGER})")
    add("--output", type=Path, default=Path("docs/figures"), help="(docs/figures)")
    add(
        "--run",
        type=Path,
        metavar="DIR",
        help="a run of S4Rec that s4rec_tf.analyze has looked into",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    from pipelines.report.method_plots import intents_plot, ledger_plots
    from pipelines.report.svg import as_svgs
    from s4rec_tf.atomic_files import write_bytes

    try:
        plots = ledger_plots(args.ledger)
        if args.run:
            plots["intents"] = intents_plot(args.run)
        args.output.mkdir(parents=True, exist_ok=True)
        for name, text in as_svgs(plots).items():
            path = args.output / f"{name}.svg"
            write_bytes(path, text.encode())
            print(path)
    except (ValueError, OSError) as error:
        print(f"method_figures: {error}", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
