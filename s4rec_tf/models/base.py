"""Base class of all models: what the trainer, ranking and the export ask of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from keras import ops

from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.models.weighted_terms import Tensor, WeightedTerms


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


class SequenceRecommender(WeightedTerms):
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
    """The service of users without an embedding, in words, for the model card."""
    is_dot_product: ClassVar[bool] = True
    """Whether a score is a dot product of vectors; else `pair_scores` computes it."""
    has_intents: ClassVar[bool] = False
    """Whether it assigns users to intents, by `intent_shares`."""

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
        self.start_terms()

    @property
    def max_length(self) -> int:
        """L, how many of a user's last items the model sees."""
        return int(self.settings.max_length)

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

    def intent_shares(self, item_ids: Tensor) -> Tensor:
        """Shares of K intents in histories: int32 [B, L], left-padded -> [B, K]."""
        raise NotImplementedError

    def intent_vectors(self) -> Tensor:
        """User vectors [K, d] of users of one intent alone."""
        raise NotImplementedError

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


def last_state(states: Tensor) -> Tensor:
    """Eq. 2: the state at the last real position, where left padding puts it last."""
    return states[:, -1]


def mean_state(states: Tensor, is_real: Tensor) -> Tensor:
    """Mean of the states at real positions; [B, L, d] and bool [B, L] -> [B, d]."""
    weight = ops.cast(is_real, states.dtype)[..., None]
    return ops.sum(states * weight, axis=1) / ops.maximum(ops.sum(weight, axis=1), 1)
