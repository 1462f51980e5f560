"""Writes one version: SavedModel, warm-up, golden answers, card, digests."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from s4rec_tf import operations, spec
from s4rec_tf.data import records
from s4rec_tf.export import calibration, module, protocol, publish, samples
from s4rec_tf.export import card as model_card
from s4rec_tf.export.popularity import all_counts, training_users
from s4rec_tf.export.signatures import Signatures
from s4rec_tf.retrieval import kinds
from s4rec_tf.retrieval.kinds import DEFAULT, IndexKind
from s4rec_tf.version import __version__

DEFAULT_MAX_K = 100
CARD_FILE = "model_card.md"


def write_version(
    model: protocol.Recommender,
    dataset: spec.DatasetDir,
    export_dir: Path,
    *,
    max_k: int = DEFAULT_MAX_K,
    popularity: np.ndarray,
    card: dict[str, Any],
    without_validation: protocol.Recommender | None = None,
    index: IndexKind = DEFAULT,
    version: int | None = None,
    titles: Mapping[str, str] | None = None,
) -> Path:
    """Exports the model as a new version.

    Args:
        model: the trained model.
        dataset: the dataset whose vocabulary the model was trained on.
        export_dir: BASE/NAME; the last part is the model's name.
        max_k: items in an answer; cut to the number of items.
        popularity: int [V], actions per item in the training data.
        card: further facts for the model card, by heading.
        without_validation: the same model before it was trained on validation items,
            for the scores' calibration; `model` itself by default.
        index: how items are searched and stored.
        version: its number; None for the next.
        titles: of items, by raw id, for pages that people read.

    Returns:
        BASE/NAME/N.

    Raises:
        ExportError: if model and dataset do not fit, the vocabulary cannot be served,
            an answer is not finite or the number is taken; nothing is left behind.
        RetrievalError: if the index cannot be built.
    """
    vocabulary = dataset.vocabulary()
    _check_vocabulary(vocabulary, int(model.item_vectors().shape[0]))
    user_ids = training_users(dataset) if model.has_user_embeddings else None
    is_offered = all_counts(dataset) > 0
    shared = (dataset.item_vocab, popularity, max_k, is_offered, user_ids)
    servable = module.ServableRecommender(model, *shared, index)
    _check_tables(servable, vocabulary)
    unseeing = servable
    if without_validation is not None:
        unseeing = module.ServableRecommender(without_validation, *shared)
    valid = records.read_split(dataset, "valid")
    calibrated = calibration.calibrate(unseeing, valid)
    servable.calibration.assign(calibrated.line)
    deciles = calibrated.deciles
    if unseeing is not servable:
        deciles = calibration.calibrate(servable, valid).deciles
    name = export_dir.resolve().name
    requests = samples.sample_requests(
        vocabulary,
        servable.max_length,
        servable.max_k,
        user_ids,
        model.has_intents,
    )
    with publish.new_version(export_dir, version) as staging:
        signatures = Signatures(servable).traced()
        tf.saved_model.save(servable, str(staging.model), signatures=signatures)
        _check_operations(staging.model)
        samples.write_warmup(staging.model, name, requests)
        if titles:
            _write_titles(staging.model / spec.SERVED_TITLES, vocabulary, titles)
        samples.write_golden(
            staging.model, staging.meta / samples.GOLDEN_FILE, requests
        )
        text = model_card.render(
            name=name,
            version=staging.number,
            dataset=dataset.info(),
            fingerprint=dataset.fingerprint(),
            length=servable.max_length,
            max_k=servable.max_k,
            width=int(
                signatures[protocol.SERVING_DEFAULT]
                .structured_outputs["user_embedding"]
                .shape[1]
            ),
            cold_start_policy=model.cold_start_policy
            if model.has_user_embeddings
            else None,
            has_intents=model.has_intents,
            card={
                **card,
                "Index": dataclasses.asdict(index),
                "Best scores of validation users, by tenths": {
                    f"{10 * n} % are below": bound
                    for n, bound in enumerate(deciles, start=1)
                },
            },
        )
        (staging.meta / CARD_FILE).write_text(text, "utf-8")
        _write_manifest(staging, name, dataset, index, deciles)
    return staging.version_dir


def _check_vocabulary(vocabulary: list[str], num_items: int) -> None:
    if len(vocabulary) != num_items:
        raise protocol.ExportError(
            f"the vocabulary must have the model's {num_items} items. "
            f"Received: {len(vocabulary)}"
        )
    seen = {""}  # Histories are padded with it.
    for number, item in enumerate(vocabulary, start=1):
        if item in seen:
            raise protocol.ExportError(
                f"line {number} of the vocabulary must be neither empty nor there "
                f"before. Received: {item!r}"
            )
        seen.add(item)


def _check_operations(model: Path) -> None:
    """Nothing that loading or answering runs may be outside the list."""
    found = operations.reachable_operations(model) - operations.EXPORTED
    if found:
        raise protocol.ExportError(
            "an export may hold the operations of `s4rec_tf.operations.EXPORTED` "
            f"alone. Received: {sorted(found)}. Add what computes and does no more"
        )


def _check_tables(servable: module.ServableRecommender, vocabulary: list[str]) -> None:
    """Every raw id must come back from the tables as itself.

    They read the file by TensorFlow's rules, which drop a carriage return before the
    end of a line.
    """
    item_ids = servable.to_ids(tf.constant(vocabulary)).numpy()
    items = servable.to_items(tf.range(1, len(vocabulary) + 1)).numpy()
    for number, item in enumerate(vocabulary, start=1):
        if item_ids[number - 1] != number or items[number - 1] != item.encode():
            raise protocol.ExportError(
                f"line {number} of the vocabulary cannot be served. Received: {item!r}"
            )


def _write_titles(path: Path, vocabulary: list[str], titles: Mapping[str, str]) -> None:
    lines = [" ".join(titles.get(item, "").split()) + "\n" for item in vocabulary]
    path.write_text("".join(lines), "utf-8")


def _write_manifest(
    staging: publish.Staging,
    name: str,
    dataset: spec.DatasetDir,
    index: IndexKind,
    deciles: list[float],
) -> None:
    manifest = {
        "format_version": protocol.FORMAT_VERSION,
        "model": name,
        "version": staging.number,
        "code_version": __version__,
        "dataset_fingerprint": dataset.fingerprint(),
        "index": dataclasses.asdict(index),
        "padding": protocol.PADDING,
        "best_score_deciles": deciles,
        "k_core": dataset.info().k_core,
        "custom_ops": [name for name in kinds.CUSTOM_OPS if name == index.name],
        "files": _digests(staging.model),
        "meta_files": _digests(staging.meta),
    }
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    (staging.meta / spec.MANIFEST_NAME).write_text(text, "utf-8")


def _digests(root: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": spec.sha256_of_file(path),
        }
        for path in files
    }
