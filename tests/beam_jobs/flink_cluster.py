"""A real Flink: a JobManager and TaskManagers, each a Java process of its own."""

import contextlib
import json
import urllib.request
from pathlib import Path

from engine_processes import free_port, kill, running, wait_until

SLOTS = 2
ENTRY_POINTS = {
    "jobmanager": "entrypoint.StandaloneSessionClusterEntrypoint",
    "taskmanager": "taskexecutor.TaskManagerRunner",
}
# What Flink's own scripts would work out; without them every size must be said.
MEMORY = {
    "jobmanager": {"jobmanager.memory.process.size": "1g"},
    "taskmanager": {
        "taskmanager.cpu.cores": "2.0",
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "192m",
        "taskmanager.memory.jvm-overhead.max": "192m",
        "taskmanager.memory.task.heap.size": "1g",
        "taskmanager.memory.task.off-heap.size": "128m",
        "taskmanager.memory.network.min": "128m",
        "taskmanager.memory.network.max": "128m",
        "taskmanager.memory.managed.size": "512m",
    },
}
HEAP = {"jobmanager": "-Xmx700m", "taskmanager": "-Xmx1200m"}
OPENED = (
    *("java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.text"),
    *("java.lang.reflect", "java.time", "java.util", "java.util.concurrent"),
    *("java.util.concurrent.atomic", "java.util.concurrent.locks"),
)


class FlinkCluster:
    """Started by `with`; ends with it.

    Args:
        libraries: folder of Flink's jars.
        folder: for configuration and logs.
    """

    def __init__(self, libraries: Path, folder: Path) -> None:
        self.port = free_port()
        self._libraries = libraries
        self._folder = folder
        self._processes = contextlib.ExitStack()
        self._task_managers = 0
        self._task_manager = None
        self._settings = {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": str(free_port()),
            "rest.address": "localhost",
            "rest.port": str(self.port),
            "taskmanager.host": "localhost",
            "taskmanager.numberOfTaskSlots": str(SLOTS),
            "parallelism.default": str(SLOTS),
            "io.tmp.dirs": str(folder),
            # A lost worker is noticed soon, and what it was at is run again.
            "heartbeat.interval": "1000",
            "heartbeat.timeout": "5000",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "5",
            "restart-strategy.fixed-delay.delay": "1 s",
        }

    def __enter__(self):
        (self._folder / "config.yaml").write_text(
            "".join(f"{name}: {value}\n" for name, value in self._settings.items())
        )
        with self._processes:
            process, log = self._start("jobmanager", "jobmanager.log")
            wait_until(lambda: self.ask("overview") is not None, process, log)
            self.start_task_manager()
            self._processes = self._processes.pop_all()
        return self

    def __exit__(self, *error):
        self._processes.close()

    def _start(self, role, log_name):
        log = self._folder / log_name
        options = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED]
        command = ["java", HEAP[role], *options, "-cp", f"{self._libraries}/*"]
        command += [
            f"org.apache.flink.runtime.{ENTRY_POINTS[role]}",
            "--configDir",
            str(self._folder),
        ]
        for name, value in MEMORY[role].items():
            command += ["-D", f"{name}={value}"]
        return self._processes.enter_context(running(command, log)), log

    def start_task_manager(self):
        """Starts a TaskManager and waits until the JobManager knows it."""
        self._task_managers += 1
        known = self._known()
        process, log = self._start(
            "taskmanager", f"taskmanager-{self._task_managers}.log"
        )
        self._task_manager = process
        wait_until(lambda: self._known() - known, process, log)

    def _known(self):
        managers = (self.ask("taskmanagers") or {"taskmanagers": []})["taskmanagers"]
        return {manager["id"] for manager in managers}

    def kill_task_manager(self):
        """Ends the TaskManager as a machine that fails would."""
        kill(self._task_manager)

    def ask(self, path):
        """The answer of Flink's REST interface, or None."""
        with contextlib.suppress(OSError):
            url = f"http://localhost:{self.port}/{path}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        return None

    def jobs(self):
        """(id, state) of every job, oldest first."""
        jobs = (self.ask("jobs/overview") or {"jobs": []})["jobs"]
        jobs.sort(key=lambda job: job["start-time"])
        return [(job["jid"], job["state"]) for job in jobs]

    def failures(self, job_id):
        """What went wrong in a job, whether or not it was restarted then."""
        return self.ask(f"jobs/{job_id}/exceptions")["exceptionHistory"]["entries"]
