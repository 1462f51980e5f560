"""The modules that `make mutants` changes, and the tests that should notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_LOSSES = "tests/s4rec_tf/losses"
_MODELS = "tests/s4rec_tf/models"


TESTS: dict[str, tuple[str, ...]] = {
    **{
        f"s4rec_tf/losses/{name}.py": (f"{_LOSSES}/test_against_reference.py", *tests)
        for name, tests in {
            "adversarial": (f"{_MODELS}/test_s4rec_options.py",),
            "chunked_softmax": (),
            "clustering": (f"{_MODELS}/test_s4rec_options.py",),
            "contrastive": (
                f"{_LOSSES}/test_info_nce.py",
                f"{_MODELS}/test_contrast_models.py",
            ),
            "distillation": (f"{_MODELS}/test_s4rec_options.py",),
            "imitation": (f"{_MODELS}/test_ssi.py",),
            "next_item": (f"{_MODELS}/test_cosine_scores.py", f"{_MODELS}/test_hgn.py"),
            "pairwise": (f"{_LOSSES}/test_pairwise.py",),
            "sequence_to_sequence": (f"{_LOSSES}/test_sequence_to_sequence.py",),
            "session_negatives": (f"{_MODELS}/test_gru4rec.py",),
        }.items()
    },
    "s4rec_tf/ranking/*.py": (
        "tests/s4rec_tf/ranking",
        "tests/s4rec_tf/ranking/jax_widths.py",
        f"{_MODELS}/test_ncf.py",
        "tests/s4rec_tf/evaluate",
    ),
    "s4rec_tf/layers/sinkhorn.py": (
        "tests/s4rec_tf/layers/test_sinkhorn.py",
        f"{_LOSSES}/test_against_reference.py",
    ),
    "s4rec_tf/layers/masks.py": (
        f"{_LOSSES}/test_against_reference.py",
        "tests/s4rec_tf/layers/test_encoder.py",
        f"{_MODELS}/test_cloze_models.py",
    ),
    "s4rec_tf/models/s4rec.py": (
        f"{_LOSSES}/test_against_reference.py",
        f"{_MODELS}/test_s4rec_options.py",
        f"{_MODELS}/test_view_targets.py",
        f"{_MODELS}/test_kmeans_clustering.py",
    ),
    "s4rec_tf/models/teaching.py": (f"{_MODELS}/test_s4rec_options.py",),
    "beam_jobs/transforms/k_core.py": ("tests/beam_jobs/transforms/test_k_core.py",),
    "beam_jobs/splits.py": ("tests/beam_jobs/test_splits.py",),
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
