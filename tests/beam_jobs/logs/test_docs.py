"""The flags of docs/log_formats.md are flags of the command."""

import re
import shlex
from pathlib import Path

import pytest

from beam_jobs.options import parse_args

PAGE = (Path(__file__).parents[3] / "docs" / "log_formats.md").read_text()
FLAGS = re.findall(r"\| `(--format .*?)` \|", PAGE)


@pytest.mark.parametrize("flags", FLAGS)
def test_flags_of_published_logs(flags):
    options = parse_args(["--input", "x", "--output", "y", *shlex.split(flags)])
    assert options.format_options.columns
    assert options.beam_flags == ()


def test_the_page_lists_logs():
    assert len(FLAGS) > 10
