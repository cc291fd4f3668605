"""What tests cost: a plugin of pytest that ends with the CPU seconds of each file, in the tests' own processes and in children.

    python -m pytest -p tests.builders.cpu_seconds -n 2 --dist loadfile --no-loadscope-reorder tests
"""

from __future__ import annotations

import os
import resource
from collections import defaultdict
from multiprocessing import forkserver
from pathlib import Path

import pytest

#: Seconds by file, [of this process, of children that have ended]; of all workers in the process that reports.
SPENT: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
#: Seconds that files must have taken together to be named.
LEAST = 1.0


def _now() -> list[float]:
    found = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own, children = (usage.ru_utime + usage.ru_stime for usage in found)
    return [own, children + _of_fork_server()]


def _of_fork_server() -> float:
    """Of the process that Dask workers are forked from, which lives on, with those of the workers that have ended."""
    pid = getattr(forkserver._forkserver, "_forkserver_pid", None)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _add(name: str, seconds) -> None:
    SPENT[name] = [old + new for old, new in zip(SPENT[name], seconds, strict=True)]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """A test with its fixtures."""
    before = _now()
    try:
        return (yield)
    finally:
        _add(item.nodeid.partition("::")[0], [now - then for now, then in zip(_now(), before, strict=True)])


def pytest_sessionfinish(session):
    """A worker of xdist tells what it spent; what is in no file (imports, collection) is a row of its own."""
    known = [sum(column) for column in zip(*SPENT.values(), strict=True)] or [0.0, 0.0]
    if not getattr(session.config.option, "numprocesses", None):
        _add("start and collection", [now - part for now, part in zip(_now(), known, strict=True)])
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["cpu_seconds"] = dict(SPENT)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """What a worker spent."""
    for name, seconds in getattr(node, "workeroutput", {}).get("cpu_seconds", {}).items():
        _add(name, seconds)


def pytest_terminal_summary(terminalreporter):
    """The table, the dearest file first."""
    terminalreporter.section("CPU seconds: own, children")
    for name, (own, children) in sorted(SPENT.items(), key=lambda row: -sum(row[1])):
        if own + children >= LEAST:
            terminalreporter.line(f"{own:8.1f} {children:8.1f}  {name}")
    own, children = (sum(column) for column in zip(*SPENT.values(), strict=True)) if SPENT else (0.0, 0.0)
    terminalreporter.line(f"{own:8.1f} {children:8.1f}  all")
