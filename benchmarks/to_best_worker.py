"""Times a whole training on JAX; a child process of `benchmarks.train_speed_jax`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import child, jax_device
from benchmarks.flags import add_settings
from s4rec_tf import spec
from s4rec_tf.data import array_file
from s4rec_tf.runs import config as configuration
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.train.jax import trainer


def train(
    config: configuration.ExperimentConfig,
    arrays: Path,
    clock: jax_device.CompileClock,
) -> dict[str, Any]:
    """Trains a run from its beginning to its end, and returns when its best epoch was.

    Args:
        config: of the run.
        arrays: file of the dataset.
        clock: made before JAX compiled anything.
    """
    began = time.time()
    dataset = array_file.read_arrays(arrays)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir(Path(folder))
        trainer.train(config, dataset, run.root)
        ended, outcome = time.time(), run.read_manifest()
        # Written when a better epoch has been validated, and when the last one has.
        best, last = (path.stat().st_mtime for path in (run.best, run.manifest))
    return {
        "best_value": round(outcome["best_value"], 6),
        "best_epoch": outcome["best_epoch"],
        "epochs": outcome["epochs_done"],
        "seconds_to_best": round(best - began, 3),
        "compile_seconds_to_best": round(clock.seconds(best), 3),
        "training_seconds": round(last - began, 3),
        "total_seconds": round(ended - began, 3),
        "compile_seconds": round(clock.seconds(), 3),
        "facts": jax_device.facts(),
    }


def main() -> None:
    """Serves one training."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--config", required=True)
    parser.add_argument("--arrays", type=Path, required=True)
    add_settings(parser)
    args = parser.parse_args()
    clock = jax_device.CompileClock()

    def answer() -> dict[str, Any]:
        try:
            config = configuration.resolve(None, args.config, args.set)
            return train(config, args.arrays, clock)
        except (configuration.ConfigError, spec.DatasetError) as error:
            sys.exit(str(error))

    child.serve(lambda: {"train": answer})


if __name__ == "__main__":
    main()
