"""Experiment configurations: flat keys, typed, checked before anything is loaded.

A configuration names a model and sets keys of that model's settings, of `DataSettings`
and of `TrainSettings`; no key belongs to two of them.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import typing
from pathlib import Path
from typing import Any, Literal

from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.registry import MODELS, model_class
from s4rec_tf.runs.settings import DataSettings, TrainSettings

CONFIG_FOLDER = Path(__file__).parent.parent / "configs"


RENAMED = {"hidden_share": "mask_prob"}
"""Old names of settings, which configurations and run folders may still hold."""

REMOVED = ("encoder_rows",)
"""Settings that there were; they changed no result but dropout's draws."""

_logger = logging.getLogger(__name__)


class ConfigError(ValueError):
    """A key or a value that a configuration cannot have."""


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """A model's name and all its settings, resolved.

    Attributes:
        model: name in the registry.
        model_settings: of the model's own class.
        data: samples and views.
        train: optimisation.
    """

    model: str
    model_settings: ModelSettings
    data: DataSettings
    train: TrainSettings

    def flat(self) -> dict[str, Any]:
        """All keys with their values, JSON-safe."""
        flat: dict[str, Any] = {"model": self.model}
        for group in (self.model_settings, self.data, self.train):
            flat.update(dataclasses.asdict(group))
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in flat.items()
        }


def resolve(
    model: str | None, config: str | None = None, overrides: list[str] | None = None
) -> ExperimentConfig:
    """Resolves a configuration: defaults, then the file, then `key=value`s.

    Args:
        model: name of the model; None takes the one that the file names.
        config: name of a shipped configuration, or a YAML or JSON file.
        overrides: "key=value" each.

    Returns:
        all settings, typed and checked.

    Raises:
        ConfigError: naming the key, the rule and what was received.
    """
    values = current_names(_read_file(config) if config else {})
    named = values.pop("model", None)
    if model and named and model != named:
        raise ConfigError(
            f"--model is {model!r}, but the configuration {config} is for {named!r}"
        )
    for override in overrides or []:
        key, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(f"--set takes key=value. Received: {override!r}")
        values |= current_names({key: text})
    if not (model or named):
        raise ConfigError(
            f"--model must name one of {', '.join(sorted(MODELS))}, or --config a "
            "configuration that does"
        )
    return from_flat({"model": model or named, **values})


def current_names(values: dict[str, Any]) -> dict[str, Any]:
    """Settings by their present names; logs a line for each old one."""
    named = {}
    for key, value in values.items():
        if key in REMOVED:
            _logger.warning("the setting %r is no more, and is ignored", key)
        elif key in RENAMED:
            _logger.warning("the setting %r is now %r", key, RENAMED[key])
            named[RENAMED[key]] = value
        else:
            named[key] = value
    return named


def from_flat(values: dict[str, Any]) -> ExperimentConfig:
    """Builds a configuration from flat keys; absent ones take their defaults.

    Raises:
        ConfigError: naming the key, the rule and what was received.
    """
    values = current_names(values)
    name = values.pop("model")
    try:
        model = model_class(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    settings_class, values = model.Settings, {**model.defaults, **values}
    groups = (settings_class, DataSettings, TrainSettings)
    known = {field.name: group for group in groups for field in _fields(group)}
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(
                f"{key!r} is no setting of {name}.{hint} "
                f"The settings are: {', '.join(sorted(known))}"
            )
    built = [_build(group, values) for group in groups]
    return ExperimentConfig(name, *built)


def _fields(group: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(group)


def _build(group: type[Any], values: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(group)
    chosen = {
        field.name: _parse(field.name, values[field.name], hints[field.name])
        for field in _fields(group)
        if field.name in values
    }
    try:
        return group(**chosen)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _parse(key: str, value: Any, kind: Any) -> Any:
    """Turns a value from a file or a command line into what the setting holds."""
    if typing.get_origin(kind) is Literal:
        if value not in typing.get_args(kind):
            choices = ", ".join(typing.get_args(kind))
            raise ConfigError(f"`{key}` must be one of {choices}. Received: {value!r}")
        return value
    if typing.get_origin(kind) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(str(part).strip() for part in parts)
    if kind is bool:
        booleans = {"true": True, "false": False, "1": True, "0": False}
        if str(value).lower() not in booleans:
            raise ConfigError(f"`{key}` must be true or false. Received: {value!r}")
        return booleans[str(value).lower()]
    try:
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise ValueError
        parsed = kind(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"`{key}` must be of type {kind.__name__}. Received: {value!r}"
        ) from error
    if kind is float and not abs(parsed) < float("inf"):
        raise ConfigError(f"`{key}` must be finite. Received: {value!r}")
    return parsed


def _read_file(config: str) -> dict[str, Any]:
    import yaml

    from s4rec_tf import yaml_text

    shipped = CONFIG_FOLDER / f"{config}.yaml"
    path = shipped if shipped.is_file() else Path(config)
    if not path.is_file():
        names = sorted(entry.stem for entry in CONFIG_FOLDER.glob("*.yaml"))
        raise ConfigError(
            f"--config must be a file or one of {', '.join(names)}. "
            f"Received: {config!r}"
        )
    try:
        values = yaml_text.load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is not YAML or JSON: {reason}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys and values. Received: {values!r}")
    return values
