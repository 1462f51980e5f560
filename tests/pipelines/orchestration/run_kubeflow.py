"""Runs the Kubeflow pipeline on kfp's local runner; in the environment of `kfp`."""

import json
import sys

from kfp import local

from pipelines.orchestration.kubeflow import day_pipeline

local.init(
    runner=local.SubprocessRunner(use_venv=False),
    pipeline_root=sys.argv[1],
    raise_on_error=True,
)
day_pipeline()(**json.loads(sys.argv[2]))
