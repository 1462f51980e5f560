"""Name -> model; a new model is one line here."""

from __future__ import annotations

from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.models.bert4rec import BERT4Rec
from s4rec_tf.models.bpr import BPR
from s4rec_tf.models.bsarec import BSARec
from s4rec_tf.models.caser import Caser
from s4rec_tf.models.cl4srec import CL4SRec
from s4rec_tf.models.coserec import CoSeRec
from s4rec_tf.models.dssrec import DSSRec
from s4rec_tf.models.fpmc import FPMC
from s4rec_tf.models.grec import GREC
from s4rec_tf.models.gru4rec import GRU4Rec
from s4rec_tf.models.hgn import HGN
from s4rec_tf.models.iclrec import ICLRec
from s4rec_tf.models.ncf import NCF
from s4rec_tf.models.popularity import Popularity
from s4rec_tf.models.s3rec import S3Rec
from s4rec_tf.models.s4rec import S4Rec
from s4rec_tf.models.sasrec import SASRec
from s4rec_tf.models.ssi import SSI

MODELS: dict[str, type[SequenceRecommender]] = {
    "bert4rec": BERT4Rec,
    "bpr": BPR,
    "bsarec": BSARec,
    "caser": Caser,
    "cl4srec": CL4SRec,
    "coserec": CoSeRec,
    "dssrec": DSSRec,
    "fpmc": FPMC,
    "grec": GREC,
    "gru4rec": GRU4Rec,
    "hgn": HGN,
    "iclrec": ICLRec,
    "ncf": NCF,
    "popularity": Popularity,
    "s3rec": S3Rec,
    "s4rec": S4Rec,
    "sasrec": SASRec,
    "ssi": SSI,
}


def model_class(name: str) -> type[SequenceRecommender]:
    """Finds the class of a model.

    Args:
        name: of the model, such as s4rec.

    Returns:
        the class; `of_sizes` makes a model.

    Raises:
        ValueError: naming the models there are.
    """
    if name not in MODELS:
        raise ValueError(
            f"`model` must be one of {', '.join(sorted(MODELS))}. Received: {name!r}"
        )
    return MODELS[name]
