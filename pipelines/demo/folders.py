"""The paths inside the demo's output folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

SERVED = "s4rec"
"""The model that is exported and asked."""


@dataclasses.dataclass(frozen=True)
class Folders:
    """The paths inside an output folder."""

    root: Path

    @property
    def synthetic_log(self) -> Path:
        """The log that is made when none is given."""
        return self.root / "logs" / "reviews_synthetic.json.gz"

    @property
    def synthetic_truth(self) -> Path:
        """Its planted intents, item<TAB>intent."""
        return self.root / "logs" / "reviews_synthetic.json.gz.intents.tsv"

    @property
    def dataset(self) -> Path:
        """The dataset folder."""
        return self.root / "dataset"

    def run(self, model: str) -> Path:
        """The run folder of a model."""
        return self.root / "runs" / model

    def test_ranks(self, model: str) -> Path:
        """Rank of every user's test target, as `s4rec_tf.evaluate` writes them."""
        return self.run(model) / "evaluation" / "test_ranks.npz"

    def trained(self, model: str) -> tuple[Path, ...]:
        """Files of a run that change when it is trained anew."""
        run = self.run(model)
        return (run / "MANIFEST.json", run / "checkpoints" / "best.npz")

    @property
    def export(self) -> Path:
        """The served model's folder of versions, BASE/NAME."""
        return self.root / "export" / SERVED

    @property
    def server_log(self) -> Path:
        """The server's output."""
        return self.root / "server.log"

    def planted_intents(self) -> dict[str, str]:
        """Intent of every item of the synthetic log."""
        lines = self.synthetic_truth.read_text("utf-8").splitlines()
        return dict(line.split("\t") for line in lines)

    def described(self) -> str:
        """The paths, a line each, and the command that serves the model again."""
        serve = (
            f"python -m serving.server --model_name {SERVED} "
            f"--model_base_path {self.export} --port 8500 --rest_api_port 8501"
        )
        return "\n".join(
            (
                f"dataset     {self.dataset}",
                f"statistics  {self.dataset / 'statistics'}",
                f"runs        {self.root / 'runs'} (tensorboard --logdir there)",
                f"export      {self.export}",
                f"server log  {self.server_log}",
                f"serve it    {serve}",
            )
        )
