"""Queues of experiments: YAML files, checked whole before anything starts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DATASETS = ("beauty", "sports", "toys", "ml1m")
MAIN = "main"
"""The variant of an experiment that is no ablation and no robustness run."""
NO_CONFIG = "defaults"
"""The ledger's name of `config: null`: the defaults of the code."""

QUEUE_FOLDER = Path(__file__).parent / "queues"
_KEYS = ("dataset", "model", "config", "settings", "variant", "seeds")
_VARIANT = re.compile(r"[A-Za-z0-9_.=+-]+")


class QueueError(ValueError):
    """An invalid queue: which entry, key and rule, and the value received."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a queue.

    Attributes:
        dataset: one of `DATASETS`.
        model: name in the registry of models.
        config: name of the configuration, the same for all seeds.
        config_text: what the configuration's file said when the queue was read; None
            for no configuration.
        settings: settings that override the configuration, JSON-safe.
        variant: `main`, or the name of an ablation or robustness run.
        seed: of the training.
        resolved: all settings with their values, as `ExperimentConfig.flat` has them.
    """

    dataset: str
    model: str
    config: str
    config_text: str | None
    settings: Mapping[str, Any]
    variant: str
    seed: int
    resolved: Mapping[str, Any]

    def __str__(self) -> str:
        shown = [self.dataset, self.model, self.config, self.variant]
        shown += [f"{key}={value}" for key, value in sorted(self.settings.items())]
        return " ".join([*shown, f"seed {self.seed}"])

    @property
    def overrides(self) -> list[str]:
        """The arguments of `--set`: the settings and the seed."""
        return _overrides({**self.settings, "seed": self.seed})


def read_queue(path: Path) -> list[Run]:
    """The runs of a queue, in its order, seeds innermost; imports keras.

    Args:
        path: as `read_entries` takes it.

    Raises:
        QueueError: if the file, an entry or a configuration is not right.
    """
    return [
        resolve_run(entry, seed, f"{path}, entry {number}")
        for number, entry in enumerate(read_entries(path), start=1)
        for seed in entry["seeds"]
    ]


def read_entries(path: Path) -> list[dict[str, Any]]:
    """The entries of a queue with every key, their configurations not looked at.

    Args:
        path: a list of entries with the keys `dataset`, `model` and `seeds`, and
            optionally `config` (a shipped configuration's name or a file), `settings`
            and `variant`.

    Raises:
        QueueError: if the file or an entry is not right.
    """
    import yaml

    from s4rec_tf import yaml_text

    try:
        entries = yaml_text.load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise QueueError(f"{path} is no YAML file that can be read: {reason}") from None
    if not isinstance(entries, list) or not entries:
        raise QueueError(f"{path} must hold a list of runs. Received: {entries!r}")
    return [
        _checked(entry, f"{path}, entry {number}")
        for number, entry in enumerate(entries, start=1)
    ]


def config_name(source: str | None) -> str:
    """The ledger's name of a configuration that is given by name or file."""
    return NO_CONFIG if source is None else Path(source).stem


def _checked(entry: Any, place: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise QueueError(f"{place} must hold keys and values. Received: {entry!r}")
    for key in entry:
        if key not in _KEYS:
            known = ", ".join(_KEYS)
            raise QueueError(f"{place}: a key must be one of {known}. Received: {key}")
    values = {"config": None, "settings": {}, "variant": MAIN, **entry}
    for key, rule, holds in _RULES:
        if not holds(values.get(key)):
            received = repr(values[key]) if key in values else "nothing"
            raise QueueError(f"{place}: `{key}` must be {rule}. Received: {received}")
    return values


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_seeds(value: Any) -> bool:
    is_list = isinstance(value, list) and bool(value) and all(map(_is_seed, value))
    return is_list and len(set(value)) == len(value)


def _are_settings(value: Any) -> bool:
    if not isinstance(value, dict) or {"seed", "model"} & set(value):
        return False
    kinds = (str, int, float, list)
    return all(_is_text(k) and isinstance(v, kinds) for k, v in value.items())


_RULES = (
    ("dataset", f"one of {', '.join(DATASETS)}", lambda value: value in DATASETS),
    ("model", "the name of a model", _is_text),
    (
        "config",
        "a shipped configuration's name, a file, or null",
        lambda value: value is None or _is_text(value),
    ),
    ("settings", "settings with their values, `seed` not among them", _are_settings),
    (
        "variant",
        "a name of letters, digits and _.=+-",
        lambda value: _is_text(value) and _VARIANT.fullmatch(value),
    ),
    ("seeds", "a list of different whole numbers", _are_seeds),
)


def resolve_run(values: Mapping[str, Any], seed: int, place: str) -> Run:
    """One run with all its settings; imports keras.

    Args:
        values: an entry with every key, its dataset not looked at.
        seed: of the training.
        place: what an error names.

    Raises:
        QueueError: if the model or its configuration is not right.
    """
    from s4rec_tf.runs import config as configuration

    source, settings = values["config"], values["settings"]
    overrides = _overrides({**settings, "seed": seed})
    if source is not None and _is_taken(source):
        raise QueueError(
            f"{place}: `config` must be a shipped configuration's name, or a file with "
            f"a name of its own. Received: {source!r}"
        )
    try:
        flat = configuration.resolve(values["model"], source, overrides).flat()
        text = None if source is None else _config_file(source).read_text("utf-8")
    except configuration.ConfigError as error:
        raise QueueError(f"{place}: {error}") from None
    return Run(
        dataset=values["dataset"],
        model=values["model"],
        config=config_name(source),
        config_text=text,
        # The resolved value, not the spelling: 1 and 1.0 are the same weight. An old
        # name stays, since the ledger knows the run by it.
        settings={
            key: flat[configuration.RENAMED.get(key, key)]
            for key in settings
            if key not in configuration.REMOVED
        },
        variant=values["variant"],
        seed=seed,
        resolved=flat,
    )


def _config_file(source: str) -> Path:
    """A shipped configuration's file, or the file that was named."""
    from s4rec_tf.runs.config import CONFIG_FOLDER

    shipped = CONFIG_FOLDER / f"{source}.yaml"
    return shipped if shipped.is_file() else Path(source)


def _is_taken(source: str) -> bool:
    """Whether a file's name is already what the ledger calls something else."""
    name = config_name(source)
    return name == NO_CONFIG or (source != name and _config_file(name) != Path(name))


def _overrides(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_as_text(value)}" for key, value in settings.items()]


def _as_text(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(str, value))
    return str(value)
