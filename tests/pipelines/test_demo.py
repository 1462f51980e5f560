"""The whole chain on a tiny log, and what its driver does with wrong input."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.demo import __main__ as demo

ROOT = Path(__file__).parents[2]
TINY = (
    *("--users", "200", "--items", "60", "--intents", "3", "--k", "5"),
    *("--set", "epochs=1", "batch_size=64"),
)


def run_demo(output, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.demo", "--output", str(output), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished demo: its output folder and what it printed."""
    output = tmp_path_factory.mktemp("demo") / "out"
    done = run_demo(output, *TINY)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return output, done.stdout


def test_every_stage_is_shown_in_order(finished):
    banners = re.findall(r"^=== \[(\d+)/(\d+)\] ", finished[1], flags=re.MULTILINE)
    assert banners == [(str(n), "12") for n in range(1, 13)]
    trained = re.findall(r"python -m s4rec_tf\.train .*--model (\w+) .*", finished[1])
    assert trained == ["popularity", "sasrec", "s4rec"]
    assert finished[1].count("--strategy=mirrored") == 3


def test_it_ends_with_recommendations_of_known_items(finished):
    output, shown = finished
    end = shown[shown.index("=" * 72) :]
    history = re.findall(r"^      (B\w{9})  \(planted intent", end, flags=re.MULTILINE)
    answer = re.findall(r"^ +(\d)\. (B\w{9})  \(.*\)  (-?[\d.]+)$", end, re.MULTILINE)
    vocabulary = (output / "dataset" / "item_vocab.txt").read_text().split()
    assert [rank for rank, _, _ in answer] == ["1", "2", "3", "4", "5"]
    assert {item for _, item, _ in answer} <= set(vocabulary)
    assert not {item for _, item, _ in answer} & set(history)
    scores = [float(score) for _, _, score in answer]
    assert scores == sorted(scores, reverse=True)


def test_the_table_has_every_model_and_slice(finished):
    rows = re.findall(r"^(popularity|SASRec|S4Rec) +\|(.*)$", finished[1], re.MULTILINE)
    assert [name for name, _ in rows] == ["popularity", "SASRec", "S4Rec"]
    for _, row in rows:
        values = [float(value) for value in row.replace("|", " ").split()]
        assert len(values) == 12
        assert all(0 <= value <= 1 for value in values)


def test_it_says_what_the_models_own_terms_change(finished):
    rows = re.findall(r"^  (all users|head|tail)", finished[1], re.MULTILINE)
    assert rows == ["all users", "head", "tail"]


def test_everything_lies_where_it_says(finished):
    output, shown = finished
    for name, place in re.findall(r"^(dataset|export) +(\S+)$", shown, re.MULTILINE):
        assert Path(place).is_dir(), name
    assert (output / "dataset" / "MANIFEST.json").is_file()
    assert (output / "export" / "s4rec" / "1" / "saved_model.pb").is_file()


def test_run_again_it_skips_what_is_done(finished):
    output, shown = finished
    done = run_demo(output, *TINY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("already done with these inputs: skipped") == 9
    table = shown[shown.index("metrics on the test split") : shown.index("\ndataset ")]
    assert table in done.stdout
    assert not (output / "export" / "s4rec" / "2").exists()


def test_a_folder_of_another_chain_is_refused(finished):
    output, _ = finished
    done = run_demo(output, *TINY, "--seed", "8")
    assert done.returncode == 1
    assert f"{output} holds a chain with other inputs (settings, synthetic)" in (
        done.stderr
    )
    assert "Traceback" not in done.stderr


def test_failing_stage_is_named_with_command_and_code(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("neither\nthis\nnor\nthat\n")
    done = run_demo(tmp_path / "out", "--logs", str(log), "--format", "amazon")
    assert done.returncode == 1
    assert re.search(r"stage 'Beam and TFDV: .*' failed with exit code \d", done.stderr)
    assert f"beam_jobs.prepare_dataset --input {log} --format amazon" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_server_is_stopped_with_the_demo(finished):
    """SIGTERM while the server runs: nothing of the chain is left behind."""
    output, _ = finished
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.demo", "--output", str(output), *TINY],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in process.stdout:
        if "serving.server" in line:
            break
    wait_until(lambda: any("serving.server" in c for c in commands(process.pid)))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    # The process that is copied ends when the demo's end of its pipe is closed.
    wait_until(lambda: commands(process.pid) == [])


def wait_until(ready, seconds=30):
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.1)


def commands(group):
    """Command lines of the running processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == group:
                    found.append((entry / "cmdline").read_text())
            except (ProcessLookupError, FileNotFoundError):
                continue
    return found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--logs", "/nowhere/*.gz"],
            "--logs names no file. Received: '/nowhere/*.gz'",
        ),
        (["--k", "0"], "--k must be at least 1. Received: 0"),
        (["--user", "5"], "unrecognized arguments: --user 5"),
        (["--logs", __file__, "--users", "5"], "--users is of the synthetic log"),
    ],
)
def test_wrong_usage_is_an_error_of_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        demo.parse_args(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_globs_name_the_files_in_order(tmp_path):
    for name in ("b.gz", "a.gz", "c.txt"):
        (tmp_path / name).touch()
    args = demo.parse_args(["--logs", f"{tmp_path}/*.gz", f"{tmp_path}/c.txt"])
    assert [path.name for path in args.logs] == ["a.gz", "b.gz", "c.txt"]
