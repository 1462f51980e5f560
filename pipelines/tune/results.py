"""Results of a search: the winner as a configuration, a table, a page of figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from pipelines.tune.study import begun_trials, folder_of
from s4rec_tf.atomic_files import write_bytes
from s4rec_tf.report_page.blocks import Block, Figure, Heading, Table
from s4rec_tf.report_page.page import as_html, as_markdown

WINNER = "best.yaml"


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The trial of the highest value among those that trained to their end."""
    has_one = bool(study.get_trials(states=(TrialState.COMPLETE,)))
    return study.best_trial if has_one else None


def write_results(
    study: optuna.Study, root: Path, settings: Mapping[str, Any], title: str
) -> None:
    """Writes `best.yaml`, `trials.md` and `report.html` beside the trials' folders.

    Args:
        study: with any number of trials.
        root: folder of the search.
        settings: the configuration that a trial's settings override, flat.
        title: of table and page.
    """
    best = best_trial(study)
    if best is not None:
        text = yaml.safe_dump({**settings, **best.params}, sort_keys=False)
        line = f"# {title}: {folder_of(best)}, validation NDCG@20 {best.value:.4f}\n"
        write_bytes(root / WINNER, (line + text).encode())
    table = _table(begun_trials(study))
    markdown = as_markdown(title, [table])
    write_bytes(root / "trials.md", markdown.encode())
    page = as_html(title, [*_figures(study), table])
    write_bytes(root / "report.html", page.encode())


def _table(trials: Sequence[FrozenTrial]) -> Table:
    """A row a trial, the best first, unfinished ones last."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    ordered = sorted(trials, key=lambda t: (t.state.value, -(_reached(t) or 0)))
    rows = [
        [
            folder_of(trial),
            trial.state.name.lower(),
            _number(_reached(trial)),
            str(max(trial.intermediate_values, default=0)),
            *(_number(trial.params.get(key)) for key in keys),
        ]
        for trial in ordered
    ]
    return Table(["trial", "state", "NDCG@20", "epochs", *keys], rows)


def _reached(trial: FrozenTrial) -> float | None:
    return max(trial.intermediate_values.values(), default=None)


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(study: optuna.Study) -> list[Block]:
    """Optuna's figures of what there is; importance needs values that differ."""
    from optuna import visualization

    complete = study.get_trials(states=(TrialState.COMPLETE,))
    plots = {"Validation by epoch": visualization.plot_intermediate_values}
    if complete:
        plots["History"] = visualization.plot_optimization_history
    if len({trial.value for trial in complete}) > 1:
        plots["Importance"] = visualization.plot_param_importances
    blocks: list[Block] = []
    for heading, plot in reversed(plots.items()):
        drawn = json.loads(plot(study).to_json())
        del drawn["layout"]["template"]  # the page has colours of its own
        blocks += [Heading(2, heading), Figure(heading, drawn)]
    return blocks
