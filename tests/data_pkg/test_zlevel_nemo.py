"""NEMO's C-grid: the real GYRE, and small files made here."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from data.ocean import preferences_of
from data.zlevel.open import open_zlevel, recognise
from lagrangian.velocity import omega_by_continuity, upward_flux

MODELS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "models"
GYRE = MODELS / "nemo_gyre36"


@pytest.fixture
def gyre():
    """GYRE with its mesh."""
    if not GYRE.exists():
        pytest.skip("../shared/data/models is absent")
    return open_zlevel(sorted(str(path) for path in GYRE.glob("GYRE*.nc")), grid=GYRE / "mesh_mask.nc")


def test_gyre_is_recognised_and_read_with_its_walls(gyre):
    assert recognise([str(path) for path in GYRE.glob("GYRE*grid_*.nc")]) == "nemo"
    assert gyre.grid.shape == (12, 12) and gyre.vertical.n == 11 and gyre.grid.stagger == "C"
    assert gyre.variables == {"temp", "w"} and preferences_of(gyre).no_continuity == ""
    assert not gyre.grid.mask_rho[0].any() and gyre.grid.mask_rho[1:-1, 1:-1].all()
    turned = np.arctan2(1.0, np.cos(np.deg2rad(gyre.grid.y_rho[5, 5])))  # by 45 degrees on a plane of longitudes and latitudes
    assert np.abs(gyre.grid.angle[5, 5]) == pytest.approx(turned, abs=0.02)
    with netCDF4.Dataset(next(GYRE.glob("*grid_U.nc"))) as dataset:
        u = np.asarray(dataset["uoce"][0, 3])
    np.testing.assert_array_equal(gyre.snapshot(0).u[7, 2:9, 2:9], u[2:9, 2:9])


def test_omega_and_the_motion_of_the_surface_are_the_models_own_vertical_velocity(gyre):
    one = gyre.snapshot(0, {"w"})
    flux = upward_flux(one.u, one.v, one.zeta, gyre.grid, gyre.vertical)
    omega = omega_by_continuity(one.u, one.v, one.zeta, gyre.grid, gyre.vertical)
    h, levels = gyre.grid.h, np.maximum(gyre.vertical.w[:, None, None], -gyre.grid.h)
    together = omega + (levels + h) / h * flux[-1]
    inner = np.s_[1:, 1:-1, 1:-1]
    wet = gyre.vertical.layer_thickness(h, 0 * h)[:, 1:-1, 1:-1] > 0
    off = (together - one.w)[inner][wet]
    size = one.w[inner][wet]
    print(f"GYRE: rms of omega plus surface motion less woce {np.sqrt(np.mean(off**2)):.2e} m/s, of woce {np.sqrt(np.mean(size**2)):.2e}")
    assert np.sqrt(np.mean(off**2)) < 1e-11 < 1e-3 * np.sqrt(np.mean(size**2))
