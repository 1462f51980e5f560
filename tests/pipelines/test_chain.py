import textwrap

import pytest

from pipelines.demo.chain import Chain, Stage, StageError
from pipelines.fork_server import ForkServer

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
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def processes():
    with ForkServer(imported=()) as server:
        yield server


@pytest.fixture
def chain(script, processes):
    """Makes chains with the same records, as runs of one command do."""
    return lambda total=1: Chain(script / "records", total, processes)


def stage(folder, code=0, **more):
    target = folder / "written"
    return Stage("work", "stagework", (str(target), str(code)), **more)


def times_run(folder):
    return len((folder / "written").read_text())


def test_output_is_handed_back_and_the_banner_counts(script, chain, capfd):
    both = chain(total=2)
    assert both.run(stage(script, keep_output=True)) == OUTPUT
    assert both.run(stage(script)) == ""
    shown = capfd.readouterr().out
    assert "=== [1/2] work" in shown
    assert "=== [2/2] work" in shown
    assert shown.count("line two") == 2
    assert shown.count("programs") == 1  # where it was not kept, it was not read
    assert f"python -m stagework {script}/written 0" in shown


def test_quiet_output_is_handed_back_and_not_shown(script, chain, capfd):
    output = chain().run(stage(script, keep_output=True, quiet=True))
    assert output == OUTPUT
    assert "line one" not in capfd.readouterr().out


def test_finished_stage_is_skipped_with_its_output(script, chain, capfd):
    work = stage(script, keep_output=True, writes=(script / "written",))
    first = chain().run(work)
    assert chain().run(work) == first
    assert times_run(script) == 1
    assert "already done with these inputs: skipped" in capfd.readouterr().out


def test_stage_is_due_again_when_what_it_reads_has_changed(script, chain):
    source = script / "source"
    source.write_text("one")
    work = stage(script, reads=(source,), writes=(script / "written",))
    chain().run(work)
    source.write_text("another")
    chain().run(work)
    assert times_run(script) == 2


def test_stage_is_due_again_when_what_it_wrote_is_gone_or_changed(script, chain):
    work = stage(script, writes=(script / "written",))
    chain().run(work)
    (script / "written").unlink()
    chain().run(work)
    assert times_run(script) == 1
    (script / "written").write_text("yyyy")
    chain().run(work)
    assert (script / "written").read_text() == "yyyyx"


def test_stage_is_due_again_with_other_arguments(script, chain):
    written = (script / "written",)
    chain().run(stage(script, writes=written))
    other = Stage("work", "stagework", (str(script / "written"), "00"), writes=written)
    chain().run(other)
    assert times_run(script) == 2


def test_failed_stage_is_named_with_command_and_code_and_not_remembered(script, chain):
    work = stage(script, code=7, writes=(script / "written",))
    for _ in range(2):
        with pytest.raises(StageError, match="'work' failed with exit code 7") as error:
            chain().run(work)
        assert f"python -m stagework {script}/written 7" in str(error.value)
    assert times_run(script) == 2
