"""A runner of days whose stages are stand-ins in processes of their own.

`python -m tests.pipelines.run_day.fake_day BASE LOG ...` runs days;
`python -m tests.pipelines.run_day.fake_day --stage LOG MODULE ARGUMENT ...` is a stage.
"""

import sys
import time
from pathlib import Path

from pipelines.processes import bound_child
from pipelines.run_day import driver
from pipelines.run_day.folders import Base
from pipelines.run_day.lock import locked
from pipelines.run_day.settings import Settings
from tests.pipelines.run_day.fake_stages import FakeStages

_PAUSE = 0.05


def in_a_process(module, arguments, log):
    """Runs a stand-in as the real stages are run."""
    line = [sys.executable, "-m", __spec__.name, "--stage", str(log), module]
    with bound_child([*line, *arguments]) as process:
        return process.wait()


def main(first, *rest):
    if first == "--stage":
        log, module, *arguments = rest
        stages = FakeStages()
        stages.on_event = lambda: time.sleep(_PAUSE)  # more of it can be interrupted
        return stages(module, arguments, Path(log))
    base = Base(Path(first), "shop")
    with locked(base.root):
        logs = [Path(log) for log in rest]
        driver.run(base, Settings(keep=2), logs, False, in_a_process, print)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
