"""Commands as copies of one process that has TensorFlow loaded.

`python -m MODULE ...` in a process of its own imports TensorFlow, which takes seconds.
Tests that start many commands start copies instead: this file, run as a program, does
the imports once and forks for every request that comes through its socket.
"""

import atexit
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

HEAVY = (
    *("s4rec_tf", "keras", "serving.servables.servable", "serving.frontends.http_port"),
    *("serving.frontends.grpc_port", "serving.server"),
)
ROOT = Path(__file__).parents[1]
_MOST_BYTES = 1 << 20


class Command:
    """A running command, with what tests use of `subprocess.Popen`.

    Args:
        module: as `python -m` takes it.
        arguments: of its command line.
        stderr: an open file for its standard error; None for this process' own.
        env: variables that it has besides this process'.

    Attributes:
        pid: its process.
        stdout: what it prints, as text.
        returncode: None while it runs; negative for a signal.
    """

    def __init__(self, module, *arguments, stderr=None, env=None):
        out_reader, out_writer = os.pipe()
        status_reader, status_writer = os.pipe()
        request = {
            "module": module,
            "arguments": [str(argument) for argument in arguments],
            "env": {**os.environ, **(env or {})},
            "cwd": os.getcwd(),
        }
        errors = os.dup(stderr.fileno() if stderr else 2)
        descriptors = [out_writer, errors, status_writer]
        socket.send_fds(_server(), [json.dumps(request).encode()], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self.stdout = os.fdopen(out_reader, encoding="utf-8")
        self._status = os.fdopen(status_reader, encoding="utf-8")
        self.pid = int(self._status.readline())
        self.returncode = None

    def poll(self):
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked command", timeout)
            code, seconds = json.loads(self._status.readline())
            self._status.close()
            self.returncode = code
            _ended.append(seconds)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def run(module, *arguments, timeout=120, env=None):
    """Runs a command to its end; its code and outputs, as `subprocess.run` has them."""
    with open(os.memfd_create("stderr"), "w+b") as errors:
        command = Command(module, *arguments, stderr=errors, env=env)
        with command.stdout:
            out = command.stdout.read()
        code = command.wait(timeout)
        errors.seek(0)
        text = errors.read().decode()
    return subprocess.CompletedProcess([module, *arguments], code, out, text)


_ended = []
_started = []


def user_seconds():
    """Of the process that is copied, and of the copies that have ended."""
    own = 0.0
    if _started:
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{_started[0][1].pid}/stat").read_text()
            own = int(stat.rpartition(")")[2].split()[11]) / os.sysconf("SC_CLK_TCK")
    return own + sum(_ended)


def _server():
    """The socket of the process that is copied; it starts with the first command."""
    if not _started:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            # As the server's command sets it before TensorFlow loads.
            env={"TF_ENABLE_ONEDNN_OPTS": "0", **os.environ},
        )
        theirs.close()
        _started.append((ours, process))
        atexit.register(_stop)
    return _started[0][0]


def _stop():
    ours, process = _started.pop()
    ours.close()
    process.wait(30)


def serve(control):
    """Forks for every request until the other end is closed; runs in the program."""
    for name in HEAVY:
        importlib.import_module(name)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MOST_BYTES, 3)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _keep(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _keep(request, out, errors, status):
    """Forks the command and reports its pid, its exit code and its user seconds."""
    pid = os.fork()
    if pid == 0:
        os.close(status)
        _become(request, out, errors)
    for descriptor in (out, errors):
        os.close(descriptor)
    os.write(status, f"{pid}\n".encode())
    _, code, usage = os.wait4(pid, 0)
    line = json.dumps([os.waitstatus_to_exitcode(code), usage.ru_utime])
    with contextlib.suppress(BrokenPipeError):
        os.write(status, f"{line}\n".encode())
    os._exit(0)


def _become(request, out, errors):
    os.dup2(out, 1)
    os.dup2(errors, 2)
    os.close(out)
    os.close(errors)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = [request["module"], *request["arguments"]]
    code = 1
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        serve(given)
