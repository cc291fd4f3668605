"""Continuity against CROCO's own omega and w, and against closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.croco import open_croco
from lagrangian.velocity import omega_by_continuity, vertical_velocity_from_omega
from tests.builders.analytic import OLD_TRANSFORM, SHALLOW_TO_DEEP, plane

CROCO = Path(__file__).resolve().parents[3] / "shared" / "data" / "croco"
needs_files = pytest.mark.skipif(not CROCO.exists(), reason=f"the CROCO files are not at {CROCO}")
FILES = ["jet_exact/croco_his.00000.nc", "canyon/canyon_his.nc", "canyon/canyon_vtransform1_his.nc"]


@needs_files
@pytest.mark.parametrize("name", FILES)
def test_omega_and_w_are_those_of_croco_to_float32_accuracy(name):
    ocean = open_croco(CROCO / name)
    for index in range(len(ocean.times)):
        one = ocean.snapshot(index, {"w", "omega"})
        inside = (slice(None), slice(2, -2), slice(2, -2))
        omega = omega_by_continuity(one.u, one.v, one.zeta, ocean.grid, ocean.vertical)
        w = vertical_velocity_from_omega(one.u, one.v, one.zeta, omega, ocean.grid, ocean.vertical)
        rms = [np.sqrt(np.mean((got - given)[inside].astype(float) ** 2)) for got, given in ((omega, one.omega), (w, one.w))]
        print(f"{name} record {index}: omega {rms[0]:.1e}, w {rms[1]:.1e} m/s rms")
        # u, v, zeta are stored as float32: 2e-7 of 1e-2 m/s (u times the slope) is what can be asked
        assert rms[0] < 1e-9 and rms[1] < 3e-9
        assert one.omega[inside].std() > 1e-5


@pytest.mark.parametrize("s", [SHALLOW_TO_DEEP, OLD_TRANSFORM], ids=["Vtransform 2", "Vtransform 1"])
def test_omega_vanishes_at_both_ends_and_for_a_flow_without_divergence(s):
    rng = np.random.default_rng(5)
    grid = plane(h=lambda x, y: 3000 + 500 * np.sin(x / 4e4))
    zeta = (0.3 * rng.normal(size=grid.shape)).astype(np.float32)
    u = rng.normal(size=(s.n, grid.shape[0], grid.shape[1] - 1)).astype(np.float32)
    v = rng.normal(size=(s.n, grid.shape[0] - 1, grid.shape[1])).astype(np.float32)
    omega = omega_by_continuity(u, v, zeta, grid, s)
    assert (omega[0] == 0).all() and (omega[-1] == 0).all() and np.abs(omega[5]).max() > 1e-4
    # transports that are the curl of a stream function at psi points have no divergence in any layer
    psi = rng.normal(size=(s.n, grid.shape[0] + 1, grid.shape[1] + 1))
    thickness = s.layer_thickness(grid.h, zeta.astype(float))
    u = np.diff(psi, axis=1)[:, :, 1:-1] / (0.5 * (thickness[:, :, 1:] + thickness[:, :, :-1]))
    v = -np.diff(psi, axis=2)[:, 1:-1] / (0.5 * (thickness[:, 1:] + thickness[:, :-1]))
    omega = omega_by_continuity(u.astype(np.float32), v.astype(np.float32), zeta, grid, s)
    assert np.abs(omega).max() < 1e-8


def test_a_periodic_axis_wraps_its_faces():
    rng, s, n = np.random.default_rng(6), SHALLOW_TO_DEEP, 16
    cell = rng.normal(size=(s.n, n, n))  # one period of u at i + 1/2 and v at j + 1/2
    other = rng.normal(size=(s.n, n, n))

    def tiled(field, shape):
        return np.tile(field, (1, 3, 3))[:, : shape[0], : shape[1]].astype(np.float32)

    small, large = plane(n + 1, n + 1, periodic=(True, True)), plane(2 * n + 1, 2 * n + 1)
    omegas = []
    for grid in (small, large):
        ny, nx = grid.shape
        zeta = np.zeros(grid.shape, np.float32)
        omegas.append(omega_by_continuity(tiled(cell, (ny, nx - 1)), tiled(other, (ny - 1, nx)), zeta, grid, s))
    np.testing.assert_allclose(omegas[0][:, :n, :n], omegas[1][:, n : 2 * n, n : 2 * n], atol=1e-9)
    np.testing.assert_allclose(omegas[0][:, :, -1], omegas[0][:, :, 0], atol=0)


@pytest.mark.parametrize("s", [SHALLOW_TO_DEEP, OLD_TRANSFORM], ids=["Vtransform 2", "Vtransform 1"])
def test_a_linear_flow_over_a_flat_floor_has_the_omega_of_its_divergence(s):
    """u = a x, v = b y, times a factor of each layer: W is -(a + b) times the sum of factor and thickness from the floor."""
    a, b, h = 2e-6, -5e-7, 3000.0
    grid, factor = plane(30, 26, h=h), np.linspace(0.0, 1.0, s.n)
    u = a * factor[:, None, None] * 0.5 * (grid.x_rho[:, 1:] + grid.x_rho[:, :-1])
    v = b * factor[:, None, None] * 0.5 * (grid.y_rho[1:] + grid.y_rho[:-1])
    omega = omega_by_continuity(u.astype(np.float32), v.astype(np.float32), np.zeros(grid.shape, np.float32), grid, s)
    z = s.z_w(np.array([h]), np.array([0.0]))[:, 0]
    flux = -(a + b) * np.concatenate([[0.0], np.cumsum(np.diff(z) * factor)])
    expected = flux - (z + h) / h * flux[-1]
    np.testing.assert_allclose(omega, np.broadcast_to(expected[:, None, None], omega.shape), atol=1e-5 * np.abs(expected).max())


def test_land_stands_still():
    mask = np.ones((20, 24), bool)
    mask[5:9, 7:12] = False
    mask[0, 5:9] = mask[8:12, -1] = mask[-1, 0] = False  # and at the edges, where the neighbour's value is copied
    grid, s = plane(mask=mask), SHALLOW_TO_DEEP
    rng = np.random.default_rng(7)
    u = rng.normal(size=(s.n, 20, 23)) * (mask[:, 1:] & mask[:, :-1])
    v = rng.normal(size=(s.n, 19, 24)) * (mask[1:] & mask[:-1])
    omega = omega_by_continuity(u.astype(np.float32), v.astype(np.float32), np.zeros((20, 24), np.float32), grid, s)
    assert np.isfinite(omega).all() and (omega[:, ~mask] == 0).all()
