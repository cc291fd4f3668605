"""What is done to columns, at the numbers of layers that users have: velocities, fields at depths, the A-grid to compare with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.vertical import SCoordinate
from lagrangian.agrid import AGrid
from lagrangian.fields import at_depths, horizontal_velocity
from lagrangian.velocity import omega_by_continuity, vertical_velocity_from_omega
from lagrangian.window import PreparedSnapshot
from tests.builders.analytic import AnalyticOcean, along_layers, plane

LAYERS = (20, 24, 30, 32, 50, 75, 80, 100)
CURVES = {2: (6.0, 2.0, 250.0), 1: (5.0, 0.4, 50.0)}
every_column = pytest.mark.parametrize("layers", LAYERS)
both_transforms = pytest.mark.parametrize("vtransform", [1, 2])


def levels(layers: int, vtransform: int) -> SCoordinate:
    return SCoordinate.from_stretching(layers, *CURVES[vtransform], vtransform)


def rough(x, y):
    """A sea floor of hills, m."""
    return 3500.0 + 600.0 * np.sin(x / 3e4) * np.cos(y / 4e4)


# -- continuity ------------------------------------------------------------------------------------------------------------
def omega_by_hand(u, v, zeta, grid, s) -> np.ndarray:
    """Divergence of the volume through the faces of each cell, summed from the floor, less the rise of the surface."""
    z_w = s.z_w(grid.h, zeta.astype(float))
    thickness = np.diff(z_w, axis=0)
    through_u = u * 0.5 * (thickness[:, :, 1:] + thickness[:, :, :-1]) * 2 / (grid.pn[:, 1:] + grid.pn[:, :-1])
    through_v = v * 0.5 * (thickness[:, 1:] + thickness[:, :-1]) * 2 / (grid.pm[1:] + grid.pm[:-1])
    loss = (np.diff(through_u, axis=2)[:, 1:-1] + np.diff(through_v, axis=1)[:, :, 1:-1]) * (grid.pm * grid.pn)[1:-1, 1:-1]
    flux = -np.concatenate([0 * loss[:1], np.cumsum(loss, axis=0)])
    return flux - ((z_w + grid.h) / (zeta + grid.h))[:, 1:-1, 1:-1] * flux[-1]


@both_transforms
@every_column
def test_omega_is_the_divergence_summed_from_the_floor(layers, vtransform):
    rng, s, grid = np.random.default_rng(layers), levels(layers, vtransform), plane(14, 12, h=rough)
    u = rng.normal(size=(layers, 12, 13)).astype(np.float32)
    v = rng.normal(size=(layers, 11, 14)).astype(np.float32)
    zeta = (0.3 * rng.normal(size=grid.shape)).astype(np.float32)
    omega = omega_by_continuity(u, v, zeta, grid, s)
    expected = omega_by_hand(u, v, zeta, grid, s)
    np.testing.assert_allclose(omega[:, 1:-1, 1:-1], expected, atol=1e-6 * np.abs(expected).max())
    assert (omega[[0, -1]] == 0).all() and np.abs(omega).max() > 0.01


@both_transforms
@every_column
def test_a_flow_along_the_layers_crosses_none_and_rises_with_their_slope(layers, vtransform):
    s, grid = levels(layers, vtransform), plane(30, 26, h=rough)
    one = along_layers(grid, s, lambda x, y, t: 1e5 * np.sin(x / 5e4) * np.sin(y / 6e4), lambda x, y, t: 0.0 * x)
    assert np.abs(one.u).max() > 0.05
    assert np.abs(one.vertical_velocity).max() < 2e-8
    w = vertical_velocity_from_omega(one.u, one.v, one.zeta, one.vertical_velocity, grid, s)
    # the slope of a layer's middle times the velocity, both at rho points, where the hills are resolved
    z = s.z_rho(grid.h, np.zeros(grid.shape))
    u, v = 0.5 * (one.u[:, 1:-1, 1:] + one.u[:, 1:-1, :-1]), 0.5 * (one.v[:, 1:, 1:-1] + one.v[:, :-1, 1:-1])
    slope_x, slope_y = (z[:, 1:-1, 2:] - z[:, 1:-1, :-2]) / 16e3, (z[:, 2:, 1:-1] - z[:, :-2, 1:-1]) / 16e3
    expected = u * slope_x + v * slope_y
    assert np.abs(w[:, 1:-1, 1:-1] - expected).max() < 0.2 * np.abs(expected).max() and np.abs(expected).max() > 1e-4


# -- fields at depths --------------------------------------------------------------------------------------------------------
@settings(max_examples=60)
@given(
    layers=st.sampled_from(LAYERS), vtransform=st.sampled_from([1, 2]), zeta=st.floats(-1.5, 1.5), h=st.floats(60.0, 6000.0),
    depths=st.lists(st.floats(0.0, 6500.0), min_size=1, max_size=8), seed=st.integers(0, 999),
)  # fmt: skip
def test_a_column_at_any_depth_is_interpolated_linearly_between_the_layers_around_it(layers, vtransform, zeta, h, depths, seed):
    z = levels(layers, vtransform).z_rho(np.full((2, 3), h), np.full((2, 3), zeta))
    field = np.random.default_rng(seed).normal(size=z.shape)
    found = at_depths(field, z, depths)
    for j, i in np.ndindex(2, 3):
        column, values = z[:, j, i], field[:, j, i]
        for depth, got in zip(depths, found[:, j, i], strict=True):
            if depth == 0 or -depth >= column[-1]:
                assert got == values[-1]
            elif -depth < column[0]:
                assert np.isnan(got)
            else:
                assert got == pytest.approx(np.interp(-depth, column, values), abs=1e-9)


@both_transforms
@every_column
def test_a_shear_that_is_linear_in_depth_is_found_at_every_depth(layers, vtransform):
    s, grid = levels(layers, vtransform), plane(12, 12, h=rough, angle=0.3)
    sheared = lambda x, y, z, t: 0.3 + 1e-4 * z
    times = np.datetime64("2001-01-01", "ns") + np.arange(2) * np.timedelta64(1, "D")
    ocean = AnalyticOcean(grid, s, times, sheared, lambda x, y, z, t: -0.5 * sheared(x, y, z, t))
    depths = np.array([100.0, 750.0, 1500.0, 2250.0])
    east, north, vorticity = (field[:, 1:-1, 1:-1] for field in horizontal_velocity(ocean, ocean.snapshot(0), depths))
    along = (0.3 - 1e-4 * depths)[:, None, None]
    np.testing.assert_allclose(east, np.broadcast_to(along * (np.cos(0.3) + 0.5 * np.sin(0.3)), east.shape), atol=1e-6)
    np.testing.assert_allclose(north, np.broadcast_to(along * (np.sin(0.3) - 0.5 * np.cos(0.3)), north.shape), atol=1e-6)
    np.testing.assert_allclose(vorticity, 0.0, atol=1e-5)


# -- the A-grid --------------------------------------------------------------------------------------------------------------
@both_transforms
@every_column
def test_the_a_grid_is_linear_interpolation_in_every_column(layers, vtransform):
    s, grid = levels(layers, vtransform), plane(9, 8, h=rough)
    rng = np.random.default_rng(layers)
    u = rng.normal(size=(layers, 8, 8)).astype(np.float32)
    v = rng.normal(size=(layers, 7, 9)).astype(np.float32)
    zeta = (0.3 * rng.normal(size=grid.shape)).astype(np.float32)
    for points in (layers, layers + 1):
        w = rng.normal(size=(points, *grid.shape)).astype(np.float32)
        snapshot = PreparedSnapshot(0.0, u, v, zeta, w, is_omega=False)
        agrid = AGrid(grid, s, 3000.0)
        found = agrid.fields(snapshot, snapshot)
        z = s.z_rho(grid.h, zeta.astype(float))
        z_of_w = z if points == layers else s.z_w(grid.h, zeta.astype(float))
        for j, i in ((1, 1), (4, 5), (6, 7), (3, 2)):
            for name, column, heights in (
                ("U", 0.5 * (u[:, j, i - 1] + u[:, j, i]) * grid.pm[j, i], z[:, j, i]),
                ("V", 0.5 * (v[:, j - 1, i] + v[:, j, i]) * grid.pn[j, i], z[:, j, i]),
                ("W", w[:, j, i], z_of_w[:, j, i]),
            ):
                expected = np.interp(-agrid.depth, heights, column)
                np.testing.assert_allclose(found[name][1, :, j, i], expected, rtol=2e-5, atol=2e-6 * np.abs(column).max())
