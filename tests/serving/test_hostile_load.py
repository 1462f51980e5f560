"""Ten minutes of bad clients of all kinds at once, beside a good one."""

import json

import pytest

from tests.serving import processes
from tests.serving.hostile_load import HostileLoad, report

SECONDS = 600


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_good_client_is_answered_and_memory_is_flat(served_export, tmp_path):
    items, _ = served_export.expected([3, 9], [3, 9])
    server = processes.start_embedded(
        *("demo", served_export.export_dir, tmp_path / "log", "--enable_batching"),
        "--rest_api_timeout_in_ms=60000",
    )
    try:
        load = HostileLoad(server, [[f"item-{item}" for item in items]], seed=1)
        memory = load.run(SECONDS)
        assert server.process.poll() is None
    finally:
        server.close()
    found = report(load, memory)
    print(json.dumps(found))
    assert load.faults == []
    # The first tenths hold what is built once.
    by_tenths = found["memory_mib_by_tenths"]
    assert by_tenths[-1] < 1.1 * by_tenths[2], by_tenths
