"""The packages import one way, evaluation from learning from lagrangian from data, in no circle, and where something lacks."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from data.commands import EXTRAS, NEEDS, OPTIONS

ROOT = Path(__file__).resolve().parents[1]
ORDER = ("data", "lagrangian", "learning", "evaluation")


def modules() -> dict[str, Path]:
    """Path by name of every module of the four packages."""
    found = {}
    for package in ORDER:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def statements(body):
    """Import statements that run when a module is imported: not those in functions, nor what only type checkers see."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If):
            only_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            yield from statements([*([] if only_types else node.body), *node.orelse])
        elif isinstance(node, (ast.Try, ast.With, ast.ClassDef)):
            yield from statements(node.body)


def imports(source: str, names) -> set[str]:
    """Which of the modules ``names`` a source imports at module level."""
    found = set()
    for node in statements(ast.parse(source).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & set(names)
            found |= {node.module} if not all(f"{node.module}.{alias.name}" in names for alias in node.names) else set()
    return found & set(names)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules of a circle of imports, its first once more at the end; empty where there is none."""
    done: set[str] = set()

    def look(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            if found := look(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := look(name, []))), [])


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    names = modules()
    return {name: imports(path.read_text(), names) - {name} for name, path in names.items()}


def test_packages_import_one_way(graph):
    rank = {name: ORDER.index(name.partition(".")[0]) for name in graph}
    upward = [f"{name} imports {other}" for name, others in graph.items() for other in others if rank[other] > rank[name]]
    assert not upward and sum(map(len, graph.values())) > 300


def test_no_circle_of_imports(graph):
    assert circle(graph) == []


def test_a_circle_and_an_import_within_a_function_are_told_apart():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    names = {"data", "data.a", "data.b", "data.c"}
    source = "from data import a\nfrom data.b import x\ndef f():\n    import data.c\nif TYPE_CHECKING:\n    import data.c\n"
    assert imports(source, names) == {"data.a", "data.b"}


# -- where something is not there ----------------------------------------------------------------------------------------

#: Modules and functions that Windows, or macOS, lacks.
MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix_ipc", "syslog")
FUNCTIONS = (
    "fork", "forkpty", "getuid", "geteuid", "getgid", "pread", "pwrite", "killpg", "getpgid", "setsid", "sched_getaffinity",
    "sysconf", "uname", "O_NOFOLLOW", "mkfifo", "chown", "getloadavg", "WNOHANG",
)  # fmt: skip
SIGNALS = ("pthread_sigmask", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM", "alarm", "setitimer")

#: One process imports the toolkit three times over: without the extra that networks need, without the others, and without what
#: other operating systems lack; it tells what each ended with. What stays are the packages of others.
WITHOUT = f"""
import importlib, importlib.abc, importlib.util, json, os, signal, sys, traceback, warnings
hidden, ends = set(), {{}}
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in hidden:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Hidden())
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.partition('.')[0] in hidden else real(name, *rest)
sys.argv = ['x']

def forget(packages):
    for name in list(sys.modules):
        if name.partition('.')[0] in packages:
            del sys.modules[name]

def imported(title, names):
    forget({ORDER!r})
    try:
        for name in names:
            importlib.import_module(name)
        ends[title] = ''
    except BaseException:
        ends[title] = traceback.format_exc()

extras, needs = {EXTRAS!r}, {NEEDS!r}
commands = {[one if one != "data.twin" else "data.twin.__main__" for one in OPTIONS]!r}
for extra in ('learn', 'distances cluster'):
    hidden = {{module for one in extra.split() for module in extras[one]}}
    forget(hidden)
    imported(extra, [one for one in commands if needs.get(one) != extra])
hidden = set()
warnings.simplefilter('ignore')
names = {sorted(name for name in modules() if not name.endswith("__main__"))!r}
imported('here', names)
for name in {MODULES!r}:
    sys.modules[name] = None
for name in {FUNCTIONS!r}:
    if hasattr(os, name): delattr(os, name)
for name in {SIGNALS!r}:
    if hasattr(signal, name): delattr(signal, name)
imported('elsewhere', names)
if not ends['elsewhere']:
    from data.cores import cores
    from data.machine import memory_bytes, peak_memory
    known = cores() >= 1, memory_bytes() > 0, peak_memory() is None or peak_memory() > 0
    ends['known'] = [len(names), *known]
print(json.dumps(ends))
"""


@pytest.fixture(scope="module")
def ends():
    """What WITHOUT tells: a traceback, or nothing, for each time that the toolkit was imported."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("extra", ["learn", "distances cluster"])  # no command needs either of the two
def test_without_an_extra_the_other_commands_are_imported(extra, ends):
    assert not {"distances", "cluster"} & set(NEEDS.values())
    assert not ends[extra], ends[extra]


def test_every_module_is_imported_where_what_windows_and_macos_lack_is_not_there(ends):
    assert not ends["here"], ends["here"]
    assert not ends["elsewhere"], ends["elsewhere"]
    assert ends["known"][1:] == [True, True, True] and ends["known"][0] > 150
