"""`python -m s4rec_tf.arrays`: a dataset folder -> one `.npz` file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from s4rec_tf import spec
from s4rec_tf.exit_codes import ExitCode


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s4rec_tf.arrays",
        allow_abbrev=False,
        description="Writes a dataset folder as one compressed .npz file, from which "
        "`python -m s4rec_tf.train_arrays` trains without TensorFlow.",
    )
    parser.add_argument("dataset", type=Path, help="finished dataset folder")
    parser.add_argument("output", type=Path, help="the .npz file to be written")
    args = parser.parse_args(argv)
    if args.output.suffix != ".npz":
        parser.error(f"the file's name must end in .npz. Received: {args.output}")
    return args


def write_dataset_arrays(dataset: spec.DatasetDir, output: Path) -> None:
    """Writes a dataset folder's arrays.

    Raises:
        spec.DatasetError: if the folder is unfinished or damaged.
        OSError: if the file cannot be written.
    """
    import numpy as np

    from s4rec_tf.data import array_file, records

    records.verify(dataset)
    counts = np.asarray(dataset.item_counts.read_text("utf-8").split(), np.int64)
    splits = {split: records.read_split(dataset, split) for split in spec.SPLITS}
    made = array_file.ArrayDataset(
        dataset.info(), counts, splits, dataset.fingerprint()
    )
    array_file.write_arrays(output, made)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        write_dataset_arrays(spec.DatasetDir(args.dataset), args.output)
    except (ValueError, OSError) as error:
        print(f"arrays: {error}", file=sys.stderr)
        return ExitCode.FAILED
    print(f"{args.output}: {args.output.stat().st_size:,} bytes")
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
