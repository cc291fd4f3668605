"""Commands and scripts in processes of their own, each a fork of one that has imported what they need.

Nothing is run in the process that is forked, so that it has no threads and nothing is loaded that a first run would load.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
#: Libraries whose threads begin with their import do without.
ENVIRON = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Fork:
    """A process of :class:`Forks`, with what :class:`subprocess.Popen` has of these names."""

    def __init__(self, forks: Forks, pid: int, out: Path, err: Path):
        self.pid, self.returncode = pid, None
        self._forks, self._out, self._err = forks, out, err

    def poll(self) -> int | None:
        """The exit code; None as long as the process runs."""
        if self.returncode is None:
            self.returncode = self._forks.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float = 300.0) -> int:
        """Wait for the end; the exit code."""
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return code

    def communicate(self, timeout: float = 300.0) -> tuple[str, str]:
        """Wait for the end; what was said on standard output and standard error."""
        self.wait(timeout)
        return self._out.read_text(), self._err.read_text()

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """Starts a command in forks of a process; see :func:`forks`."""

    def __init__(self, server: subprocess.Popen, folder: Path):
        self._server, self._folder, self._n = server, folder, 0

    def ask(self, **request):
        """Hand a request to the process; its answer."""
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def start(self, arguments: list[str], out: Path | None = None, change: str = "") -> Fork:
        """The command, its ``--out`` added, in a process group of its own; ``change``: Python that is run before it, in its
        process alone."""
        self._n += 1
        texts = [self._folder / f"{self._n}.{end}" for end in ("out", "err")]
        argv = [*map(str, arguments), *(() if out is None else ("--out", str(out)))]
        return Fork(self, self.ask(argv=argv, texts=list(map(str, texts)), change=change), *texts)


@contextlib.contextmanager
def forks(imports: str, call: str, *, cwd: Path = ROOT, env: Mapping[str, str] = os.environ) -> Iterator[Forks]:
    """A process that has done ``imports`` (Python; they must begin no threads), and whose forks evaluate ``call`` to their exit
    code, with ``argv`` their arguments."""
    code = f"import runpy; runpy.run_path({__file__!r})['serve']({imports!r}, {call!r})"
    with tempfile.TemporaryDirectory() as folder:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, "-c", code], cwd=cwd, env={**env, **ENVIRON}, **pipes) as server:
            try:
                yield Forks(server, Path(folder))
            finally:
                server.stdin.close()


def in_forks(imports: str, scripts: Sequence[str], **options) -> list[subprocess.CompletedProcess]:
    """Exit code, output and errors of scripts, one after the other, which find what ``imports`` has imported.

    ``options``: cwd and env of :func:`forks`. A script changes nothing for the others.
    """
    done = []
    with forks(imports, "0", **options) as made:
        for script in scripts:
            fork = made.start([], change=script)
            output = fork.communicate()
            done.append(subprocess.CompletedProcess(script, fork.returncode, *output))
    return done


def serve(imports: str, call: str) -> None:
    """The process that is forked: answers requests until its standard input ends."""
    known: dict = {"__name__": "__main__"}
    exec(imports, known)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _child(request, call, known)
        print(json.dumps(answer), flush=True)


def _child(request: dict, call: str, known: dict) -> None:
    """Never returns."""
    code = 1
    try:
        os.setsid()
        for number, path in enumerate(("/dev/null", *request["texts"])):
            os.dup2(os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python begins, whoever ignored it before
        sys.argv = ["-c", *request["argv"]]
        exec(request["change"], known)
        code = eval(call, known | {"argv": request["argv"]})
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
