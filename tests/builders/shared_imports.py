"""Several short scripts in processes of their own that share their imports: forks of one process that has done these."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

#: Runs a first script in a process without threads, then each of the others in a fork of that process, one after the other.
SERVER = """
import json, os, sys, traceback
first, scripts, folder = json.loads(sys.stdin.read())
exec(compile(first, "<first>", "exec"), {"__name__": "__first__"})
codes = []
for number, script in enumerate(scripts):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for stream, ending in ((1, "out"), (2, "err")):
                os.dup2(os.open(os.path.join(folder, f"{number}.{ending}"), os.O_WRONLY | os.O_CREAT), stream)
            try:
                exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(json.dumps(codes))
"""


def in_forks(first: str, scripts: Sequence[str], **options) -> list[subprocess.CompletedProcess]:
    """Exit code, output and errors of each script; a script finds what ``first`` has imported.

    Parameters
    ----------
    first : str
        Imports. They must begin no threads.
    scripts : sequence of str
        A script changes nothing for the others.
    **options
        Of subprocess.run: cwd, env.
    """
    with tempfile.TemporaryDirectory() as folder:
        given = json.dumps([first, list(scripts), folder])
        server = subprocess.run([sys.executable, "-c", SERVER], input=given, capture_output=True, text=True, **options)
        assert server.returncode == 0, server.stderr
        ends = [[Path(folder, f"{number}.{ending}").read_text() for ending in ("out", "err")] for number in range(len(scripts))]
    codes = json.loads(server.stdout.splitlines()[-1])
    return [subprocess.CompletedProcess(script, code, *end) for script, code, end in zip(scripts, codes, ends, strict=True)]
