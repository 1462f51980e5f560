"""Defaults that the command line and the transforms share; free of Beam."""

CORE_ROUNDS = 5
"""Rounds of the k-core in one pipeline; most logs need fewer."""

MAX_ACTIONS_PER_USER = 10_000
"""Newest actions of a user that count."""

MAX_BAD_SHARE = 0.001
"""Greatest share of bad lines in logs that are not refused."""
