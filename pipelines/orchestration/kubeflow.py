"""`python -m pipelines.orchestration.kubeflow`: a day as a Kubeflow pipeline, compiled.

A component for every step of `pipelines.run_day`. In the image, `S4REC_PYTHON` names
the Python that has this project's stages; the component itself runs where `kfp` is.

Without postponed annotations, which `kfp` does not read.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from pipelines.run_day.settings import STEPS
from s4rec_tf.exit_codes import ExitCode

IMAGE = "s4rec-day:latest"


def run_step(
    step: str,
    base: str,
    name: str,
    logs: str,
    prepare: str,
    train: str,
    export: str,
    flags: str,
) -> str:
    """Runs a day until a step; those before it are done and are skipped.

    Its source is all that a container receives, so it imports what it needs itself.
    """
    import os
    import shlex
    import subprocess

    command = [os.environ.get("S4REC_PYTHON", "python"), "-m", "pipelines.run_day"]
    command += ["--base", base, "--name", name, "--logs", logs, "--until", step]
    command += [f"--prepare={prepare}", f"--train={train}", f"--export={export}"]
    done = subprocess.run(
        [*command, *shlex.split(flags), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def day_pipeline(image: str = IMAGE) -> Any:
    """The pipeline.

    Args:
        image: of `pipelines/orchestration/Dockerfile`.
    """
    component = dsl.component(base_image=image, install_kfp_package=False)(run_step)

    @dsl.pipeline(name="s4rec-day", description="New logs to a version in service")
    def day(
        base: str,
        logs: str,
        name: str = "s4rec",
        prepare: str = "",
        train: str = "",
        export: str = "",
        flags: str = "",
    ) -> None:
        given = {"prepare": prepare, "train": train, "export": export, "flags": flags}
        before = None
        for step in STEPS:
            task = component(step=step, base=base, name=name, logs=logs, **given)
            task.set_display_name(step)
            # Whether a step is to be done again is the command's own decision.
            task.set_caching_options(False)
            if before is not None:
                task.after(before)
            before = task

    return day


def main(argv: list[str] | None = None) -> int:
    """Compiles the pipeline; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.orchestration.kubeflow",
        description="Compiles a day to YAML, for Kubeflow Pipelines and Vertex AI.",
        allow_abbrev=False,
    )
    parser.add_argument("--output", type=Path, required=True, help="*.yaml to write")
    parser.add_argument("--image", default=IMAGE, help="of the steps (%(default)s)")
    args = parser.parse_args(argv)
    compiler.Compiler().compile(day_pipeline(args.image), str(args.output))
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
