"""What `make mutants` changes, and the tests that should notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

TESTS = {
    "s4rec_tf/losses/*.py": (
        "tests/s4rec_tf/losses",
        "tests/s4rec_tf/layers/test_segments.py",
        "tests/s4rec_tf/models/test_cloze_models.py",
        "tests/s4rec_tf/models/test_dssrec.py",
        "tests/s4rec_tf/models/test_ssi.py",
        "tests/s4rec_tf/models/test_contrast_models.py",
        "tests/s4rec_tf/models/test_s4rec_options.py",
    ),
    "s4rec_tf/ranking/*.py": ("tests/s4rec_tf/ranking", "tests/s4rec_tf/evaluate"),
    "s4rec_tf/layers/sinkhorn.py": (
        "tests/s4rec_tf/layers/test_sinkhorn.py",
        "tests/s4rec_tf/losses",
    ),
    "s4rec_tf/layers/masks.py": (
        "tests/s4rec_tf/layers/test_encoder.py",
        "tests/s4rec_tf/losses",
        "tests/s4rec_tf/models/test_cloze_models.py",
    ),
    "s4rec_tf/models/s4rec.py": (
        "tests/s4rec_tf/losses/test_against_reference.py",
        "tests/s4rec_tf/models/test_s4rec_options.py",
        "tests/s4rec_tf/models/test_view_targets.py",
        "tests/s4rec_tf/layers/test_gradient_reversal.py",
    ),
    "beam_jobs/transforms/k_core.py": (
        "tests/beam_jobs/transforms/test_k_core.py",
        "tests/beam_jobs/test_beam_job.py",
    ),
    "beam_jobs/splits.py": (
        "tests/beam_jobs/transforms/test_group_by_user.py",
        "tests/beam_jobs/test_beam_splits.py",
    ),
    "beam_jobs/transforms/read_actions.py": (
        "tests/beam_jobs/test_beam_action_records.py",
        "tests/beam_jobs/test_beam_increments.py",
    ),
    "beam_jobs/dataset/previous.py": ("tests/beam_jobs/test_beam_increments.py",),
}
"""From a pattern of modules to their tests, the quickest first."""


class Target(NamedTuple):
    """A module that is changed.

    Attributes:
        path: its file, below the repository's root.
        tests: files and folders of tests.
    """

    path: Path
    tests: tuple[str, ...]

    @property
    def module(self) -> str:
        """Its name for `import`."""
        return ".".join(self.path.with_suffix("").parts)


def targets(patterns: list[str]) -> Iterator[Target]:
    """All modules, or those whose path holds one of some texts."""
    for pattern, tests in TESTS.items():
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT)
            is_meant = not patterns or any(text in str(name) for text in patterns)
            if path.name != "__init__.py" and is_meant:
                yield Target(name, tests)
