"""The `s4rec` command: dispatch, exit codes, missing packages, completion."""

import subprocess
import sys
from pathlib import Path

import pytest

import s4rec_tf
from pipelines.command_line import completion
from pipelines.command_line.__main__ import main
from pipelines.command_line.commands import COMMANDS

ROOT = Path(__file__).parents[3]
RUN = "from pipelines.command_line.__main__ import main; raise SystemExit(main())"


def s4rec(*argv, before="", **options):
    return subprocess.run(
        [sys.executable, "-c", f"{before}\n{RUN}", *argv],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        **options,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_subcommand_is_the_modules_and_light(name):
    heavy = "{'tensorflow', 'keras', 'apache_beam', 'pandas', 'jax'}"
    shown = f"lambda: print({heavy} & {{*sys.modules}})"
    report = f"import atexit, sys; atexit.register({shown})"
    done = s4rec(name, "--help", before=report)
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m {COMMANDS[name].module}" in done.stdout
    assert done.stdout.endswith("\nset()\n")


def test_help_lists_all_subcommands():
    done = s4rec("--help")
    assert done.returncode == 0
    for name, command in COMMANDS.items():
        assert f"  {name} " in done.stdout and command.summary in done.stdout


def test_version_is_the_packages_and_names_what_is_installed():
    done = s4rec("--version")
    version = ".".join(map(str, sys.version_info[:3]))
    assert done.stdout.startswith(f"s4rec {s4rec_tf.__version__} (Python {version}, ")
    assert ", tensorflow 2." in done.stdout


@pytest.mark.parametrize("argv", [[], ["nothing"], ["train"], ["show", "--nothing"]])
def test_wrong_command_lines_exit_with_2(argv):
    assert s4rec(*argv).returncode == 2


def test_exit_code_and_message_are_the_modules(tmp_path):
    done = s4rec("show", str(tmp_path / "none"))
    assert done.returncode == 1
    assert done.stderr.startswith("show: error: ") and str(tmp_path) in done.stderr


def test_missing_package_is_named_with_its_extra(tmp_path):
    argv = ["evaluate", "--dataset", str(tmp_path), "--run_dir", str(tmp_path)]
    done = s4rec(*argv, before="import sys; sys.modules['numpy'] = None")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "s4rec evaluate: needs the package numpy: pip install 's4rec-tf[train]'\n"
    )


def test_defect_of_the_project_is_not_taken_for_a_missing_package():
    done = s4rec("show", "x", before="import sys; sys.modules['beam_jobs.show'] = None")
    assert "pip install" not in done.stderr and "Traceback" in done.stderr


def test_extras_are_those_of_the_distribution():
    text = (ROOT / "setup.py").read_text("utf-8")
    for command in COMMANDS.values():
        for extra in command.extra.split(","):
            assert f'"{extra}": ' in text


def complete(*words):
    """The words that bash offers for the last one, by the printed script."""
    script = s4rec("completion", "bash").stdout
    listed = " ".join(f"'{word}'" for word in words)
    ask = (
        f"COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; COMP_LINE='x'; "
        '_shtab_s4rec; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_bash_completes_subcommands_flags_and_choices():
    assert complete("s4rec", "ev") == ["evaluate"]
    assert complete("s4rec", "train", "--datas") == ["--dataset"]
    assert complete("s4rec", "evaluate", "--split", "") == ["test", "valid"]
    assert set(complete("s4rec", "serve", "--rest_api_p")) == {"--rest_api_port"}


def test_commands_whose_packages_are_missing_are_completed_by_name():
    hidden = "import sys; sys.modules['google_crc32c'] = None"
    script = s4rec("completion", "bash", before=hidden).stdout
    assert "_shtab_s4rec_show_option_strings=(-h --help)" in script
    assert "_shtab_s4rec_train_option_strings=(-h --help --dataset" in script


def test_zsh_script_names_every_subcommand(capsys):
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef s4rec")
    assert all(f"    {name}:'" in script for name in COMMANDS)


def test_completion_without_its_package_says_so(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert completion.main(["bash"]) == 1
    assert "pip install 's4rec-tf[completion]'" in capsys.readouterr().err
