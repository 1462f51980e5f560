"""A real Flink and Beam's job server for it, each part a Java process of its own."""

import contextlib
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from engine_processes import free_port, kill, listens, running, wait_until

SLOTS = 2
KEPT_WORKERS_MS = 600_000
ENTRY_POINTS = {
    "jobmanager": "entrypoint.StandaloneSessionClusterEntrypoint",
    "taskmanager": "taskexecutor.TaskManagerRunner",
}
# What Flink's own scripts would work out; without them every size must be said.
TASK_MANAGER = {
    "framework.heap.size": 128,
    "framework.off-heap.size": 128,
    "jvm-metaspace.size": 256,
    "jvm-overhead.min": 192,
    "jvm-overhead.max": 192,
    "task.heap.size": 1024,
    "task.off-heap.size": 128,
    "network.min": 256,
    "network.max": 256,
    "managed.size": 512,
}
"""MiB of each part of a TaskManager's memory."""

ONE_GIB = {
    "framework.heap.size": 48,
    "framework.off-heap.size": 48,
    "jvm-metaspace.size": 128,
    "jvm-overhead.min": 48,
    "jvm-overhead.max": 48,
    "task.heap.size": 272,
    "task.off-heap.size": 256,
    "network.min": 64,
    "network.max": 64,
    "managed.size": 160,
}
"""Parts of 1 GiB."""

JOB_SERVER_CLASS = "org.apache.beam.runners.flink.FlinkJobServerDriver"
OPENED = (
    *("java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.text"),
    *("java.lang.reflect", "java.time", "java.util", "java.util.concurrent"),
    *("java.util.concurrent.atomic", "java.util.concurrent.locks"),
)
JAVA = ["java", *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED)]


class FlinkCluster:
    """Started by `with`; ends with it.

    Args:
        libraries: folder of Flink's jars.
        beam: folder of the job server's jars. Flink loads them itself, as if they lay
            in its `lib`: workers are kept for a job's next stage only then.
        folder: for configuration and logs.
        memory: MiB of each part of the TaskManager's memory.
        slots: of the TaskManager.
        settings: of Flink, in place of those below.
    """

    def __init__(
        self,
        libraries: Path,
        beam: Path,
        folder: Path,
        memory: dict[str, int] = TASK_MANAGER,
        slots: int = SLOTS,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.slots = slots
        self._memory = memory
        self.port = free_port()
        self._class_path = f"{libraries}/*:{beam}/*"
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
            "taskmanager.numberOfTaskSlots": str(slots),
            "parallelism.default": str(slots),
            "io.tmp.dirs": str(folder),
            "taskmanager.runtime.large-record-handler": "true",
            "classloader.resolve-order": "parent-first",
            # TFDV's pipeline has dozens of exchanges at once, each of 512 by default.
            "taskmanager.network.sort-shuffle.min-buffers": "16",
            # A lost worker is noticed soon, and what it was at is run again.
            "heartbeat.interval": "1000",
            "heartbeat.timeout": "5000",
            # A lost TaskManager counts once, however many tasks it ran: `fixed-delay`
            # counts every task.
            "restart-strategy.type": "exponential-delay",
            "restart-strategy.exponential-delay.initial-backoff": "1 s",
            "restart-strategy.exponential-delay.attempts-before-reset-backoff": "5",
        } | dict(settings)

    def __enter__(self):
        (self._folder / "config.yaml").write_text(
            "".join(f"{name}: {value}\n" for name, value in self._settings.items())
        )
        with self._processes:
            limits = (["-Xmx700m"], {"jobmanager.memory.process.size": "1g"})
            process, log = self._start("jobmanager", "jobmanager.log", *limits)
            wait_until(lambda: self.ask("overview") is not None, process, log)
            self.start_task_manager()
            self._processes = self._processes.pop_all()
        return self

    def __exit__(self, *error):
        self._processes.close()

    def _start(self, role, log_name, java_flags, settings):
        log = self._folder / log_name
        command = [*JAVA, *java_flags, "-cp", self._class_path]
        command += [
            f"org.apache.flink.runtime.{ENTRY_POINTS[role]}",
            "--configDir",
            str(self._folder),
        ]
        for name, value in settings.items():
            command += ["-D", f"{name}={value}"]
        return self._processes.enter_context(running(command, log)), log

    def start_task_manager(self):
        """Starts a TaskManager and waits until the JobManager knows it."""
        self._task_managers += 1
        known = self._known()
        log_name = f"taskmanager-{self._task_managers}.log"
        process, log = self._start("taskmanager", log_name, *self._limits())
        self._task_manager = process
        wait_until(lambda: self._known() - known, process, log)

    def _limits(self):
        """Flags for Java and settings of Flink that say the same."""
        sizes = self._memory
        heap = sizes["framework.heap.size"] + sizes["task.heap.size"]
        direct = sizes["framework.off-heap.size"] + sizes["task.off-heap.size"]
        flags = [
            f"-Xmx{heap}m",
            f"-XX:MaxDirectMemorySize={direct + sizes['network.max']}m",
            f"-XX:MaxMetaspaceSize={sizes['jvm-metaspace.size']}m",
        ]
        settings = {
            f"taskmanager.memory.{name}": f"{size}m" for name, size in sizes.items()
        }
        return flags, settings | {"taskmanager.cpu.cores": f"{self.slots}.0"}

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
        """Every job, as Flink's REST interface describes it."""
        return (self.ask("jobs/overview") or {"jobs": []})["jobs"]

    def is_within_a_job(self):
        """Whether a job has finished a quarter of its tasks and runs others."""
        tasks = [job["tasks"] for job in self.jobs() if job["state"] == "RUNNING"]
        return any(4 * t["finished"] > t["total"] and t["running"] for t in tasks)

    def failures(self, job_id):
        """The failures of a job, whether or not it was restarted then."""
        return self.ask(f"jobs/{job_id}/exceptions")["exceptionHistory"]["entries"]


@contextlib.contextmanager
def flink_job_server(jars: Path, cluster: FlinkCluster, folder: Path):
    """Flags for Beam's job server, which gives pipelines to a cluster.

    Args:
        jars: folder of the job server's jars.
        cluster: gets the pipelines, and the jars with each.
        folder: for staged files and the log.
    """
    port, log = free_port(), folder / "job_server.log"
    command = [*JAVA, "-Xmx1g", "-cp", f"{jars}/*", JOB_SERVER_CLASS]
    command += ["--job-host=localhost", f"--job-port={port}"]
    command += ["--artifact-port=0", "--expansion-port=0"]
    command += [f"--artifacts-dir={folder / 'staging'}"]
    command += [f"--flink-master=localhost:{cluster.port}"]
    with running(command, log) as process:
        wait_until(lambda: listens(port), process, log)
        yield [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{port}",
            f"--parallelism={cluster.slots}",
            # Between stages; see `FlinkCluster`.
            f"--environment_cache_millis={KEPT_WORKERS_MS}",
        ]
