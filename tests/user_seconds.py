"""Processor time of the tests: the ten that took most, and the total.

User seconds of a process and of its children that have ended, so that neighbours on the
machine change them little. A server that a fixture owns counts when it is stopped.
"""

import os

import pytest

from tests import forked

SHOWN = 10
_LAST = pytest.StashKey[float]()
_TOTALS = []
"""User seconds of every process of the run, as reported to the one that prints."""


def user_seconds():
    times = os.times()
    return times.user + times.children_user + forked.user_seconds()


def pytest_collection_finish(session):
    session.config.stash[_LAST] = user_seconds()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    now = user_seconds()
    report.user_seconds = now - item.config.stash[_LAST]
    item.config.stash[_LAST] = now
    return report


def pytest_sessionfinish(session):
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["user_seconds"] = user_seconds()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    _TOTALS.append(getattr(node, "workeroutput", {}).get("user_seconds", 0.0))


def pytest_terminal_summary(terminalreporter):
    by_test = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if seconds := getattr(report, "user_seconds", None):
                by_test[report.nodeid] = by_test.get(report.nodeid, 0.0) + seconds
    slowest = sorted(by_test.items(), key=lambda pair: -pair[1])[:SHOWN]
    terminalreporter.section(f"{len(slowest)} tests with most user seconds")
    for nodeid, seconds in slowest:
        terminalreporter.write_line(f"{seconds:8.1f}  {nodeid}")
    total = sum(_TOTALS) + os.times().user if _TOTALS else user_seconds()
    terminalreporter.write_line(f"{total:8.1f}  user seconds in all")
