"""Which flags a pipeline runs with on this machine."""

from __future__ import annotations

import pytest

from beam_jobs.runner import local_flags

ONE_PROCESS = ["--runner=FnApiRunner"]


@pytest.mark.parametrize(("seconds", "num_cores"), [(0, 8), (7, 2), (1e6, 1)])
def test_small_work_stays_in_this_process(seconds: float, num_cores: int) -> None:
    assert local_flags(seconds, num_cores) == ONE_PROCESS


@pytest.mark.parametrize(("seconds", "num_cores"), [(9, 2), (5, 16)])
def test_large_work_gets_a_process_a_core(seconds: float, num_cores: int) -> None:
    assert local_flags(seconds, num_cores) == [
        *ONE_PROCESS,
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={num_cores}",
    ]
