"""The look at the flow of oceans on z-levels: what is right is passed over in silence, what is wrong is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data.balance import look, surface_motion
from data.errors import InputError
from data.ocean import Snapshot
from data.zlevel.open import open_zlevel
from lagrangian.velocity import upward_flux
from tests.builders.analytic import plane
from tests.builders.glorys import levels
from tests.test_data.test_zlevel_tables import write_mitgcm

MODELS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "models"
TIMES = np.datetime64("2001-01-01", "ns") + np.arange(4) * np.timedelta64(1, "D")


def ocean_of(grid, make):
    """An ocean of snapshots that a function of the index makes."""
    return SimpleNamespace(grid=grid, vertical=levels(), times=TIMES, snapshot=make, description={"assumptions": []})


def turning(grid, *, factor=1.0, scale=1.0):
    """Surface slopes of a wave, and the flow in geostrophic balance with them, times ``factor``, the same at all depths."""
    ny, nx = grid.shape
    x, y = np.meshgrid(np.arange(nx), np.arange(ny))
    f, g, cell = grid.coriolis[0, 0], 9.81, 1 / grid.pm[0, 0]
    wave = lambda x, y: 0.1 * np.cos(2 * np.pi * x / 16) * np.cos(2 * np.pi * y / 16)
    slope = 0.1 * 2 * np.pi / 16 / cell
    u = factor * g / f * slope * np.cos(2 * np.pi * x / 16) * np.sin(2 * np.pi * y / 16)
    v = -factor * g / f * slope * np.sin(2 * np.pi * x / 16) * np.cos(2 * np.pi * y / 16)
    both = [np.broadcast_to(scale * field, (levels().n, ny, nx)).astype(np.float32) for field in (u, v)]
    return lambda index: Snapshot(TIMES[index], *both, wave(x, y).astype(np.float32))


@pytest.fixture
def grid():
    flat = plane(nx=40, ny=36, dx=8e3, h=4800.0, stagger="A")
    return dataclasses.replace(flat, coriolis=np.full(flat.shape, 1e-4))


def test_a_flow_in_balance_on_an_a_grid_is_passed_over_in_silence(grid):
    assert look(ocean_of(grid, turning(grid))) == []


@pytest.mark.parametrize(
    ("changes", "told"), [({"factor": -1.0}, "goes against"), ({"scale": 100.0}, "are u, v and zeta in m/s")]
)
def test_the_wrong_sign_and_the_wrong_unit_are_told_on_an_a_grid(grid, changes, told):
    (note,) = look(ocean_of(grid, turning(grid, **changes)))
    assert told in note


def test_water_that_never_moves_is_refused(grid):
    with pytest.raises(InputError, match="0 everywhere"):
        look(ocean_of(grid, turning(grid, scale=0.0)))


def test_the_motion_of_the_surface_is_that_of_the_kernels_continuity_with_partial_cells(tmp_path):
    write_mitgcm(tmp_path / "mit.nc")
    ocean = open_zlevel(tmp_path / "mit.nc")
    one = ocean.snapshot(1)
    found = surface_motion(ocean, one)
    flux = upward_flux(one.u, one.v, one.zeta, ocean.grid, ocean.vertical)[-1]
    known = np.isfinite(found)
    assert known.sum() > 50 and np.abs(found - flux)[known].max() < 1e-5 * np.abs(flux[known]).max()


def test_a_flow_that_misses_the_balance_on_levels_is_told_and_not_refused(tmp_path):
    write_mitgcm(tmp_path / "mit.nc")  # random velocities
    notes = look(open_zlevel(tmp_path / "mit.nc"))
    assert any("does not conserve mass" in note for note in notes)


@pytest.mark.skipif(not MODELS.exists(), reason="../shared/data/models is absent")
def test_real_nemo_conserves_mass():
    gyre = MODELS / "nemo_gyre36"
    ocean = open_zlevel(sorted(str(path) for path in gyre.glob("GYRE*.nc")), grid=gyre / "mesh_mask.nc")
    assert not any("mass" in note for note in look(ocean))
