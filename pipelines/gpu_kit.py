"""`python -m pipelines.gpu_kit`: what a GPU machine needs beside the repository."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.experiments.queue_files import DATASETS
from s4rec_tf.exit_codes import ExitCode

MOST_BYTES = 60 * 2**20
WHEELS = ("keras==3.15.1", "namex==0.1.0", "optree==0.20.0")
"""Packages that a JAX machine usually lacks; docs/running_on_jax.md lists all."""
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The checked command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.gpu_kit",
        description="Writes OUTPUT/wheels and OUTPUT/data, from which "
        "pipelines/gpu_run.sh works through a queue on a GPU machine that has JAX, and "
        "needs neither TensorFlow nor a network.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data", type=Path, default=Path("out/data"), help="datasets (out/data)")
    add("--output", type=Path, default=Path("gpu_kit"), help="(gpu_kit)")
    add(
        "--datasets",
        default=",".join(DATASETS),
        help=f"names with commas between ({','.join(DATASETS)})",
    )
    add(
        "--prepare",
        type=Path,
        metavar="LOGS_DIR",
        help="first make the dataset folders that are missing from the logs there",
    )
    add("--python", default="3.12", help="of the GPU machine (3.12)")
    add("--wheels", nargs="*", default=list(WHEELS), help=f"({' '.join(WHEELS)})")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    names = args.datasets.split(",")
    try:
        if args.prepare:
            from pipelines.experiments.public_logs import prepare

            prepare(names, args.data, args.prepare)
        for part in ("data", "wheels"):
            shutil.rmtree(args.output / part, ignore_errors=True)
        write_data(names, args.data, args.output / "data")
        fetch_wheels(args.wheels, args.python, args.output / "wheels")
        size = folder_size(args.output)
    except (ValueError, OSError) as error:
        print(f"gpu_kit: {error}", file=sys.stderr)
        return ExitCode.FAILED
    print(f"{args.output}: {size / 2**20:.1f} MiB")
    return ExitCode.OK


def write_data(names: Sequence[str], data: Path, output: Path) -> None:
    """Writes each dataset as one `.npz` file.

    Args:
        names: of the datasets.
        data: folder of the dataset folders.
        output: folder of the files.

    Raises:
        ValueError: if a dataset is missing, unfinished or damaged; which is said.
    """
    output.mkdir(parents=True)
    for name in names:
        files = [str(data / name), str(output / f"{name}.npz")]
        done = subprocess.run([sys.executable, "-m", "s4rec_tf.arrays", *files])
        if done.returncode:
            raise ValueError(f"dataset {data / name} could not be written as a file")


def fetch_wheels(wheels: Sequence[str], python: str, output: Path) -> None:
    """Downloads wheels for another Python on x86-64 Linux, none of their needs.

    Raises:
        ValueError: if the index has one of them not.
    """
    output.mkdir(parents=True, exist_ok=True)
    if not wheels:
        return
    platforms = [flag for name in _PLATFORMS for flag in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", *platforms]
    command += ["--python-version", python, "--implementation", "cp"]
    done = subprocess.run([*command, "--dest", str(output), *wheels])
    if done.returncode:
        raise ValueError(f"the wheels {', '.join(wheels)} could not be downloaded")


def folder_size(folder: Path) -> int:
    """Bytes in a folder.

    Raises:
        ValueError: if they are more than `MOST_BYTES`.
    """
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise ValueError(
            f"{folder} must hold at most {MOST_BYTES:,} bytes. Received: {size:,}"
        )
    return size


if __name__ == "__main__":
    sys.exit(main())
