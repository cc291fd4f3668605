"""The process that local workers are forked from."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data.fingerprint import PACKAGES
from data.fork_server import START_METHOD
from data.workers import open_client

pytestmark = pytest.mark.skipif(START_METHOD != "forkserver", reason="workers are new processes on this system")

ROOT = Path(__file__).resolve().parents[2]
#: Threads that pyarrow and polars begin when they are imported, as the system shortens their names.
WAITING_THREADS = {"jemalloc_bg_thd", "polars-ooc-clea"}


def _look():
    """Of a worker: its parent, modules of this project, a variable, threads of its sums, whether Ctrl-C is kept from it."""
    ours = {name for name in sys.modules if name.partition(".")[0] in PACKAGES}
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return os.getppid(), ours, os.environ.get("OF_LATE"), os.environ["OMP_NUM_THREADS"], blocked


def test_workers_have_one_parent_that_imported_what_this_program_has(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    here = {name for name in sys.modules if name.partition(".")[0] in PACKAGES and not name.endswith("__main__")}
    servers = set()
    for value in ("first", "second"):  # a variable that has another value when the server is there already
        monkeypatch.setenv("OF_LATE", value)
        with open_client(2) as client:
            found = client.run(_look)
        assert len(found) == 2
        for parent, imported, of_late, threads, blocked in found.values():
            assert of_late == value and threads == "1" and blocked
            servers.add(parent)
            # another file of tests may have begun the server, with what was imported then
            assert "data.workers" in imported and (here <= imported or "PYTEST_XDIST_WORKER" in os.environ)
    assert len(servers) == 1 and os.getpid() not in servers
    (server,) = servers
    threads = [task for task in Path(f"/proc/{server}/task").iterdir() if task.name != str(server)]
    assert {(task / "comm").read_text().strip() for task in threads} <= WAITING_THREADS


SCRIPT = """
import os, sys
from multiprocessing import get_context
from data.fork_server import start_fork_server, worker_environment

def look(conn):
    import data, time
    while time.process_time() < 0.5:
        pass
    conn.send((data.__file__, "json.tool" in sys.modules, sys.path[0], os.environ["OMP_NUM_THREADS"], os.environ["OF_USER"]))

if __name__ == "__main__":
    before = dict(os.environ)
    start_fork_server({"OMP_NUM_THREADS": 3, "OF_USER": 4}, ["json.tool"])
    assert dict(os.environ) == before
    context = get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=look, args=(theirs,))
    process.start()
    theirs.close()  # so that a process that dies is no wait
    print(*ours.recv(), sep="\\n")
    process.join()
    print(worker_environment()["PYTHONPATH"])
"""


def test_modules_are_found_where_this_program_found_them_whatever_lies_in_the_working_folder(tmp_path):
    """There ``data`` and ``distributed`` are the user's."""
    for name in ("data", "distributed", "lagrangian"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"PYTHONPATH": str(ROOT), "OF_USER": "its own"}
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
    assert sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) > before + 0.5  # what a process spends is told by the program
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout.splitlines() == [str(ROOT / "data" / "__init__.py"), "True", str(script.parent), "3", "its own", str(ROOT)]


def _run(script: Path, folder: Path, *places: Path, own: bool = True) -> list[str]:
    environment = os.environ | ({"PYTHONPATH": os.pathsep.join(map(str, (ROOT, *places)))} if own else {})
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=folder, env=environment, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.splitlines()


DIES = """
import os, signal
from multiprocessing import forkserver
from data.workers import open_client, run_tasks

def look(item):
    import data
    return os.getpid(), data.__file__, os.environ["OMP_NUM_THREADS"]

if __name__ == "__main__":
    with open_client(1) as client:
        ((_, before),) = run_tasks(client, look, [0])
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        after = before
        while after[0] == before[0]:  # the worker is known to be lost a moment later
            ((_, after),) = run_tasks(client, look, [0])
    print(before[1:] == after[1:], after[1])
"""


def test_a_server_that_was_killed_is_followed_by_one_that_finds_the_same_modules(tmp_path):
    """Where the working folder has others of the name."""
    for name in ("data", "distributed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(DIES)
    assert _run(script, tmp_path) == [f"True {ROOT / 'data' / '__init__.py'}"]


NO_FORK = """
import os, sys
if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    def fork():
        raise BlockingIOError(11, "Resource temporarily unavailable")
    os.fork = fork
"""

REFUSED = """
from data.errors import InputError
from data.workers import open_client

if __name__ == "__main__":
    try:
        with open_client(1):
            pass
    except InputError as error:
        print(error)
"""


def test_where_no_process_can_be_forked_the_program_says_so_in_one_line(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_FORK)
    script = tmp_path / "script.py"
    script.write_text(REFUSED)
    (line,) = _run(script, tmp_path, tmp_path)
    assert line.startswith("--workers 1: the worker processes do not start") and "memory" in line


def test_workers_start_where_the_places_of_modules_hold_what_is_no_text(monkeypatch, tmp_path):
    """As scripts have it that put a :class:`pathlib.Path` there, which Python passes over."""
    monkeypatch.setattr(sys, "path", [tmp_path, *sys.path])
    with open_client(1) as client:
        assert [found[3:] for found in client.run(_look).values()] == [("1", True)]


OWN = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from data.workers import open_client

def look():
    return bool(os.environ.get("PYTHONPATH") or os.environ.get("PYTHONSAFEPATH")), os.environ["OMP_NUM_THREADS"]

if __name__ == "__main__":
    with open_client(1) as client:
        print(*client.run(look).values())
"""


def test_workers_keep_what_the_user_has_set_and_nothing_that_served_their_server(tmp_path, monkeypatch):
    for name in ("PYTHONPATH", "PYTHONSAFEPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    script = tmp_path / "script.py"
    script.write_text(OWN)
    assert _run(script, tmp_path, own=False) == ["(False, '3')"]
