"""Measures RecBole's training of SASRec; runs in the peer's own environment.

RecBole makes its own prefixes from the same sequences, and its own trainer trains on
its own data loader, which is only cut short.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole import __version__ as recbole_version
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.sequential_recommender import SASRec
from recbole.trainer import Trainer

from benchmarks import child
from benchmarks.flags import peer_parser
from benchmarks.stopwatch import Stopwatch

_DATASET = "pairs"


class TimedLoader:
    """A data loader, epoch after epoch, until a stopwatch says that it is enough.

    What lies between two requests for a batch is one step and the making of one batch.
    """

    def __init__(self, loader: Any, stopwatch: Stopwatch) -> None:
        self.loader, self.stopwatch = loader, stopwatch
        self.shuffle, self.sampler = loader.shuffle, loader.sampler

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        while True:
            for batch in self.loader:
                # The last batch of an epoch is smaller; only full ones are timed.
                if len(batch) == self.loader.step:
                    yield batch
                    if self.stopwatch.step_ended():
                        return


class Peer:
    """RecBole's SASRec with what it trains on.

    Args:
        sequences: `.npz` with values and offsets of the training sequences.
        num_items: V.
        batch_size: pairs of a step.
        use_gpu: whether to train on the first GPU.
        folder: where RecBole may write.
    """

    def __init__(
        self,
        sequences: Path,
        num_items: int,
        batch_size: int,
        use_gpu: bool,
        folder: Path,
    ) -> None:
        write_atomic_files(sequences, num_items, folder / _DATASET)
        settings = _settings(batch_size, use_gpu, folder)
        self.config = Config(model="SASRec", dataset=_DATASET, config_dict=settings)
        dataset = create_dataset(self.config)
        self.train_data, _, _ = data_preparation(self.config, dataset)
        model = SASRec(self.config, self.train_data.dataset)
        self.trainer = Trainer(self.config, model)
        self.num_items = model.n_items - 1

    def facts(self) -> dict[str, Any]:
        """Versions, and what shows that the task is the same."""
        return {
            "peer": f"recbole {recbole_version}, torch {torch.__version__}",
            "device": str(self.config["device"]),
            "threads": torch.get_num_threads(),
            "num_items": self.num_items,
            "num_pairs": len(self.train_data.dataset),
            "parameters": sum(p.numel() for p in self.trainer.model.parameters()),
        }

    def measure(
        self, warm_up: float, seconds: float, max_steps: int
    ) -> dict[str, float]:
        """Trains for a while; pairs and seconds of the steps after the warm-up."""
        stopwatch = Stopwatch(warm_up, seconds, max_steps)
        self.trainer._train_epoch(TimedLoader(self.train_data, stopwatch), 0)
        return {
            "pairs": stopwatch.steps * self.train_data.step,
            "seconds": stopwatch.seconds,
        }


def write_atomic_files(sequences: Path, num_items: int, folder: Path) -> None:
    """Writes RecBole's format: one line an action, and one an item.

    RecBole holds out a user's last two actions, which these sequences no longer have:
    two more are added, so that it trains on all that there is.
    """
    folder.mkdir(parents=True)
    arrays = np.load(sequences)
    values, offsets = arrays["values"], arrays["offsets"]
    name = folder / folder.name
    with name.with_suffix(".inter").open("w") as stream:
        stream.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user in range(len(offsets) - 1):
            items = values[offsets[user] : offsets[user + 1]]
            held_out = items[-1:].repeat(2)
            for number, item in enumerate(np.concatenate([items, held_out])):
                stream.write(f"{user}\t{item}\t{number}\n")
    with name.with_suffix(".item").open("w") as stream:
        stream.write("item_id:token\n")
        stream.writelines(f"{item}\n" for item in range(1, num_items + 1))


def _settings(batch_size: int, use_gpu: bool, folder: Path) -> dict[str, Any]:
    """RecBole's settings: the same width, layers, length, loss and optimizer."""
    return {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "checkpoints"),
        "load_col": {
            "inter": ["user_id", "item_id", "timestamp"],
            "item": ["item_id"],
        },
        "eval_args": {
            "split": {"LS": "valid_and_test"},
            "order": "TO",
            "group_by": "user",
            "mode": "full",
        },
        "MAX_ITEM_LIST_LENGTH": 50,
        "hidden_size": 64,
        "inner_size": 256,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dropout_prob": 0.5,
        "attn_dropout_prob": 0.5,
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "train_batch_size": batch_size,
        "learner": "adam",
        "learning_rate": 1e-3,
        "use_gpu": use_gpu,
        "show_progress": False,
        "state": "WARNING",
    }


def main() -> None:
    """Serves the measurements."""
    args = peer_parser().parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if args.use_gpu:
        # As JAX does by default.
        torch.set_float32_matmul_precision("high")
    with tempfile.TemporaryDirectory() as folder:
        # RecBole logs into the folder it stands in.
        os.chdir(folder)

        def make_handlers() -> dict[str, child.Handler]:
            peer = Peer(
                args.sequences,
                args.num_items,
                args.batch_size,
                args.use_gpu,
                Path(folder),
            )
            return {"facts": peer.facts, "measure": peer.measure}

        child.serve(make_handlers)


if __name__ == "__main__":
    main()
