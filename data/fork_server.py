"""The process that local workers are forked from, so that it alone imports what each of them needs.

Imports are most of what a short-lived worker costs. Forking from a process whose threads work is not safe; this one imports
modules and does nothing else (``multiprocessing``'s fork server, Linux): its only other threads are those that pyarrow and polars
keep waiting beside their memory. Elsewhere workers start as new processes, which import for themselves.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import forkserver, resource_tracker, util

from data.fingerprint import PACKAGES

#: How ``multiprocessing`` starts a worker. macOS has fork servers, but libraries of its own that do not outlive a fork.
START_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
#: Variables that give the server the places where this program finds modules, and those alone; workers do not keep them.
PLACES = ("PYTHONPATH", "PYTHONSAFEPATH")
#: Module that keeps the end of a server that had no memory or processes left to itself.
QUIET = "data.quiet_server"


def start_method() -> str:
    """:data:`START_METHOD`, or "spawn" where ``sys.path`` has entries that are no text, which a fork server does not begin with.

    Python passes over such entries, as of :class:`pathlib.Path`, wherever it seeks modules.
    """
    return START_METHOD if all(isinstance(path, str) for path in sys.path) else "spawn"


def start_fork_server(environ: Mapping[str, object], modules: Sequence[str] = ()) -> None:
    """Start the server, unless this program has one or :func:`start_method` needs none.

    Parameters
    ----------
    environ : mapping
        Variables of the server and of its workers where this program's own environment has none of the name. Libraries read some
        of them once, as they are imported.
    modules : sequence of str
        Modules that the server imports beside those of this project that this program has imported.
    """
    if start_method() != "forkserver":
        return
    ours = [name for name in sys.modules if name.partition(".")[0] in PACKAGES and not name.endswith("__main__")]
    multiprocessing.get_context("forkserver").set_forkserver_preload([QUIET, "distributed", *ours, *modules])
    # the server seeks modules in its working folder first, where a folder of the user may be called data; a worker is told better
    places = dict(zip(PLACES, (os.pathsep.join(path or os.getcwd() for path in sys.path), "1"), strict=True))
    variables = {name: os.environ.get(name, str(value)) for name, value in environ.items()} | places
    with _environment(variables), without_interrupts():
        forkserver.ensure_running()
    _end_with_this_program()


def worker_environment() -> dict[str, str]:
    """Variables of a worker: those of this program now, whatever they were when its server began."""
    return dict.fromkeys(PLACES, "") | dict(os.environ)


@functools.cache
def _end_with_this_program() -> None:
    """Have this program wait for the server when it ends, after its workers: what they spent counts then as this program's."""
    stop = getattr(getattr(forkserver, "_forkserver", None), "_stop", None)
    if stop is not None:  # it is not of the public interface
        util.Finalize(None, stop, exitpriority=-1)


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from threads and processes that begin within; this thread answers a Ctrl-C afterwards.

    Ctrl-C reaches every process of a terminal, but is the command's to answer.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # else its start, within, would end the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
