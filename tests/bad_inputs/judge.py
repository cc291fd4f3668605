"""Run a command on one bad input in a process of its own, and judge how it took it."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.bad_inputs import good

#: Seconds after which a command hangs: the right calls take a few.
PATIENCE = 300.0
#: Bytes of address space that a command may take beyond what it shares with the process it is forked from.
MEMORY = 6 * 2**30
PROGRESS = re.compile(r"^\S.*: \d+/\d+ \w+s(, .*)?$")
CLASSES = ("ok", "silent", "hang", "traceback", "lines")


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code (None: it had to be killed), and what it said."""

    code: int | None
    out: str
    err: str
    seconds: float

    def kind(self, told: str | None) -> str:
        """One of :data:`CLASSES`.

        Parameters
        ----------
        told : str, optional
            None: exit 0 is wrong. Else a pattern that must be told with exit 0; an empty one where nothing needs to be.
        """
        if self.code is None:
            return "hang"
        text = self.out + self.err
        if "Traceback (most recent" in text or self.code not in (0, 2, 130):
            return "traceback"
        if self.code == 0:
            return "ok" if told is not None and re.search(told, text, re.I) else "silent"
        lines = [line for line in self.err.splitlines() if line and not PROGRESS.match(line)]
        return "ok" if len(lines) == 1 and not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", self.err) else "lines"


def run_forked(command: good.Command, arguments: list[str], place: Path) -> Outcome:
    """Run a command in a fork of this process."""
    started = time.monotonic()
    out, err = place / "stdout.txt", place / "stderr.txt"
    pid = os.fork()
    if pid == 0:
        _child(command, arguments, place, out, err)
    code = None
    while time.monotonic() - started < PATIENCE:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(0.01)
    else:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    texts = (path.read_text(errors="replace") if path.exists() else "" for path in (out, err))
    return Outcome(code, *texts, time.monotonic() - started)


def _child(command, arguments, place, out, err) -> None:
    """Never returns."""
    code = 99
    try:
        for number, path in ((1, out), (2, err)):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
        import sys

        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.environ["XDG_CACHE_HOME"] = str(place / "cache")
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if command.name == "lagrangian.run":
            sys.modules["lagrangian.maps"].draw_catchment = lambda *_: None  # its seconds tell nothing of the input
        if os.environ.get("BAD_INPUTS_DUMP"):
            import faulthandler

            faulthandler.dump_traceback_later(25, exit=True)
        if command.name == "data.download":
            good.stand_in_for_the_toolbox()
        code = command.call(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code if isinstance(code, int) else 98)


def judge(case, inputs: Path, place: Path) -> Outcome:
    """Copy the inputs of a case, make the one thing wrong, run the command."""
    place.mkdir(parents=True)
    for name in case.command.inputs:
        source = inputs / name
        if source.is_dir():
            shutil.copytree(source, place / name)
        else:
            shutil.copy(source, place / name)
    try:
        arguments = case.prepare(place, good.filled(case.command, place))
        return run_forked(case.command, arguments, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def judge_all(cases, inputs: Path, scratch: Path, processes: int = 2, show=lambda *_: None):
    """(case, outcome, class) of each case, in their order."""
    with ThreadPoolExecutor(processes) as pool:
        futures = [pool.submit(judge, case, inputs, scratch / f"{number:04d}") for number, case in enumerate(cases)]
        for case, future in zip(cases, futures, strict=True):
            outcome = future.result()
            kind = outcome.kind(case.told)
            show(case, outcome, kind)
            yield case, outcome, kind
