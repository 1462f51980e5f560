"""Name -> model; a new model is one line here."""

from __future__ import annotations

from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.models.bpr import BPR
from s4rec_tf.models.caser import Caser
from s4rec_tf.models.fpmc import FPMC
from s4rec_tf.models.gru4rec import GRU4Rec
from s4rec_tf.models.hgn import HGN
from s4rec_tf.models.ncf import NCF
from s4rec_tf.models.popularity import Popularity
from s4rec_tf.models.s4rec import S4Rec
from s4rec_tf.models.sasrec import SASRec

MODELS: dict[str, type[SequenceRecommender]] = {
    "bpr": BPR,
    "caser": Caser,
    "fpmc": FPMC,
    "gru4rec": GRU4Rec,
    "hgn": HGN,
    "ncf": NCF,
    "popularity": Popularity,
    "s4rec": S4Rec,
    "sasrec": SASRec,
}


def model_class(name: str) -> type[SequenceRecommender]:
    """The class of a model.

    Raises:
        ValueError: naming the models there are.
    """
    if name not in MODELS:
        raise ValueError(
            f"`model` must be one of {', '.join(sorted(MODELS))}. Received: {name!r}"
        )
    return MODELS[name]
