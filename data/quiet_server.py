"""Imported by the fork server first: where it ends for want of memory or processes, the program tells that in its one line."""

from __future__ import annotations

import os
import sys

_SERVER, _usual = os.getpid(), sys.excepthook


def _quiet(kind, error, trace) -> None:
    if os.getpid() != _SERVER or not issubclass(kind, (OSError, MemoryError)):
        _usual(kind, error, trace)


if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    sys.excepthook = _quiet
