"""The subcommands of `s4rec`, each the short name of a module's command."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        module: what `python -m` takes for the same command.
        extra: the extra of the distribution that brings what it needs; "" for none.
        summary: what it does.
    """

    module: str
    extra: str
    summary: str


COMMANDS: dict[str, Command] = {
    "fetch": Command("beam_jobs.fetch", "beam", "fetch a public log by its name"),
    "synthesize": Command(
        "pipelines.synthetic_log", "train", "make a synthetic log to try things on"
    ),
    "prepare": Command(
        "beam_jobs.prepare_dataset", "beam", "make a dataset of raw logs"
    ),
    "show": Command("beam_jobs.show", "beam", "print a dataset in raw ids"),
    "drift": Command("beam_jobs.drift", "beam", "compare two datasets"),
    "train": Command("s4rec_tf.train", "train", "train a model on a dataset"),
    "train-arrays": Command(
        "s4rec_tf.train_arrays", "train-arrays", "train on JAX, without TensorFlow"
    ),
    "evaluate": Command(
        "s4rec_tf.evaluate", "train", "measure a run on held-back items"
    ),
    "analyze": Command("s4rec_tf.analyze", "train", "look into a run's embeddings"),
    "export": Command("s4rec_tf.export", "train", "write a version that servers load"),
    "serve": Command("serving.server", "serve", "answer requests over gRPC and REST"),
    "ask": Command("serving.client", "serve", "ask a server for recommendations"),
    "score": Command(
        "pipelines.score_users", "beam", "answer for all users, into files"
    ),
    "compare": Command("pipelines.compare", "train", "train many models, in one table"),
    "tune": Command("pipelines.tune", "train,tune", "search a model's settings"),
    "run-day": Command(
        *("pipelines.run_day", "beam,train,serve"),
        "take new logs through all stages into service, or go back",
    ),
    "erase": Command(
        *("pipelines.erasure", "beam"),
        "remove what holds some users, and search the bytes for more",
    ),
    "demo": Command("pipelines.demo", "beam,train,serve", "run all stages in a row"),
}
"""Every subcommand by its name, in the order of the flow."""
