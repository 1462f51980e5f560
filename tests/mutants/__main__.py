"""`python -m tests.mutants`: the share of small changes that the tests notice.

Every change of a module is one mutant. Its tests run in a copy of this process; a
mutant is killed if one of them fails, and survives if all pass.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.copies import load_libraries, outcome, source_of
from tests.mutants.modules import ROOT, Target, targets
from tests.mutants.mutations import Mutation, difference, mutations_of

RESULTS = ROOT / ".cache" / "mutants.jsonl"


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", allow_abbrev=False, description=__doc__
    )
    add = parser.add_argument
    add("modules", nargs="*", help="parts of the modules' paths (default: all)")
    add("--share", type=float, default=1.0, help="of the mutants, drawn by --seed (1)")
    add("--seed", type=int, default=0, help="(0)")
    add("--results", type=Path, default=RESULTS, help="a line each; resumes")
    return parser.parse_args(argv)


def read_results(path: Path) -> dict[str, str]:
    """Outcomes by mutant, of an earlier run."""
    if not path.exists():
        return {}
    lines = map(json.loads, path.read_text("utf-8").splitlines())
    return {line["mutant"]: line["outcome"] for line in lines}


class Run:
    """One run of the command.

    Args:
        args: the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.known = read_results(args.results)
        self.survivors: list[str] = []

    def module(self, target: Target) -> tuple[int, int]:
        """Mutants of a module, and how many of them were killed."""
        source = source_of(target)
        unchanged = outcome(target, source)
        if unchanged.name != "passed":
            sys.exit(
                f"mutants: error: the tests of {target.path} fail without a change"
            )
        drawn = random.Random(f"{self.args.seed} {target.path}")
        chosen = [m for m in mutations_of(source) if drawn.random() < self.args.share]
        most = 10 + 3 * unchanged.cpu_seconds
        outcomes = [self._outcome(target, source, m, most) for m in chosen]
        return len(chosen), sum(outcome != "passed" for outcome in outcomes)

    def _outcome(
        self, target: Target, source: str, mutation: Mutation, most: float
    ) -> str:
        changed = difference(source, mutation)
        name = f"{target.path} {mutation.operator} {mutation.occurrence} {changed}"
        found = self.known.get(name) or outcome(target, mutation.source, most).name
        if name not in self.known:
            with self.args.results.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"mutant": name, "outcome": found}) + "\n")
        if found == "passed":
            self.survivors.append(f"{target.path}\n{changed}")
        return found


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the mutants; prints a table and those that survived."""
    args = parse_args(argv)
    args.results.parent.mkdir(parents=True, exist_ok=True)
    load_libraries()
    run = Run(args)
    totals = [0, 0]
    print(
        "| module | mutants | killed | share |\n| --- | --- | --- | --- |", flush=True
    )
    for target in targets(args.modules):
        made, killed = run.module(target)
        totals = [totals[0] + made, totals[1] + killed]
        print(_row(str(target.path), made, killed), flush=True)
    print(_row("all", *totals))
    print("", *run.survivors, sep="\n")


def _row(name: str, made: int, killed: int) -> str:
    share = f"{killed / made:.1%}" if made else ""
    return f"| {name} | {made} | {killed} | {share} |"


if __name__ == "__main__":
    main()
