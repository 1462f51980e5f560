"""The demo's stages: which command each one runs, on which folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.demo.chain import Chain, Stage, StageError
from pipelines.demo.folders import SERVED, Folders
from pipelines.demo.tables import last_json_object
from pipelines.local_server import MODULE, LocalServer

MODELS = {"popularity": "popularity", "sasrec": "SASRec", "s4rec": "S4Rec"}
"""Names of the models that are trained, and what the table calls them."""


class DemoCommands:
    """Runs the stages in a chain.

    Args:
        chain: runs the commands.
        folders: what is read and written.
        settings: "key=value" each, for every training.
    """

    def __init__(self, chain: Chain, folders: Folders, settings: Sequence[str]) -> None:
        self._chain = chain
        self._folders = folders
        self._settings = [word for pair in settings for word in ("--set", pair)]

    def make_log(self, settings: Mapping[str, float]) -> None:
        """Writes the synthetic log."""
        flags = [str(w) for name in settings for w in (f"--{name}", settings[name])]
        log = self._folders.synthetic_log
        self._chain.run(
            Stage(
                "make a synthetic review log",
                "pipelines.synthetic_log",
                ("--output", str(log), *flags),
                writes=(log, self._folders.synthetic_truth),
            )
        )

    def prepare(
        self, logs: Sequence[Path], log_format: str, columns: str | None
    ) -> None:
        """Raw logs to the dataset folder: Beam, TFDV, TFRecords."""
        dataset = self._folders.dataset
        inputs = ("--input", *map(str, logs), "--format", log_format)
        if columns:
            inputs += ("--columns", columns)
        self._chain.run(
            Stage(
                "Beam and TFDV: raw logs to TFRecords",
                "beam_jobs.prepare_dataset",
                (*inputs, "--output", str(dataset)),
                reads=tuple(logs),
                writes=(dataset / "MANIFEST.json",),
            )
        )

    def train(self) -> None:
        """Trains every model; an interrupted run resumes, a finished one stays."""
        for model, label in MODELS.items():
            flags = ("--model", model, *self._settings, "--strategy=mirrored")
            self._chain.run(
                Stage(
                    f"train {label} under MirroredStrategy",
                    "s4rec_tf.train",
                    (*self._data_and_run(model), *flags),
                    reads=(self._folders.dataset / "MANIFEST.json",),
                    writes=self._folders.trained(model),
                )
            )

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Metrics on the test split, by the model's label."""
        rows = {}
        for model, label in MODELS.items():
            output = self._chain.run(
                Stage(
                    f"evaluate {label}",
                    "s4rec_tf.evaluate",
                    self._data_and_run(model),
                    reads=self._folders.trained(model),
                    writes=(self._folders.run(model) / "evaluation" / "test.json",),
                    keep_output=True,
                )
            )
            rows[label] = last_json_object(output)
        return rows

    def export(self) -> None:
        """The served model as a SavedModel."""
        folders = self._folders
        self._chain.run(
            Stage(
                f"export {MODELS[SERVED]} as a SavedModel",
                "s4rec_tf.export",
                (*self._data_and_run(SERVED), "--export_dir", str(folders.export)),
                reads=folders.trained(SERVED),
                writes=(folders.export,),
            )
        )

    def sample_user(self) -> tuple[str, list[str]]:
        """The first user, by id, with a history worth showing: id and raw items.

        Raises:
            StageError: if the dataset has no user.
        """
        output = self._chain.run(
            Stage(
                "pick a sample user",
                "beam_jobs.show",
                (str(self._folders.dataset),),
                keep_output=True,
                quiet=True,
            )
        )
        users = [line.split("\t") for line in output.splitlines()]
        if not users:
            raise StageError(f"{self._folders.dataset} holds no user")
        histories = ((user, items.split(" ")) for user, items in users)
        worth_showing = (pair for pair in histories if 6 <= len(pair[1]) <= 20)
        user, items = users[0]
        return next(worth_showing, (user, items.split(" ")))

    def query(self, history: Sequence[str], k: int) -> list[tuple[str, float]]:
        """Starts the server, asks it over gRPC, and stops it.

        Returns:
            Recommended items with their scores, best first.
        """
        folders = self._folders
        server = LocalServer(SERVED, folders.export, folders.server_log)
        self._chain.begin(Stage("start the server", MODULE, server.arguments))
        with server:
            print(f"    ready at {server.grpc_target}", flush=True)
            output = self._chain.run(
                Stage(
                    "ask for recommendations over gRPC",
                    "serving.client",
                    (
                        *("--target", server.grpc_target, "--model_name", SERVED),
                        *("--history", ",".join(history), "--k", str(k)),
                    ),
                    keep_output=True,
                )
            )
        rows = (line.rsplit("\t", 1) for line in output.splitlines())
        return [(item, float(score)) for item, score in rows]

    def _data_and_run(self, model: str) -> tuple[str, ...]:
        folders = self._folders
        run = str(folders.run(model))
        return ("--dataset", str(folders.dataset), "--run_dir", run)
