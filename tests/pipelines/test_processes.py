import os
import sys

import pytest

from pipelines.processes import bound_child, logged_child

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def is_alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("child", [bound_child, logged_child])
def test_child_is_stopped_when_its_block_fails(child, tmp_path):
    more = [tmp_path / "log"] if child is logged_child else []
    with pytest.raises(KeyboardInterrupt), child(SLEEP, *more) as process:
        assert is_alive(process.pid)
        raise KeyboardInterrupt
    assert not is_alive(process.pid)


def test_child_writes_both_outputs_to_its_log(tmp_path):
    talk = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    with logged_child([sys.executable, "-c", talk], tmp_path / "log") as process:
        process.wait()
    assert (tmp_path / "log").read_text() == "out\nerr\n"
