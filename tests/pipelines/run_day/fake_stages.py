"""The commands of a day's steps as cheap stand-ins that leave the same folders.

What they write depends on what they read, so that a stale result shows.
"""

import hashlib
import json
from pathlib import Path

from s4rec_tf.spec import DatasetDir, sha256_of_file

STAGES = "beam_jobs.prepare_dataset beam_jobs.drift s4rec_tf.train s4rec_tf.evaluate"
STAGES += " pipelines.run_day.blessing s4rec_tf.export"
STAGES += " pipelines.run_day.infra_validation"


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class FakeStages:
    """Runs a module by its stand-in; `calls` lists the modules that were run.

    `fail` names a module that ends with exit code 1; `refusals` and `anomalies` are
    what blessing and drift find. `on_event` is called around and in a command's work.
    """

    def __init__(self):
        self.calls, self.lines = [], []
        self.fail, self.refusals, self.anomalies = None, [], []
        self.comparisons = []
        self.on_event = lambda: None

    def __call__(self, module, arguments, log):
        assert module in STAGES.split()
        self.calls.append(module.rpartition(".")[2])
        self.lines.append(arguments)
        self.on_event()
        log.write_text("")
        if module == self.fail:
            log.write_text("some lines\nthe reason\n")
            return 1
        getattr(self, f"_{self.calls[-1]}")(flags_of(arguments), log)
        self.on_event()
        return 0

    def _prepare_dataset(self, flags, log):
        root = Path(flags["output"])
        assert not root.exists(), "the data job refuses a finished dataset"
        logs = [sha256_of_file(Path(path)) for path in flags["input"].split()]
        before = flags.get("previous")
        made_from = [logs, before and DatasetDir(Path(before)).fingerprint()]
        root.mkdir(parents=True)
        self.on_event()
        write(root / "dataset.json", {"info": info_of(logs)})
        files = {"item_vocab.txt": {"sha256": digest(made_from)}}
        write(root / "MANIFEST.json", {"format_version": 1, "files": files})

    def _drift(self, flags, log):
        found = {"distances": [], "anomalies": self.anomalies}
        log.write_text(f"a warning\n{json.dumps(found)}\n")

    def _train(self, flags, log):
        run = Path(flags["run_dir"])
        dataset = DatasetDir(Path(flags["dataset"])).fingerprint()
        start = flags.get("warm_start")
        start = start and sha256_of_file(Path(start) / "checkpoints" / "best.npz")
        made_from = digest([dataset, start, flags.get("set"), flags.get("model")])
        if (run / "config.json").exists():
            assert json.loads((run / "config.json").read_text()) == made_from
        write(run / "config.json", made_from)
        self.on_event()
        write(run / "checkpoints" / "best.npz", made_from)
        write(run / "MANIFEST.json", {"seed": 1, "warm_start": start})

    def _evaluate(self, flags, log):
        output = Path(flags["output"])
        output.mkdir(parents=True)
        run = sha256_of_file(Path(flags["run_dir"]) / "checkpoints" / "best.npz")
        write(output / "test_ranks.npz", [run, flags["dataset"]])
        self.on_event()
        write(output / "test.json", {})

    def _blessing(self, flags, log):
        write(
            Path(flags["output"]),
            {"comparisons": self.comparisons, "refusals": self.refusals},
        )

    def _export(self, flags, log):
        root, number = Path(flags["export_dir"]), flags["version"]
        assert not root.exists()
        run = sha256_of_file(Path(flags["run_dir"]) / "checkpoints" / "best.npz")
        write(root / ".meta" / number / "MANIFEST.json", {"version": int(number)})
        self.on_event()
        write(root / number / "saved_model.pb", run)

    def _infra_validation(self, flags, log):
        write(Path(flags["output"]), {})


def info_of(logs):
    """Facts of a dataset that `DatasetInfo` takes."""
    numbers = {"num_users": 10 * len(logs), "num_items": 7, "num_actions": 50}
    heads = {"num_head_users": 2, "head_share": 0.2, "head_min_length": 5}
    return numbers | heads | {"k_core": 5, "split_examples": {}}


def flags_of(arguments):
    """The values of flags by name; several are joined by blanks."""
    found, name = {}, None
    for word in arguments:
        if word.startswith("--"):
            name = word[2:]
            found[name] = ""
        elif name:
            found[name] = f"{found[name]} {word}".strip()
    return found


def digest(value):
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
