"""Velocities at fixed depths, for Parcels' own interpolation: what is linear in depth stays what it was."""

import numpy as np
import pytest

from lagrangian.agrid import AGrid
from lagrangian.window import PreparedSnapshot
from tests.builders.analytic import SHALLOW_TO_DEEP, evaluate, plane


@pytest.mark.parametrize("w_points", ["s_w", "s_rho"])
def test_fields_that_are_linear_in_depth_come_to_fixed_depths_unchanged(w_points):
    grid = plane(12, 10, h=2500.0)
    linear = lambda factor: lambda x, y, z, t: factor * (1.0 + z / 4000.0)
    zeta = lambda x, y, t: 0.6 + 0 * x
    one = evaluate(grid, SHALLOW_TO_DEEP, linear(0.3), linear(-0.2), w=linear(1e-3), zeta=zeta, w_points=w_points)
    fixed = AGrid(grid, SHALLOW_TO_DEEP, 2000.0)
    twice = PreparedSnapshot(1.0, 2 * one.u, 2 * one.v, one.zeta, one.vertical_velocity, is_omega=False)
    found = fixed.fields(one, twice)
    inside = (fixed.depth > 30) & (fixed.depth <= 2000.0)  # between the uppermost and the lowest centre
    profile = (1.0 - fixed.depth / 4000.0)[inside, None, None]
    for name, factor in (("U", 0.3 * grid.pm), ("V", -0.2 * grid.pn), ("W", 1e-3 + 0 * grid.pm)):
        np.testing.assert_allclose(found[name][0][inside], factor * profile, rtol=2e-5)
    np.testing.assert_allclose(found["U"][1], 2 * found["U"][0], rtol=1e-6)
    # beyond the centres values are those of the outermost one: none is extrapolated
    top = SHALLOW_TO_DEEP.z_rho(grid.h, one.zeta)[-1]
    np.testing.assert_allclose(found["U"][0][0], 0.3 * grid.pm * np.minimum(1.0, 1.0 + top / 4000.0), rtol=2e-5)
    if w_points == "s_w":  # interfaces reach the surface itself
        np.testing.assert_allclose(found["W"][0][0], 1e-3, rtol=2e-5)


def test_below_the_lowest_centre_the_flow_is_that_of_the_centre():
    grid = plane(12, 10, h=1500.0)
    linear = lambda x, y, z, t: 0.3 * (1.0 + z / 4000.0)
    one = evaluate(grid, SHALLOW_TO_DEEP, linear, linear, w=linear, zeta=lambda x, y, t: 0 * x, w_points="s_rho")
    fixed = AGrid(grid, SHALLOW_TO_DEEP, 1490.0)
    lowest = SHALLOW_TO_DEEP.z_rho(grid.h, one.zeta)[0]
    found = fixed.fields(one, one)["U"][0][fixed.depth > 1500.0]
    assert len(found) and (lowest > -1500.0).all()
    np.testing.assert_allclose(found, np.broadcast_to(0.3 * grid.pm * (1.0 + lowest / 4000.0), found.shape), rtol=2e-5)


def test_a_window_that_follows_another_has_the_bytes_of_a_window_alone():
    """The earlier snapshot of a window is the later one of the next; one that is not is put on the depths anew."""
    grid = plane(12, 10, h=2500.0)
    flow = lambda factor: lambda x, y, z, t: factor * (1.0 + z / 4000.0)
    one, two, three = (
        evaluate(grid, SHALLOW_TO_DEEP, flow(factor), flow(-factor), w=flow(1e-3), zeta=lambda x, y, t: 0 * x, w_points="s_w")
        for factor in (0.1, 0.2, 0.3)
    )
    kept = AGrid(grid, SHALLOW_TO_DEEP, 2000.0)
    for earlier, later in ((two, three), (one, two), (one, three), (two, one)):
        found, alone = kept.fields(earlier, later), AGrid(grid, SHALLOW_TO_DEEP, 2000.0).fields(earlier, later)
        assert all(found[name].tobytes() == alone[name].tobytes() for name in "UVW")
