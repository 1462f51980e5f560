"""Base class of all models: weighted and logged losses, ranking, item popularity."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from s4rec_tf import backend
from s4rec_tf.data.batch_spec import BatchSpec

Tensor = Any
Batch = dict[str, Tensor]

MAIN_STAGE = "main"
"""The stage of training after which a model recommends; most have no other."""


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Settings of every model.

    Attributes:
        max_length: L, how many of a user's last items the model sees.
    """

    max_length: int = 50

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ValueError(
                f"`max_length` must be at least 1. Received: {self.max_length}"
            )


class SequenceRecommender(keras.Model):
    """Scores every item for a user, by a dot product unless `is_dot_product` is False.

    A model implements `user_vectors` and `item_vectors`, and, to be trained by
    gradient, `call` (a batch -> whatever its losses need), `loss_terms` and
    `loss_weights`. Its `batch_spec` lists the contents of a batch beyond the items:

    * `item_ids` int32 [B, L], left-padded;
    * `target_ids` int32 [B, T], the items after the last T positions;
    * `user_index` int32 [B], equal for rows of one user;
    * `is_head` bool [B];
    * `view_1` .. int32 [B, L], augmented sequences;
    * `future_ids` int32 [B, L], what follows the input, the next item last;
    * `negative_ids` int32 [B, n], or [B, T] where they are drawn by position;
    * `users`: in some training steps B rows of the same kind with T = 1, a user each;
      in others nothing, or rows without an item.

    Args:
        settings: the model's settings.
        num_items: V, size of the vocabulary.
    """

    Settings: ClassVar[type[ModelSettings]] = ModelSettings
    defaults: ClassVar[dict[str, Any]] = {}
    """Settings of data and training whose default is another for this model."""
    has_user_embeddings: ClassVar[bool] = False
    """Whether it has embeddings of the training users; see `models/users.py`."""
    cold_start_policy: ClassVar[str] = ""
    """How users without an embedding are served, in words, for the model card."""
    is_dot_product: ClassVar[bool] = True
    """Whether a score is a dot product of vectors; else `pair_scores` computes it."""

    @classmethod
    def of_sizes(
        cls, settings: ModelSettings, num_items: int, num_users: int
    ) -> SequenceRecommender:
        """A new model.

        Args:
            settings: the model's settings.
            num_items: V.
            num_users: users in the train split.
        """
        return cls(settings, num_items)

    def __init__(
        self, settings: ModelSettings | dict[str, Any], num_items: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(settings, dict):
            settings = self.Settings(**settings)
        self.settings: Any = settings
        self.num_items = num_items
        self.item_counts = self.add_weight(
            shape=(num_items,), initializer="zeros", trainable=False, name="item_counts"
        )
        # Constructors create every weight: Keras need not trace the model to build it.
        self.built = True
        self._term_trackers: dict[str, keras.metrics.Mean] = {}
        for stage in (*self.pretraining_stages(), MAIN_STAGE):
            self.stage = stage
            for name in self._term_names():
                if name not in self._term_trackers:
                    self._term_trackers[name] = keras.metrics.Mean(name=name)

    @property
    def max_length(self) -> int:
        """L, how many of a user's last items the model sees."""
        return int(self.settings.max_length)

    def pretraining_stages(self) -> dict[str, int]:
        """Epochs of every stage of training before the last, in their order, by name.

        They are not validated. Each stage has an optimizer of its own; all stages train
        the same weights, those that no term of a stage uses staying as they are.
        """
        return {}

    def begin_stage(self, stage: str) -> None:
        """Begins a stage; `loss_terms` and `batch_spec` may differ by `stage`.

        Also called where a training resumes in mid-stage, so it must change no weight.
        """
        self.stage = stage

    def batch_spec(self) -> BatchSpec:
        """Contents of a training batch."""
        return BatchSpec(self.max_length)

    def prepare(self, item_counts: np.ndarray) -> None:
        """Stores statistics of the training data; called before training.

        Args:
            item_counts: number of training actions on each item, [V].
        """
        self.item_counts.assign(item_counts.astype(np.float32))

    def register_users(self, user_ids: np.ndarray) -> None:
        """Stores the raw ids of the train split's users; called before training.

        Args:
            user_ids: bytes [N]; `user_index` n of a batch is row n.
        """
        return

    def index_of_users(self, user_ids: np.ndarray) -> np.ndarray | None:
        """`user_index` of raw ids, int32 [N], -1 if unknown; None without users."""
        return None

    def copy_user_embeddings(self, before: SequenceRecommender) -> list[Any]:
        """Copies the user embeddings of an earlier model of the same class.

        Returns:
            the weights that are final hereby.
        """
        return []

    def begin_epoch(
        self, embed_users: Callable[[], np.ndarray], generator: np.random.Generator
    ) -> None:
        """Called before every epoch, for what is refreshed once an epoch.

        What it does must depend on the weights and the arguments alone, or a run could
        not be resumed.

        Args:
            embed_users: gives `sequence_embeddings` of all training users, one row a
                user, of the whole training sequence, float32 [N, d].
            generator: seeded by the run's seed and the epoch.
        """
        return

    def use_sparse_gradients(self, sparse_gradients: bool) -> None:
        """Sets whether gradients of tables are sparse; see `backend.gather_rows`."""
        for layer in self.layers:
            if hasattr(layer, "sparse_gradients"):
                layer.sparse_gradients = sparse_gradients

    def user_vectors(self, item_ids: Tensor) -> Tensor:
        """User vectors of histories: int32 [B, L], left-padded -> [B, d]."""
        raise NotImplementedError

    def item_vectors(self) -> Tensor:
        """Item vectors [V, d]; row i is item i + 1."""
        raise NotImplementedError

    def pair_scores(self, user_vectors: Tensor, item_vectors: Tensor) -> Tensor:
        """Scores of users and items; for models whose `is_dot_product` is False.

        Their ranking, evaluation and export go through this alone.

        Args:
            user_vectors: [N, 1, d].
            item_vectors: [1, n, e], for all users, or [N, n, e].

        Returns:
            [N, n].
        """
        raise NotImplementedError

    @property
    def embeds_with_user_vectors(self) -> bool:
        """Whether `sequence_embeddings` are the user vectors."""
        return True

    def sequence_embeddings(self, item_ids: Tensor) -> Tensor:
        """Sequence embeddings z for clusters and probe: int32 [B, L] -> [B, d]."""
        return self.user_vectors(item_ids)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Keras' metrics: of the terms, those of this stage alone."""
        others = set(self._term_trackers) - set(self._term_names())
        return [metric for metric in super().metrics if metric.name not in others]

    @property
    def term_means(self) -> dict[str, keras.metrics.Mean]:
        """The mean of every term since the epoch began, of all stages, by name."""
        return dict(self._term_trackers)

    def _term_names(self) -> list[str]:
        """Names of the logged metrics: every term, and every term times its weight."""
        suffixes = ("", "_weighted")
        return [
            f"{name}{suffix}" for name in self.loss_weights() for suffix in suffixes
        ]

    def loss_weights(self) -> dict[str, float]:
        """Weight of each term of the loss; empty if nothing is trained by gradient."""
        return {}

    def loss_terms(self, batch: Batch, encoded: Any) -> dict[str, Tensor]:
        """Every term of the loss, unweighted: scalars, means over the local batch."""
        return {}

    def scheduled_weights(self) -> dict[str, Tensor]:
        """The weights at this training step, where they follow a schedule."""
        return self.loss_weights()

    def present_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Terms that not every training step has: 1 where this step does, else 0."""
        return {}

    def clusters(self, embeddings: np.ndarray) -> np.ndarray | None:
        """Index of each embedding's cluster, int [N]; None if the model has none."""
        return None

    def diagnostics(
        self, embeddings: np.ndarray, is_head: np.ndarray
    ) -> dict[str, float]:
        """Scalars to be logged once an epoch, from one row a user.

        Args:
            embeddings: `sequence_embeddings` of the validation users, [N, d].
            is_head: bool [N], True for the longest 20 %.
        """
        return {}

    def compute_loss(
        self,
        x: Batch | None = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Weighs and logs the terms; Keras' hook for losses of any form.

        Raises:
            ValueError: if the terms are not those that have a weight.
        """
        encoded = keras.tree.map_structure(_in_full_precision, y_pred)
        terms, weights = self.loss_terms(x or {}, encoded), self.scheduled_weights()
        present = self.present_terms(x or {})
        if set(terms) != set(weights):
            raise ValueError(
                "`loss_terms` and `loss_weights` must have the same names. "
                f"Received: {sorted(terms)} and {sorted(weights)}"
            )
        total = 0.0
        for name, value in terms.items():
            value, is_present = _in_full_precision(value), present.get(name)
            weighted = weights[name] * value
            if is_present is not None:
                weighted = is_present * weighted
            self._term_trackers[name].update_state(value, is_present)
            self._term_trackers[f"{name}_weighted"].update_state(weighted)
            total = total + weighted
        # Gradients are summed over replicas, and Keras scales only its own losses.
        return total / backend.num_replicas()

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        # Under a strategy Keras would average a batch over the replicas, booleans too,
        # and so use it up, to build what the constructor has built.
        return

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "name": self.name,
            "settings": dataclasses.asdict(self.settings),
            "num_items": self.num_items,
        }


def _in_full_precision(value: Tensor) -> Tensor:
    """Casts a low-precision tensor to float32, in which losses are computed."""
    if not keras.ops.is_tensor(value):
        return value
    name = keras.backend.standardize_dtype(value.dtype)
    return ops.cast(value, "float32") if name in ("bfloat16", "float16") else value


def last_state(states: Tensor) -> Tensor:
    """Eq. 2: the state at the last real position, where left padding puts it last."""
    return states[:, -1]


def mean_state(states: Tensor, is_real: Tensor) -> Tensor:
    """Mean of the states at real positions; [B, L, d] and bool [B, L] -> [B, d]."""
    weight = ops.cast(is_real, states.dtype)[..., None]
    return ops.sum(states * weight, axis=1) / ops.maximum(ops.sum(weight, axis=1), 1)
