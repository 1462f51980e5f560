"""`python -m pipelines.report`: the ledger as an HTML page and as Markdown."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipelines.experiments.ledger import DEFAULT_LEDGER
from s4rec_tf.exit_codes import ExitCode

TITLE = "S4Rec: experiments"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.report",
        description="Writes the ledger's tables and figures, the papers' numbers "
        "beside, to OUTPUT.html (one file, nothing loaded) and OUTPUT.md.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--ledger", type=Path, default=DEFAULT_LEDGER, help=f"({DEFAULT_LEDGER})")
    output = Path("docs/results/report")
    add("--output", type=Path, default=output, help=f"without suffix ({output})")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    from pipelines.experiments import ledger
    from pipelines.report.blocks import report_blocks
    from s4rec_tf.atomic_files import write_bytes
    from s4rec_tf.report_page import page as report_page

    try:
        blocks = report_blocks(ledger.read(args.ledger), args.ledger)
        args.output.parent.mkdir(parents=True, exist_ok=True)
        for suffix, write in (
            (".html", report_page.as_html),
            (".md", report_page.as_markdown),
        ):
            path = args.output.with_name(args.output.name + suffix)
            write_bytes(path, write(TITLE, blocks).encode())
            print(path)
    except (ValueError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
