"""A tiny log, and what a day of it is run with."""

from pipelines.synthetic_days import DaysSettings, write_days

TINY = DaysSettings(days=1, history_days=8, users_a_day=20, items=48, intents=4)
PARAMETERS = {
    "name": "shop",
    "prepare": "--format csv --columns user=user,item=item,time=time --k_core 3",
    "train": "--model popularity",
    "export": "--max_k 20",
    "flags": "--min_users 5 --keep 2",
}


def write(folder):
    """The parameters of a day on the first log, below a folder."""
    log = write_days(folder / "logs", TINY)[0]
    return {**PARAMETERS, "base": str(folder / "base"), "logs": str(log)}
