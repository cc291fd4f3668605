"""What a command prepares before its imports."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os
from data.start import begin
begin(always={always})
{load}
print(os.environ.get("OMP_WAIT_POLICY"))
"""


SUMS = "import torch; torch.set_num_threads(2); torch.ones(300, 300) @ torch.ones(300, 300)"


def library_alone():
    """Loads the library of threads that PyTorch brings without the seconds that PyTorch takes."""
    folder = Path(importlib.util.find_spec("torch").submodule_search_locations[0]) / "lib"
    found = sorted(str(path) for path in folder.glob("lib[gi]omp*.so*"))
    return f"import ctypes; ctypes.CDLL({found[0]!r})" if found else SUMS


@pytest.mark.parametrize(
    ("always", "given", "found", "load"),
    [(True, None, "PASSIVE", SUMS), (True, "ACTIVE", "ACTIVE", ""), (False, None, "None", "")],
    ids=["a command", "the user's own choice", "imported by another program"],
)
def test_threads_of_sums_sleep_while_they_wait(always, given, found, load):
    """OMP_DISPLAY_ENV makes the library itself tell, once it is loaded, what it has read."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "true", **({"OMP_WAIT_POLICY": given} if given else {})}
    script = SCRIPT.format(always=always, load=load or library_alone())
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found
    if sys.platform == "linux" and found != "None":
        assert f"OMP_WAIT_POLICY = '{found}'" in done.stderr


COLLECTOR = """
import gc, sys
from dataclasses import dataclass
import data.start
{argv}
data.start.begin({always})
print(gc.isenabled())
from data.command import run_command
@dataclass
class Options:
    "None."
found = []
run_command(Options, lambda config: found.extend([gc.isenabled(), gc.get_freeze_count() > 1000]), prog="made.up", argv=[])
print(*found)
"""


@pytest.mark.parametrize(
    ("argv", "always", "found"),
    [
        ("", "always=True", "False True True"),
        ("sys.argv[0] = '-m'; sys.orig_argv = ['python', '-m', 'lagrangian.run', '--w', '80']", "", "False True True"),
        ("sys.argv[0] = '-m'; sys.orig_argv = ['python', '-m', 'theirs']", "", "True True False"),
        ("", "", "True True False"),
        ("gc.disable()", "always=True", "False False False"),
    ],
    ids=["a command", "a command as a module", "another program's module", "another program", "the user's own choice"],
)
def test_a_command_seeks_no_garbage_during_its_imports_and_none_in_what_was_imported(argv, always, found):
    script = COLLECTOR.format(argv=argv, always=always)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == found.split(), done.stderr


XARRAY = """
import sys, data.start
sys.argv[0] = "-m"
sys.orig_argv = ["python", "-m", {command!r}]
data.start.begin()
import numpy, xarray
xarray.Dataset({{"a": ("x", numpy.zeros(2))}}).to_netcdf({path!r}, engine="netcdf4")
print("dask.array" in sys.modules, "distributed" in sys.modules)
"""


@pytest.mark.parametrize(("command", "found"), [("evaluation.correlation", "False False"), ("lagrangian.run", "True True")])
def test_xarray_finds_no_dask_in_a_command_that_uses_none(command, found, tmp_path):
    script = XARRAY.format(command=command, path=str(tmp_path / "a.nc"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found, done.stderr
