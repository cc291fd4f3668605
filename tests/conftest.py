"""Settings of all tests."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

# the same examples in every run, and no failure for a slow machine
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

#: Files of tests that take longest, the longest first: workers that take a file each begin with these, and end together.
SLOWEST = (
    "learning/test_workers.py",
    "evaluation/test_report.py",
    "learning/test_fit.py",
    "lagrangian/test_restart.py",
    "bad_inputs/test_bad_inputs.py",
    "evaluation/test_correlation.py",
    "lagrangian/test_slurm.py",
    "lagrangian/test_real_size.py",
    "lagrangian/test_check.py",
    "learning/test_velocity_commands.py",
    "lagrangian/test_run.py",
    "test_data/test_cases_croco.py",
    "test_package.py",
    "evaluation/test_satellite.py",
    "evaluation/test_extension.py",
    "lagrangian/test_losses.py",
    "test_data/test_compiled.py",
    "test_documentation.py",
    "learning/test_velocity_bathymetry.py",
    "test_data/test_twin_ocean.py",
    "lagrangian/test_distributed.py",
    "lagrangian/test_zlevel_run.py",
    "learning/test_satellite.py",
    "test_data/test_croco.py",
    "lagrangian/test_advection.py",
    "evaluation/test_chain_on_lonlat.py",
    "test_data/test_console.py",
    "test_imports.py",
    "test_types.py",
    "test_data/test_command_line.py",
    "learning/test_velocity_runs.py",
    "lagrangian/test_library.py",
    "lagrangian/test_identity.py",
    "lagrangian/test_faces.py",
    "learning/test_latitudes.py",
    "learning/test_velocity.py",
    "learning/test_precision.py",
    "learning/test_physics_channel.py",
    "evaluation/test_figures_catchments.py",
    "evaluation/test_diagnostics.py",
    "lagrangian/test_maps.py",
    "test_data/test_twin_products.py",
    "lagrangian/test_layers.py",
    "evaluation/test_ocean_names.py",
    "lagrangian/test_campaign.py",
    "evaluation/test_explorer.py",
)
#: Files in memory: what a test writes is gone soon, and the stores of all tests are many small files.
IN_MEMORY, ROOM = Path("/dev/shm"), 6 * 2**30
#: Files whose first test has begun in this process.
BEGUN: set[Path] = set()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Have the tests write where there is room in memory, unless somebody says where; prepare the process as a command does."""
    gc.disable()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before PyTorch is imported; see data/start.py
    # each worker has a core of its own: threads of sums that wait for one another take more than they give
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if not config.option.basetemp and _has_room(IN_MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))


def _has_room(folder: Path) -> bool:
    """Whether tests can write there, and run what they write."""
    try:
        runs = not os.statvfs(folder).f_flag & os.ST_NOEXEC
        return runs and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM
    except (OSError, AttributeError):  # no such folder, or no Linux
        return False


def pytest_collection_finish():
    """Garbage is sought from here on, as in commands, but seldom: libraries that tests import make much that stays."""
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """One thread for sums; at the first test of a file what the files before have imported stays, too."""
    if "torch" in sys.modules:  # the command of a test before may have taken all cores
        sys.modules["torch"].set_num_threads(1)
    if item.path not in BEGUN:
        BEGUN.add(item.path)
        threadpool_limits(1)
        gc.collect()
        gc.freeze()


def pytest_collection_modifyitems(items):
    """The slowest files first; within a file, the order that it has."""
    tests = Path(__file__).parent
    rank = {tests / name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture
def coarse_pictures(monkeypatch):
    """For a test that looks at no picture."""
    from tests.builders.pictures import draw_coarsely

    draw_coarsely(monkeypatch)


@pytest.fixture(scope="session")
def twin_maps(tmp_path_factory) -> Path:
    """Cloudless maps of SSH, SST and chlorophyll of the twin, 219 days from 2000-01-01: a folder that no test may change."""
    from data.command import run_command
    from data.twin import __main__ as twin
    from tests.builders.once import built_once

    def build(folder):
        options = ["--products", "--no-clouds", "--years", "0.6", "--out", str(folder)]
        assert run_command(twin.TwinConfig, twin.main, prog="data.twin", argv=options) == 0

    return built_once(tmp_path_factory, "twin_maps", build)
