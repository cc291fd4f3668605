"""Machine code is never older than the sources that it is built from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from data import compiled
from data.compiled import compiling, fingerprint, sources_of

ROOT = Path(__file__).resolve().parents[2]
KERNEL = ROOT / "lagrangian" / "advection.py"
#: Files that numba in another process has not finished.
BEING_WRITTEN = "*.tmp.*"
#: Where SCRIPT's particle ends.
STRAIGHT = 5.0 + 0.1 * 43200.0 / 8e3
SCRIPT = """
import numpy as np
from data.vertical import SCoordinate
from data.grid import HorizontalGrid
from lagrangian.window import PreparedSnapshot, Window
ones = np.ones((8, 12)); eta, xi = np.mgrid[:8, :12] * 8e3
grid = HorizontalGrid(4000 * ones, ones / 8e3, ones / 8e3, xi, eta, ones > 0, 0 * ones, 1e-4 * ones, spherical=False)
s = SCoordinate.from_stretching(30, 6.0, 2.0, 250.0)
window = Window(grid, s, dt=3600.0, threads=1)
for t in (0.0, 86400.0):
    window.load(PreparedSnapshot(t, np.full((30, 8, 11), 0.1, np.float32), np.zeros((30, 7, 12), np.float32),
                np.zeros((8, 12), np.float32), np.zeros((31, 8, 12), np.float32)))
x, y, z = (np.array([value]) for value in (5.0, 4.0, -2000.0))
window.advance(x, y, z, np.zeros(1), np.full(1, 43200.0), np.zeros(1), np.full(1, -1, np.int32), np.zeros(1, np.int32),
               np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((1, 0, 3)))
print(x[0])
"""


def machine_code(folder):
    """Files of machine code and when they were written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}


def advanced(place=ROOT, **environment):
    """Where SCRIPT finds the particle with the packages of a place; and what it said of warnings."""
    given = {**os.environ, "PYTHONPATH": str(place), **{name: str(value) for name, value in environment.items()}}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=given, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout), done.stderr


@pytest.fixture(scope="module")
def kept():
    """The folder of machine code that this user's processes share, the kernel's among it."""
    assert abs(advanced()[0] - STRAIGHT) < 1e-7  # compiled now, unless some process has done so
    return compiled._writable_folder(KERNEL).parent


@pytest.mark.slow  # the kernel is compiled
def test_a_change_in_what_the_kernel_is_built_from_reaches_the_kernel(kept, tmp_path):
    """The fault that this keeps out: simd.py changed, multiplication made addition, and the old kernel stayed in use."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for place in (here, elsewhere):
        for package in ("data", "lagrangian"):
            shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    cache = shutil.copytree(kept, tmp_path / "cache" / "catchment-toolkit", ignore=shutil.ignore_patterns(BEING_WRITTEN))
    before = machine_code(cache)
    # the same sources at other places compile nothing
    for place in (here, elsewhere):
        assert abs(advanced(place, NUMBA_CACHE_DIR=tmp_path / "cache")[0] - STRAIGHT) < 1e-7
        assert before and machine_code(cache) == before
    simd = here / "lagrangian" / "simd.py"
    text = simd.read_text()
    assert text.count("builder.fmul(one, two)") == 1
    simd.write_text(text.replace("builder.fmul(one, two)", "builder.fadd(one, two)"))
    # less of the optimiser for a kernel that nobody waits for; what is kept is no other for it
    assert abs(advanced(here, NUMBA_CACHE_DIR=tmp_path / "cache", NUMBA_OPT=1)[0] - STRAIGHT) > 1e-3
    assert set(machine_code(cache)) > set(before)


def test_what_numba_cannot_keep_is_compiled_all_the_same(kept, tmp_path):
    """Without the optimiser the kernel holds addresses, which no other process could use; numba says so."""
    others = shutil.ignore_patterns(compiled._writable_folder(KERNEL).name, BEING_WRITTEN)
    shutil.copytree(kept, tmp_path / "catchment-toolkit", ignore=others)
    found, said = advanced(NUMBA_CACHE_DIR=tmp_path, NUMBA_OPT=0)
    assert abs(found - STRAIGHT) < 1e-7
    assert "advection.py" in said and "Cannot cache compiled function" in said


def test_time_spent_compiling_is_counted_and_what_is_compiled_within_is_counted_once(monkeypatch):
    clock = iter([10.0, 13.0, 20.0, 21.0])  # read as the outermost function begins and ends, and no more
    monkeypatch.setattr(compiled.time, "thread_time", lambda: next(clock))

    @numba.njit
    def inner(x):
        return x + 1

    @numba.njit
    def outer(x):
        return 2 * inner(x)

    with compiling() as spent:
        assert outer(3) == 8 and spent.seconds == 3.0
        assert outer(4) == 10 and spent.seconds == 3.0  # the machine code is there
        assert outer(0.5) == 3 and spent.seconds == 4.0
    assert inner(True) == 2 and spent.seconds == 4.0  # no longer counted


def test_sources_are_followed_through_every_form_of_import(tmp_path):
    package = tmp_path / "data"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "top.py").write_text("from data.one import (\n    A,\n    B,\n)\nimport numpy\n")
    (package / "one.py").write_text("import data.two\nfrom data import three\n")
    for name in ("two", "three", "apart"):
        (package / f"{name}.py").write_text("")
    assert {path.name for path in sources_of(package / "top.py")} == {"top.py", "one.py", "two.py", "three.py", "__init__.py"}
    before = fingerprint(package / "top.py")
    (package / "apart.py").write_text("X = 1\n")
    assert fingerprint(package / "top.py") == before
    (package / "three.py").write_text("X = 1\n")
    assert fingerprint(package / "top.py") != before


def test_the_kernel_counts_its_intrinsics_among_its_sources():
    assert ROOT / "lagrangian" / "simd.py" in sources_of(KERNEL)


def test_where_no_folder_can_be_written_code_is_compiled_all_the_same(tmp_path):
    (tmp_path / "file").write_text("in the way of a folder")
    script = "from data.compiled import njit\nfrom lagrangian import velocity\nprint('ok')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "file")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout == "ok\n", done.stderr
