"""Jobs without TFDV, whose import and stages take long."""

from beam_jobs import options
from beam_jobs.finish import Finisher
from beam_jobs.pipeline import Wiring


def leave_statistics_out(patch):
    """Patches the job by a `pytest.MonkeyPatch`."""
    patch.setattr(Wiring, "_write_statistics", lambda wiring, examples: None)
    patch.setattr(Finisher, "_validate", lambda finisher, info: None)
    # Rounds that find nothing cost time; logs that need more take a second pipeline.
    patch.setattr(options, "CORE_ROUNDS", 2)
