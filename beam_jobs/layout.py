"""Names of the folders in a dataset folder, beside those of the splits."""

ACTIONS = "actions"
"""All distinct valid actions, for later increments."""

BAD_RECORDS = "bad_records"
"""Lines of the logs that are no actions, with the reason."""

STATISTICS = "statistics"
"""TFDV's statistics, the history of datasets, and a page of both."""
