import os
import sys
import textwrap

import pytest

from pipelines.stages import Chain, Stage, StageError, child, wait_until

OUTPUT = 'line one\nline two\n{"for": "programs"}\n'


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A module `stagework` that appends to a file and ends with the code it is told."""
    (tmp_path / "stagework.py").write_text(
        textwrap.dedent(
            """
            import pathlib, sys
            target, code = pathlib.Path(sys.argv[1]), int(sys.argv[2])
            with target.open("a") as stream:
                stream.write("x")
            print("line one")
            print("line two")
            print('{"for": "programs"}')
            sys.exit(code)
            """
        )
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def stage(folder, code=0, **more):
    target = folder / "written"
    return Stage("work", "stagework", (str(target), str(code)), **more)


def times_run(folder):
    return len((folder / "written").read_text())


def test_output_is_handed_back_and_the_banner_counts(script, capfd):
    chain = Chain(script / "records", total=2)
    assert chain.run(stage(script, keep_output=True)) == OUTPUT
    assert chain.run(stage(script)) == ""
    shown = capfd.readouterr().out
    assert "=== [1/2] work" in shown
    assert "=== [2/2] work" in shown
    assert shown.count("line two") == 2
    assert shown.count("programs") == 1  # where it was not kept, it was not read
    assert f"python -m stagework {script}/written 0" in shown


def test_quiet_output_is_handed_back_and_not_shown(script, capfd):
    chain = Chain(script / "records", total=1)
    output = chain.run(stage(script, keep_output=True, quiet=True))
    assert output == OUTPUT
    assert "line one" not in capfd.readouterr().out


def test_finished_stage_is_skipped_with_its_output(script, capfd):
    work = stage(script, keep_output=True, writes=(script / "written",))
    first = Chain(script / "records", total=1).run(work)
    assert Chain(script / "records", total=1).run(work) == first
    assert times_run(script) == 1
    assert "already done with these inputs: skipped" in capfd.readouterr().out


def test_stage_is_due_again_when_what_it_reads_has_changed(script):
    source = script / "source"
    source.write_text("one")
    work = stage(script, reads=(source,), writes=(script / "written",))
    Chain(script / "records", total=1).run(work)
    source.write_text("another")
    Chain(script / "records", total=1).run(work)
    assert times_run(script) == 2


def test_stage_is_due_again_when_what_it_wrote_is_gone_or_changed(script):
    work = stage(script, writes=(script / "written",))
    Chain(script / "records", total=1).run(work)
    (script / "written").unlink()
    Chain(script / "records", total=1).run(work)
    assert times_run(script) == 1
    (script / "written").write_text("yyyy")
    Chain(script / "records", total=1).run(work)
    assert (script / "written").read_text() == "yyyyx"


def test_stage_is_due_again_with_other_arguments(script):
    written = (script / "written",)
    Chain(script / "records", total=1).run(stage(script, writes=written))
    other = Stage("work", "stagework", (str(script / "written"), "00"), writes=written)
    Chain(script / "records", total=1).run(other)
    assert times_run(script) == 2


def test_failed_stage_is_named_with_command_and_code_and_not_remembered(script):
    work = stage(script, code=7, writes=(script / "written",))
    for _ in range(2):
        with pytest.raises(StageError, match="'work' failed with exit code 7") as error:
            Chain(script / "records", total=1).run(work)
        assert f"python -m stagework {script}/written 7" in str(error.value)
    assert times_run(script) == 2


def is_alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_child_is_stopped_when_its_block_fails():
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(KeyboardInterrupt), child(sleep) as process:
        assert is_alive(process.pid)
        raise KeyboardInterrupt
    assert not is_alive(process.pid)


def test_child_writes_both_outputs_to_its_log(tmp_path):
    talk = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    with child([sys.executable, "-c", talk], log=tmp_path / "log") as process:
        process.wait()
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_waiting_ends_with_a_named_error():
    answers = iter([False, True])
    wait_until(lambda: next(answers), 5, "it")
    with pytest.raises(StageError, match="the thing was not ready within 0 s"):
        wait_until(lambda: False, 0, "the thing")
