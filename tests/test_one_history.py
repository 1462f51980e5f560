"""The walk of docs/one_history.md: its names exist, its values are what comes out."""

import re
from pathlib import Path

import pytest

from beam_jobs.logs.json_parsers import ReviewParser
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.sequences import to_action_line
from beam_jobs.splits import leave_last_two_out

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "one_history.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`((?:s4rec_tf|beam_jobs|serving)/[^`]+)`", TEXT)))
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_walk_passes_through_every_package():
    assert {entry.split("/")[0] for entry in NAMED} == {
        "beam_jobs",
        "s4rec_tf",
        "serving",
    }
    assert len(NAMED) > 30


@pytest.mark.parametrize("entry", NAMED)
def test_what_the_walk_names_exists(entry):
    path, name = entry.split(": ")
    code = (ROOT / path).read_text("utf-8")
    assert re.search(rf"^\s*(async def|def|class) {name}\b", code, flags=re.MULTILINE)


def test_the_values_are_what_the_functions_give():
    line, parsed, action, divided = EXAMPLE.splitlines()
    namespace = {}
    exec(line, namespace)
    parse = ReviewParser(LineFormat("amazon", "json"), with_rating=False)
    (interaction,) = parse(namespace["line"])
    shown = re.findall(r"(\w+)=('\w+'|\d+)", parsed)
    assert len(shown) == 3
    for field, value in shown:
        assert repr(getattr(interaction, field)) == value
    assert action.endswith(f"# {to_action_line(interaction)!r}")
    examples = {e.split: e for e in leave_last_two_out([1, 2, 4, 5])}
    assert divided.endswith(
        f"# train {examples['train'].item_ids}; "
        f"valid {examples['valid'].item_ids} -> {examples['valid'].target_id}; "
        f"test {examples['test'].item_ids} -> {examples['test'].target_id}"
    )
