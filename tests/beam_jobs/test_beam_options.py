import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from beam_jobs import prepare_dataset
from beam_jobs.beam_flags import UsageError, checked_beam_flags
from beam_jobs.logs.format_options import FormatOptions
from beam_jobs.logs.selection import Selection
from beam_jobs.options import parse_args

REQUIRED = ["--input", "a", "b*", "--output", "out"]


def test_defaults():
    options = parse_args(REQUIRED)
    assert options.inputs == ("a", "b*")
    assert options.format == "auto"
    assert options.k_core == 5
    assert options.max_bad_share == 0.001
    assert options.max_actions_per_user == 10_000
    assert options.selection == Selection(None, None, None)
    assert options.beam_flags == ()


def test_times_and_columns():
    options = parse_args(
        [
            *REQUIRED,
            "--since=2001-01-01",
            "--until=978307201",
            "--min_rating=3.5",
            "--format=csv",
            "--columns",
            "user=u,item=i,time=t,rating=r",
        ]
    )
    assert options.selection == Selection(978_307_200_000, 978_307_201_000, 3.5)
    assert options.columns == {"user": "u", "item": "i", "time": "t", "rating": "r"}


def test_how_logs_are_read():
    flags = ["--delimiter=tab", "--time_unit=us", "--quotes=none", "--ties=hash"]
    options = parse_args([*REQUIRED, *flags, "--null_ids", "NA", ""])
    assert options.format_options == FormatOptions(
        delimiter="\t", time_unit="us", quotes="none", null_ids=("NA", "")
    )
    assert options.ties == "hash"
    assert options.settings()["null_ids"] == ("NA", "")
    assert parse_args(REQUIRED).format_options == FormatOptions()
    assert parse_args(REQUIRED).ties is None


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [(";", ";"), ("\\t", "\t"), ("pipe", "|"), ("::", "::"), ("blank", " ")],
)
def test_delimiters(text, delimiter):
    options = parse_args([*REQUIRED, "--delimiter", text])
    assert options.format_options.delimiter == delimiter


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--delimiter", "x"], "--delimiter: must be a character such as ','"),
        (["--delimiter", "||"], "one of comma, semicolon, tab, pipe, blank"),
        (["--delimiter", ";", "--format=sequences"], "means nothing to --format seq"),
        (["--time_format", "%H:%M"], "must be iso8601, rfc2822 or a pattern"),
        (["--time_format", "iso"], "Received: 'iso'"),
        (["--time_format=%Y%m%d", "--time_unit=s"], "nothing with --time_format"),
        (["--output", "a[1]/out"], "--output: must hold none of *, ? and ["),
        (["--k_core", "0"], "--k_core: must be 1 or more. Received: '0'"),
        (["--max_bad_share", "2"], "--max_bad_share: must be from 0 to 1"),
        (["--since", "yesterday"], "--since: must be an ISO date"),
        (["--since", "9", "--until", "9"], "--since: must be before --until"),
        (["--format", "parquet"], "invalid choice: 'parquet' (choose from 'auto'"),
        (["--format", "csv"], "--columns: --format csv needs it"),
        (["--format=csv", "--columns=user=a,item=b"], "Received: 'user=a,item=b'"),
        (["--format=csv", "--columns=user=a,item=a,time=c"], "each once"),
        (["--columns=user=0,item=1,time=2", "--format=amazon"], "means nothing"),
    ],
)
def test_wrong_values_are_refused(capsys, flags, message):
    with pytest.raises(SystemExit) as caught:
        parse_args([*REQUIRED, *flags])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["--input", "--output"])
def test_required_flags(capsys, missing):
    argv = {"--input": ["--output", "x"], "--output": ["--input", "x"]}[missing]
    with pytest.raises(SystemExit):
        parse_args(argv)
    assert f"required: {missing}" in capsys.readouterr().err


def test_beams_flags_pass_and_others_do_not():
    assert checked_beam_flags([]) == ["--no_save_main_session"]
    flags = ["--runner", "DirectRunner", "--direct_num_workers=2"]
    assert checked_beam_flags(flags) == ["--no_save_main_session", *flags]
    flags.append("--save_main_session")
    assert checked_beam_flags(flags) == flags
    # An abbreviation of ours, one of Beam's, a typing error, a stray word.
    for flag in ("--k_cor=3", "--direct_num_worker=2", "--k-core=3", "word"):
        with pytest.raises(UsageError, match=f"unrecognized arguments: {flag} "):
            checked_beam_flags(["--runner=DirectRunner", flag])


def test_the_setup_file_is_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "setup.py").touch()
    monkeypatch.chdir(tmp_path)
    flags = checked_beam_flags(["--setup_file=setup.py"])
    assert flags[-1] == f"--setup_file={tmp_path / 'setup.py'}"
    for wrong in ("none/setup.py", str(tmp_path)):
        with pytest.raises(UsageError, match=f"a setup.py. Received: '{wrong}'"):
            checked_beam_flags([f"--setup_file={wrong}"])


def test_an_unknown_flag_ends_the_command(capsys, tmp_path):
    log = tmp_path / "log"
    log.write_text("u a b\n")
    argv = ["--input", str(log), "--output", str(tmp_path / "out"), "--kcore", "3"]
    assert prepare_dataset.run(argv) == 2
    assert "unrecognized arguments: --kcore 3" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [log]


@pytest.mark.parametrize("module", ["prepare_dataset", "show"])
def test_help_imports_neither_beam_nor_tensorflow(module):
    code = (
        f"import sys; from beam_jobs import {module} as command\n"
        "try: command.run(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'apache_beam', 'tensorflow'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: python -m beam_jobs." in done.stdout


class _JobServer(beam_job_api_pb2_grpc.JobServiceServicer):
    def DescribePipelineOptions(self, request, context):
        options = [
            beam_job_api_pb2.PipelineOptionDescriptor(name=name)
            for name in ("parallelism", "execution_mode_for_batch")
        ]
        return beam_job_api_pb2.DescribePipelineOptionsResponse(options=options)


def test_a_job_servers_own_flags_pass_too():
    server = grpc.server(ThreadPoolExecutor(1))
    beam_job_api_pb2_grpc.add_JobServiceServicer_to_server(_JobServer(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    there = ["--runner=PortableRunner", f"--job_endpoint=localhost:{port}"]
    flags = [*there, "--parallelism=2", "--execution_mode_for_batch=BATCH"]
    try:
        assert checked_beam_flags(flags) == ["--no_save_main_session", *flags]
        with pytest.raises(UsageError, match="unrecognized arguments: --paralelism=2 "):
            checked_beam_flags([*flags, "--paralelism=2"])
    finally:
        server.stop(0)
    with pytest.raises(UsageError, match=rf"localhost:{port} .* Received: UNAVAILABLE"):
        checked_beam_flags(flags)
