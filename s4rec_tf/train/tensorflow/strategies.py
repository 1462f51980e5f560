"""How a global batch is spread over devices and workers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s4rec_tf.models.base import SequenceRecommender

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


class WorkerLoop:
    """Trains epochs over several workers, where Keras' `fit` cannot.

    Args:
        strategy: over which the model was built.
        model: compiled.
        batches: global batches.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: SequenceRecommender,
        batches: tf.data.Dataset,
    ) -> None:
        self.strategy, self.model = strategy, model
        self.iterator = iter(strategy.experimental_distribute_dataset(batches))
        self._step = tf.function(self._distributed_step)

    def train_epoch(self, steps: int) -> dict[str, float]:
        """Trains some steps and returns the mean of every term of the loss."""
        self.model.reset_metrics()
        for _ in range(steps):
            self._step(self.iterator)
        results = self.model.get_metrics_result()
        # Keras' own tracker of the total is fed by `fit` alone.
        return {name: float(v) for name, v in results.items() if name != "loss"}

    def from_chief(self, value: float, is_chief: bool) -> float:
        """Gives every worker the chief's value, so that all decide alike."""
        own = tf.constant(value if is_chief else 0.0, tf.float64)
        share = own / self.strategy.num_replicas_in_sync * self._num_workers()

        def send() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, share)

        received = self.strategy.run(tf.function(send))
        return float(self.strategy.experimental_local_results(received)[0])

    def _num_workers(self) -> int:
        local = len(self.strategy.extended.worker_devices)
        return int(self.strategy.num_replicas_in_sync // local)

    def _distributed_step(self, iterator: Any) -> None:
        self.strategy.run(self._replica_step, args=(next(iterator),))

    def _replica_step(self, batch: dict[str, tf.Tensor]) -> None:
        with tf.GradientTape() as tape:
            encoded = self.model(batch, training=True)
            loss = self.model.compute_loss(batch, y_pred=encoded)
        variables = self.model.trainable_weights
        self.model.optimizer.apply(tape.gradient(loss, variables), variables)
