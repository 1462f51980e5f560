"""Distribution of a global batch over devices and workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

T = TypeVar("T")

NAMES = ("none", "mirrored", "multiworker")


def make_strategy(name: str) -> tf.distribute.Strategy:
    """The strategy of a name.

    `none`: one device. `mirrored`: all GPUs of this machine, or its logical CPUs where
    it has none. `multiworker`: the workers that `TF_CONFIG` lists; a run folder must
    lie where all of them can read it.

    Raises:
        ValueError: for another name.
    """
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        devices = tf.config.list_logical_devices(kind)
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multiworker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    raise ValueError(
        f"`strategy` must be one of {', '.join(NAMES)}. Received: {name!r}"
    )


def devices_of(strategy: tf.distribute.Strategy) -> str:
    """The devices of a strategy in words: how many, and what they are."""
    details = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    kinds = ", ".join(sorted(set(details))) or "CPU"
    return f"{strategy.num_replicas_in_sync} x {kinds}"


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return bool(resolver.task_type == "chief" or _is_first_worker(resolver))


def _is_first_worker(resolver: Any) -> bool:
    jobs = resolver.cluster_spec().jobs
    return "chief" not in jobs and (resolver.task_type, resolver.task_id) == (
        "worker",
        0,
    )


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together, each with as many replicas."""
    if strategy.cluster_resolver is None:
        return 1
    return strategy.num_replicas_in_sync // len(strategy.extended.worker_devices)


def chief_first(strategy: tf.distribute.Strategy, action: Callable[[], T]) -> T:
    """Does something in the chief, then in all other workers; all must call it."""
    wait, leads = adder(strategy), is_chief(strategy)
    if not leads:
        wait(0.0)
    done = action()
    if leads:
        wait(0.0)
    return done


def adder(strategy: tf.distribute.Strategy) -> Callable[[float], float]:
    """A function that adds up a number of every worker; all must call it.

    Returns:
        number -> the sum, the same on every worker.
    """
    if num_workers(strategy) == 1:
        return lambda number: number
    own_replicas = len(strategy.extended.worker_devices)

    def add(number: float) -> float:
        share = tf.constant(number / own_replicas, tf.float64)
        parts = strategy.experimental_distribute_values_from_function(lambda _: share)
        return float(strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None))

    return add
