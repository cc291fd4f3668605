"""The kernel on z-levels: closed forms with 50 levels on C- and A-grids, partial bottom cells, fixed levels and z*."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from data.errors import InputError
from data.vertical import SCoordinate, VerticalCoordinate, ZCoordinate
from data.zlevel.levels import interface_depths
from lagrangian.advection import ACTIVE, GROUNDED, LEFT_DOMAIN
from lagrangian.fields import horizontal_velocity
from lagrangian.velocity import omega_by_continuity, upward_flux, vertical_velocity_from_omega
from lagrangian.window import Window
from tests.builders.analytic import AnalyticOcean, along_layers, cloud, evaluate, move, plane, still_omega, zero
from tests.builders.glorys import levels

DAY = 86400.0
STAGGERS = pytest.mark.parametrize("stagger", ["A", "C"])
MOVES = pytest.mark.parametrize("moves", [False, True], ids=["fixed", "z*"])


def two(grid, vertical, make, dt=7200.0, span=30 * DAY, **options):
    """A window between two equal snapshots ``make(t)`` at 0 and ``span``."""
    window = Window(grid, vertical, dt=dt, **options)
    for slot, t in enumerate((0.0, span)):
        window.load(make(t), slot)
    return window


def test_both_kinds_of_levels_satisfy_the_interface_and_thicknesses_add_up_to_the_column():
    h, zeta = np.array([[5.0, 700.0, 4321.0]]), np.array([[0.3, -0.2, 1.0]])
    for vertical in (SCoordinate.from_stretching(30, 6.0, 2.0, 250.0), levels(), levels(True)):
        assert isinstance(vertical, VerticalCoordinate)
        thickness = vertical.layer_thickness(h, zeta)
        np.testing.assert_allclose(thickness.sum(0), h + vertical.surface(zeta), rtol=1e-12)
        a, c = (values[:, None, None] for values in (vertical.a_rho, vertical.c_rho))
        z = vertical.surface(zeta) + vertical.stretch(h, zeta) * (a + h * c)
        np.testing.assert_allclose(vertical.z_rho(h, zeta), z, rtol=1e-12)
    assert np.count_nonzero(levels().layer_thickness(h, zeta)[:, 0, 0]) == 5  # five metres: levels at 0.5 to 5.1 m
    assert np.all(levels().z_rho(h, zeta)[:, 0, 0] == levels().rho)


@pytest.mark.parametrize(
    ("rho", "w", "told"),
    [
        ([-30.0, -10.0], [-40.0, -20.0, 1.0], "uppermost interface at 0"),
        ([-10.0, -30.0], [-40.0, -20.0, 0.0], "must increase"),
        ([-45.0, -10.0], [-40.0, -20.0, 0.0], "between its two interfaces"),
        ([-30.0, np.nan], [-40.0, -20.0, 0.0], "not finite"),
        ([-30.0, -10.0], [-40.0, 0.0], "do not fit together"),
    ],
)
def test_impossible_levels_are_refused(rho, w, told):
    with pytest.raises(InputError, match=told):
        ZCoordinate(np.array(rho), np.array(w))


@STAGGERS
@MOVES
def test_a_uniform_current_is_exact_on_fifty_levels(stagger, moves):
    grid, z = plane(nx=40, stagger=stagger), levels(moves)
    current = lambda x, y, z, t: 0.04 + 0 * z
    window = two(grid, z, lambda t: still_omega(grid, z, current, lambda x, y, z, t: 0.01 + 0 * z, t=t), levels=(2000.0, 200.0))
    p = cloud(np.full(20, 5.0), np.full(20, 8.0), -3000.0, -100.0 * np.ones(20), levels=2)
    p.sinking_speed[:] = -100.0 / DAY
    move(window, p, 25 * DAY)  # 86.4 km
    assert (p.status == ACTIVE).all()
    assert np.abs((p.xi - 5.0) * 8e3 - 0.04 * 25 * DAY).max() < 0.02
    assert np.abs((p.eta - 8.0) * 8e3 - 0.01 * 25 * DAY).max() < 0.02
    np.testing.assert_allclose(p.crossings[:, 0, 2], 10 * DAY, atol=1.0)


@STAGGERS
def test_half_a_turn_of_a_solid_body_is_closed_to_three_centimetres(stagger):
    grid, z = plane(nx=40, ny=40, stagger=stagger), levels()
    rate = np.pi / (20 * DAY)
    make = lambda t: still_omega(grid, z, lambda x, y, z, t: -rate * y + 0 * z, lambda x, y, z, t: rate * x + 0 * z, t=t)
    window = two(grid, z, make, dt=1800.0)
    start = (19.5 + 8.0, 19.5)
    p = cloud([start[0]], [start[1]], -3000.0)
    move(window, p, 20 * DAY)
    assert np.hypot(p.xi[0] - (19.5 - 8.0), p.eta[0] - 19.5) * 8e3 < 0.03


@STAGGERS
def test_a_sheared_current_is_followed_to_three_centimetres_while_sinking(stagger):
    """u = z / 1e5 s is linear in z: exact between centres."""
    grid, z = plane(nx=40, stagger=stagger), levels()
    window = two(grid, z, lambda t: still_omega(grid, z, lambda x, y, z, t: -z / 1e5 + 0 * x, zero, t=t))
    p = cloud([10.0], [10.0], -1000.0, 100.0)
    move(window, p, 10 * DAY)
    z0, w = 1000.0, 100.0 / DAY
    expected = (z0 * 10 * DAY + 0.5 * w * (10 * DAY) ** 2) / 1e5
    assert abs((p.xi[0] - 10.0) * 8e3 - expected) < 0.03
    assert abs(p.z[0] + 2000.0) < 1e-3


@STAGGERS
@pytest.mark.parametrize("w_points", ["s_w", "s_rho"])
def test_upward_motion_of_a_millimetre_a_second_lifts_by_86_400_m_a_day(stagger, w_points):
    grid, z = plane(stagger=stagger), levels()
    w = lambda x, y, z, t: -1e-3 + 0 * z
    window = two(grid, z, lambda t: evaluate(grid, z, zero, zero, w=w, t=t, w_points=w_points))
    depth = np.array([-3000.0, -500.0, -20.0])
    p = cloud(np.full(3, 10.0), np.full(3, 10.0), depth)
    move(window, p, DAY)
    np.testing.assert_allclose(p.z - depth, -86.4, atol=1e-3)


@STAGGERS
def test_half_a_metre_of_sea_level_changes_nothing_at_3000_m_on_fixed_levels(stagger):
    grid, z = plane(nx=40, stagger=stagger), levels()
    u = lambda x, y, z, t: -z / 1e5 + 1e-6 * y
    ends = []
    for zeta in (None, lambda x, y, t: 0.5 + 1e-6 * x):
        window = two(grid, z, lambda t, zeta=zeta: still_omega(grid, z, u, zero, zeta=zeta, t=t), span=5 * DAY)
        p = cloud([10.0], [10.0], -3000.0, 100.0)
        move(window, p, 5 * DAY)
        ends.append((p.xi[0], p.eta[0], p.z[0]))
    assert ends[0] == ends[1]


@STAGGERS
def test_levels_of_z_star_carry_a_particle_in_proportion_to_its_height_over_the_floor(stagger):
    grid, z = plane(stagger=stagger), levels(True)
    rising = lambda x, y, t: 2.0 * t / DAY + 0 * x
    window = two(grid, z, lambda t: still_omega(grid, z, zero, zero, zeta=rising, t=t), span=DAY)
    depth = np.array([-3000.0, -1000.0, -5.0])
    p = cloud(np.full(3, 10.0), np.full(3, 10.0), depth)
    move(window, p, DAY)
    np.testing.assert_allclose(p.z - depth, 2.0 * (4000.0 + depth) / 4000.0, atol=1e-3)


@STAGGERS
@MOVES
def test_without_divergence_nothing_passes_through_the_levels_and_with_it_what_the_closed_form_says(stagger, moves):
    grid, z = plane(nx=20, ny=16, stagger=stagger), levels(moves)
    turning = evaluate(grid, z, lambda x, y, z, t: -1e-6 * y + 0 * z, lambda x, y, z, t: 1e-6 * x + 0 * z)
    assert np.abs(turning.vertical_velocity).max() < 1e-9
    # u = d x below 2000 m, none above: W = -d (z + h) there, and omega = W less the share of the surface's motion
    spread = 1e-7
    n_below = int(np.count_nonzero(z.w[1:] <= -2000.0))
    made = evaluate(grid, z, lambda x, y, z_, t: spread * x * (z_ < z.w[n_below]), zero)
    top = -spread * (z.w[n_below] + 4000.0)
    height = np.clip(z.w, -4000.0, z.w[n_below]) + 4000.0
    expected = -spread * height - (np.maximum(z.w, -4000.0) + 4000.0) / 4000.0 * top
    expected[-1] = 0.0
    np.testing.assert_allclose(made.vertical_velocity[:, 8, 10], expected, atol=2e-11)
    flux = upward_flux(made.u, made.v, made.zeta, grid, z)
    np.testing.assert_allclose(flux[-1, 8, 10], top, rtol=1e-5)


def test_a_partial_cell_carries_only_its_own_thickness():
    """A step from 4000 to 3500 m: the layer that holds 3500 m passes through the face with the thickness of the shallow side."""
    z = levels()
    step = plane(nx=12, ny=8, h=lambda x, y: np.where(x < 0, 4000.0, 3500.0))
    u = np.full((50, *step.shape_u), 0.1, np.float32)
    flux = upward_flux(u, np.zeros((50, *step.shape_v), np.float32), np.zeros(step.shape), step, z)
    j, i = 4, 5  # the deep cell before the step
    deep, shallow = (z.layer_thickness(np.array(h), np.array(0.0)) for h in (4000.0, 3500.0))
    expected = np.cumsum(0.1 * (deep - shallow)) / 8e3
    np.testing.assert_allclose(flux[1:, j, i], expected, rtol=1e-5, atol=1e-12)
    assert expected[-1] == pytest.approx(0.1 * 500.0 / 8e3, rel=1e-6)
    given = dataclasses.replace(z, thickness_u=np.broadcast_to(shallow[:, None, None], u.shape))
    again = upward_flux(u, np.zeros((50, *step.shape_v), np.float32), np.zeros(step.shape), step, given)
    np.testing.assert_allclose(again[:, j, i], 0.0, atol=1e-9)  # the same through both faces: nothing is left over


@pytest.mark.parametrize("periodic", [(True, True), (True, False), (False, True)])
@STAGGERS
def test_a_periodic_domain_goes_on_beyond_its_edge(periodic, stagger):
    z = levels()
    grid = plane(nx=17, ny=13, periodic=periodic, stagger=stagger)
    period = np.array([16, 12]) * 8e3

    def wave(axis):
        def value(x, y, z, t):
            phase = 2 * np.pi * (x / period[0] * periodic[0] + y / period[1] * periodic[1])
            return 0.05 + 0.02 * np.cos(phase + axis) + 0 * z

        return value

    def moved_by(f, cells):
        return lambda x, y, z, t: f(x + cells[0] * 8e3, y + cells[1] * 8e3, z, t)

    def shifted(cells):
        u, v = (moved_by(wave(axis), cells) for axis in (0, 1))
        make = lambda t: evaluate(grid, z, u, v, t=t)
        window = two(grid, z, make)
        p = cloud([8.0 - cells[0]], [6.0 - cells[1]], -1000.0)
        move(window, p, 10 * DAY)
        return p.xi[0] + cells[0], p.eta[0] + cells[1], p.z[0]

    moved = shifted((5 * periodic[0], 4 * periodic[1]))
    np.testing.assert_allclose(moved, shifted((0, 0)), rtol=0, atol=2e-5)


def test_an_a_grid_reaches_to_its_outermost_points_and_a_c_grid_half_a_cell_less():
    z = levels()
    ends = {}
    for stagger in ("A", "C"):
        grid = plane(nx=12, ny=10, stagger=stagger)
        window = two(grid, z, lambda t, grid=grid: still_omega(grid, z, lambda x, y, z, t: 0.1 + 0 * z, zero, t=t), dt=600.0)
        p = cloud([5.0], [5.0], -1000.0)
        move(window, p, 10 * DAY)
        assert p.status[0] == LEFT_DOMAIN
        ends[stagger] = p.xi[0]
    assert ends["A"] == pytest.approx(11.0, abs=0.01) and ends["C"] == pytest.approx(10.5, abs=0.01)


def test_a_particle_that_reaches_the_floor_of_a_partial_cell_is_grounded():
    z = levels()
    grid = plane(h=3500.0, stagger="A")
    window = two(grid, z, lambda t: still_omega(grid, z, zero, zero, t=t))
    p = cloud([10.0], [10.0], -3400.0, 50.0)
    move(window, p, 3 * DAY)
    assert p.status[0] == GROUNDED and -3505.0 < p.z[0] <= -3500.0


def test_the_true_vertical_velocity_on_an_a_grid_is_that_of_the_c_grid():
    z = levels()
    u = lambda x, y, z_, t: 1e-7 * x * np.exp(z_ / 1000.0)
    got = {}
    for stagger in ("A", "C"):
        grid = plane(nx=20, ny=16, stagger=stagger)
        made = evaluate(grid, z, u, zero)
        omega = omega_by_continuity(made.u, made.v, made.zeta, grid, z)
        got[stagger] = vertical_velocity_from_omega(made.u, made.v, made.zeta, omega, grid, z)
    np.testing.assert_allclose(got["A"], got["C"], atol=1e-10)
    expected = -1e-7 * 1000.0 * (np.exp(z.rho / 1000.0) - np.exp(-4.0))
    wet = z.rho > -3900.0
    np.testing.assert_allclose(got["C"][wet, 8, 10], expected[wet], atol=2e-6)


def test_a_flow_without_divergence_in_its_layers_keeps_particles_at_their_share_of_the_column():
    """Under a moving sea surface, z* and s-levels keep particles alike: along_layers gives such a flow for any coordinate."""
    z = levels(True)
    floor = -z.w[0]
    grid = plane(nx=30, ny=30, h=floor)
    psi = lambda x, y, t: 4000.0 * 2e5 * np.exp(-(x**2 + y**2) / (60e3) ** 2) * 1e-3
    tide = lambda x, y, t: 0.5 * np.sin(2 * np.pi * t / (12.4 * 3600.0)) + 0 * x
    hours = 3600.0
    window = Window(grid, z, dt=600.0)
    p = cloud([14.0, 18.0], [16.0, 15.0], [-1000.0, -3000.0])
    window.load(along_layers(grid, z, psi, tide, 0.0))
    for k in range(1, 25):
        window.load(along_layers(grid, z, psi, tide, k * hours))
        move(window, p, hours)
    zeta = float(tide(0.0, 0.0, 24 * hours))
    np.testing.assert_allclose(p.z, zeta + (1 + zeta / floor) * np.array([-1000.0, -3000.0]), atol=0.02)
    assert (p.status == ACTIVE).all()


@STAGGERS
def test_fields_of_a_solid_rotation_have_its_vorticity_and_end_at_the_sea_floor(stagger):
    z = levels()
    grid = plane(nx=16, ny=14, h=lambda x, y: np.where(x > 30e3, 2000.0, 4000.0), stagger=stagger)
    rate = 1e-6
    made = evaluate(grid, z, lambda x, y, z, t: -rate * y + 0 * z, lambda x, y, z, t: rate * x + 0 * z)
    ocean = AnalyticOcean(grid, z, np.array(["2000-01-01"], "datetime64[ns]"), None, None)
    east, north, vorticity = horizontal_velocity(ocean, made, (0.0, 750.0, 2250.0))
    inner = np.s_[:, 2:-2, 2:-2]
    np.testing.assert_allclose(vorticity[:2][inner], 2 * rate / 1.1e-4, rtol=1e-5)
    np.testing.assert_allclose(east[:2][inner], np.broadcast_to(-rate * grid.y_rho, east[:2].shape)[inner], atol=1e-7)
    deep = grid.x_rho > 30e3
    assert np.isnan(north[2][deep]).all() and np.isfinite(north[2, 2:-2, 2:8]).all()


def test_interfaces_of_smooth_levels_come_from_a_spline_and_those_of_standard_depths_are_midpoints():
    k = np.arange(75.0)
    depth_of = lambda k: 5.0 * k + 300.0 * np.log(np.cosh((k - 30.0) / 8.0) / np.cosh(30.5 / 8.0)) + 300 / 8 * (k + 0.5) + 2.5
    centres = depth_of(k)
    np.testing.assert_allclose(interface_depths(centres)[1:-1], depth_of(k[1:] - 0.5), atol=5e-3)
    hycom = np.array([0.01, 2, 4, 6, 8, 10, 12, 15, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90, 100, 125, 150, 200, 250, 300, 350,
                      400, 500, 600, 700, 800, 900, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000])  # fmt: skip
    np.testing.assert_allclose(interface_depths(hycom)[1:-1], 0.5 * (hycom[1:] + hycom[:-1]))
