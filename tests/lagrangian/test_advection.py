"""The compiled kernel against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from data.sphere import EARTH_RADIUS_KM, east_north
from lagrangian.advection import ACTIVE, GROUNDED, LEFT_DOMAIN, REACHED, WAITING
from lagrangian.config import DT_MINUTES, LEVELS
from lagrangian.window import TILE, Diffusivity, PreparedSnapshot, Window, _in_order
from tests.builders.analytic import (
    OLD_TRANSFORM,
    SHALLOW_TO_DEEP,
    along_layers,
    cloud,
    eddies,
    evaluate,
    move,
    plane,
    regular_sphere,
    sphere,
    still_omega,
    sweep,
    wandering_eddies,
    zero,
)
from tests.builders.plain_kernel import run_as_plain_python

DAY = 86400.0
TRANSFORMS = pytest.mark.parametrize("s", [SHALLOW_TO_DEEP, OLD_TRANSFORM], ids=["Vtransform 2", "Vtransform 1"])
RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def the_same_numbers_whichever_tests_run():
    """Start every test with the same random numbers."""
    RNG.bit_generator.state = np.random.default_rng(3).bit_generator.state


def pair(window, grid, s, t0=0.0, t1=DAY / 2, make=evaluate, **fields):
    for t in (t0, t1):
        window.load(make(grid, s, t=t, **fields))
    return window


def constant(value):
    return lambda x, y, z, t: value + 0.0 * z


# -- exact displacement -----------------------------------------------------------------------------------------------
@TRANSFORMS
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["forward", "backward"])
def test_uniform_flow_and_sinking_give_the_exact_displacement(s, sign):
    """Five speeds in one call, each particle from its own clock for its own time, in a flow that grows with time."""
    grid = plane()
    window = pair(Window(grid, s, dt=3000.0), grid, s, u=lambda x, y, z, t: 0.25 + 0.25 * t / DAY + 0.0 * z, v=constant(-0.125))
    w = np.array([80.0, 100.0, 150.0, 200.0, 300.0])
    clock, duration = DAY * np.array([0.0, 0.4, 0.2, 0.0, 0.1]), DAY * np.array([0.5, 0.1, 0.25, 0.01, 0.4])
    if sign < 0:
        clock, duration = clock + duration, -duration
    particles = cloud(10.3, 9.7, -1800.0, w, time=clock)
    move(window, particles, duration)
    gone = 0.25 * duration + 0.125 * ((clock + duration) ** 2 - clock**2) / DAY
    np.testing.assert_allclose((particles.xi - 10.3) * 8e3, gone, atol=1e-6)
    np.testing.assert_allclose((particles.eta - 9.7) * 8e3, -0.125 * duration, atol=1e-6)
    np.testing.assert_allclose(particles.z + 1800.0, -w / DAY * duration, atol=1e-6)
    assert (particles.status == ACTIVE).all()


def test_levels_are_crossed_at_their_exact_times_and_places():
    """Speeds mixed, released at their own instants within windows, several levels in one step among them."""
    grid, s = plane(nx=60), SHALLOW_TO_DEEP
    prepare = lambda t: evaluate(grid, s, constant(0.0625), constant(0.0), t=t)
    w = np.array([300.0, 200.0, 300.0, 150.0, 100.0, 80.0, 4400.0])
    release = DAY * np.array([40.0, 40.0, 37.3, 38.9, 40.0, 36.01, 2.5])
    particles = cloud(45.0, 8.0 + 0.5 * np.arange(7), -3000.0, w, time=release, levels=len(LEVELS))
    sweep(grid, s, prepare, particles, t_from=40 * DAY, t_to=0.0, every=DAY / 2, dt=7200.0, levels=LEVELS)
    assert (particles.status == REACHED).all()
    taken = DAY * (3000.0 - np.array(LEVELS)) / w[:, None]
    np.testing.assert_allclose(particles.crossings[:, :, 2], release[:, None] - taken, atol=1e-3)
    np.testing.assert_allclose(particles.crossings[:, :, 0], 45.0 - 0.0625 * taken / 8e3, atol=1e-8)
    np.testing.assert_allclose(particles.crossings[:, :, 1], particles.eta[:, None] + 0 * taken, atol=1e-12)
    assert (np.diff(particles.crossings[:, :, 2], axis=1) < 0).all()  # deepest first


@pytest.mark.parametrize("level", [12.0, 6.0, 2.0])
def test_levels_close_below_the_surface_are_crossed_at_their_exact_times(level):
    """Also in the step that ends at the surface: 25 m at 300 m/d and the default dt."""
    grid, s, w = plane(), SHALLOW_TO_DEEP, 300.0
    starts = -level - np.array([1.0, 5.0, 12.0, 20.0, 24.0])
    window = pair(Window(grid, s, dt=60 * DT_MINUTES, levels=(level,)), grid, s, u=zero, v=zero)
    particles = cloud(9.0, 9.0, starts, w, time=DAY / 2, levels=1)
    move(window, particles, -DAY / 2)
    depth = starts + w / DAY * (DAY / 2 - particles.crossings[:, 0, 2])
    np.testing.assert_allclose(depth, -level, atol=0.1)


def test_levels_not_reached_have_no_crossing():
    grid, s = plane(), SHALLOW_TO_DEEP
    window = pair(Window(grid, s, dt=7200.0, levels=(2500.0, 2000.0, 1000.0)), grid, s, u=zero, v=zero)
    particles = cloud(9.0, 9.0, -2520.0, [100.0, 10.0], time=DAY / 2, levels=3)
    move(window, particles, -DAY / 2)
    assert particles.next_level.tolist() == [1, 0] and (particles.status == ACTIVE).all()
    assert np.isfinite(particles.crossings[0, 0]).all() and np.isnan(particles.crossings[0, 1:]).all()
    assert np.isnan(particles.crossings[1]).all()


def test_depth_at_the_time_of_a_crossing_is_that_of_the_level_within_a_tenth_of_a_metre():
    grid = plane(nx=80, ny=80, h=lambda x, y: 4200 + 400 * np.cos(x / 90e3) * np.sin(y / 70e3))
    s, n, first = SHALLOW_TO_DEEP, 60, 12 * DAY
    u, v, zeta = wandering_eddies(area=500e3)
    xi, eta, w = RNG.uniform(30, 50, n), RNG.uniform(30, 50, n), RNG.choice([80.0, 150.0, 300.0], n)
    times = np.arange(24, -1, -1) * DAY / 2
    made = {t: evaluate(grid, s, u, v, zeta=zeta, t=t) for t in times}
    levels = (2500.0, 2000.0, 1000.0)
    coarse = cloud(xi, eta, -2600.0, w, time=first, levels=3)
    sweep(grid, s, made.get, coarse, t_from=first, t_to=0.0, every=DAY / 2, dt=60 * DT_MINUTES, levels=levels)
    worst = 0.0
    for level in range(3):
        crossed = coarse.crossings[:, level, 2]
        there = np.isfinite(crossed)
        assert there.sum() > n / 4
        # an independent walk, in short steps, to the very instant of each crossing
        fine = cloud(xi[there], eta[there], -2600.0, w[there], time=first)
        window = Window(grid, s, dt=60.0)
        window.load(made[times[0]])
        for t in times[1:]:
            window.load(made[t])
            move(window, fine, np.minimum(np.maximum(t, crossed[there]) - fine.time, 0.0))
        np.testing.assert_allclose(fine.time, crossed[there], atol=1e-6)
        worst = max(worst, np.abs(fine.z + levels[level]).max())
    print(f"depth at the crossings: off by {worst:.1e} m at most")
    assert worst < 0.1


@TRANSFORMS
def test_crossings_over_a_slope_and_under_a_tide_lie_on_the_path(s):
    """Where s-surfaces rise and fall steeply under the particle, against an independent walk in short steps."""
    grid = plane(nx=60, ny=9, dx=4e3, h=lambda x, y: 4500.0 - 1500.0 * np.exp(-((x / 40e3) ** 2)))
    tide = lambda x, y, t: 3.0 * np.sin(2 * np.pi * t / (DAY / 2)) + 0.0 * x
    levels = tuple(np.arange(1500.0, 4.0, -5.0))
    made = {t: still_omega(grid, s, constant(0.6), zero, zeta=tide, t=t) for t in np.arange(0, 49) * 3600.0}
    start, speed = np.array([-1505.0, -1200.0, -700.0, -130.0]), np.array([300.0, 300.0, 200.0, 80.0])
    coarse = cloud([30.0, 35.0, 40.0, 33.0], 4.0, start, speed, time=2 * DAY, levels=len(levels))
    sweep(grid, s, made.get, coarse, t_from=2 * DAY, t_to=0.0, every=3600.0, dt=3600.0, levels=levels)
    path, fine = [], cloud([30.0, 35.0, 40.0, 33.0], 4.0, start, speed, time=2 * DAY)
    window = Window(grid, s, dt=60.0)
    window.load(made[2 * DAY])
    for hour in range(47, -1, -1):
        window.load(made[hour * 3600.0])
        for _ in range(60):
            path.append(fine.z.copy())
            move(window, fine, -60.0)
    clock, path = 2 * DAY - 60.0 * np.arange(len(path)), np.array(path)
    worst = 0.0
    for p in range(4):
        crossed = np.isfinite(coarse.crossings[p, :, 2]) & (np.array(levels) <= -start[p])
        assert crossed.sum() >= 5
        depth = -np.interp(-coarse.crossings[p, crossed, 2], -clock, path[:, p])
        worst = max(worst, np.abs(depth - np.array(levels)[crossed]).max())
    print(f"depth at the crossings: off by {worst:.1e} m at most")
    assert worst < 0.1


@pytest.mark.parametrize("kappa", [0.0, 50.0], ids=["", "random walk"])
def test_crossings_are_the_same_to_the_last_bit_whoever_else_crosses(kappa):
    """More crossings than wait together, over a floor so steep that steps are redone several times, and each particle alone."""
    n = WAITING + 3
    grid = plane(nx=60, ny=9, dx=4e3, h=lambda x, y: 4500.0 - 2500.0 * np.exp(-((x / 20e3) ** 2)))
    levels = tuple(np.arange(1500.0, 300.0, -20.0))
    options = {"dt": 7200.0, "levels": levels, "diffusivity": Diffusivity((0.0,), (kappa,))}
    window = pair(Window(grid, SHALLOW_TO_DEEP, **options), grid, SHALLOW_TO_DEEP, make=still_omega, u=constant(0.6), v=zero)
    place, start, speed = RNG.uniform(20, 40, n), RNG.uniform(-1500, -400, n), RNG.choice([80.0, 150.0, 300.0], n)
    together = cloud(place, 4.0, start, speed, time=DAY / 2, levels=len(levels))
    together.next_level[:] = [sum(-level < z for level in levels) for z in start]
    alone = np.full_like(together.crossings, np.nan)
    for p in range(n):
        one = cloud(place[p], 4.0, start[p], speed[p], time=DAY / 2, levels=len(levels))
        one.next_level[:], one.uid[:] = together.next_level[p], together.uid[p]
        move(window, one, -DAY / 2)
        alone[p] = one.crossings[0]
    move(window, together, -DAY / 2)
    assert np.isfinite(alone).all(axis=2).sum() > 2 * WAITING
    np.testing.assert_array_equal(together.crossings, alone)


@TRANSFORMS
@pytest.mark.parametrize("w_points", ["s_w", "s_rho"])
def test_uniform_upward_velocity_lifts_by_86_4_m_a_day_at_every_depth(s, w_points):
    grid, depths = plane(h=4000.0), np.array([-3000.0, -2000.0, -500.0])
    still = lambda x, y, t: 0.5 + 0.0 * x
    for zeta in (None, still):
        window = Window(grid, s, dt=7200.0)
        for t in (0.0, DAY):
            window.load(evaluate(grid, s, zero, zero, w=constant(1e-3), zeta=zeta, t=t, w_points=w_points))
        particles = cloud(9.3, 8.4, depths)
        move(window, particles, DAY)
        np.testing.assert_allclose(particles.z, depths + 86.4, atol=1e-4)


# -- where velocities stand -------------------------------------------------------------------------------------------
@TRANSFORMS
def test_velocities_linear_in_space_and_time_are_reproduced_off_the_nodes(s):
    grid = plane(dx=8e3, dy=6e3, h=lambda x, y: 4000.0 + 0.002 * x - 0.001 * y)

    def linear(a, b, c, d, e):
        return lambda x, y, z, t: (a + b * x / 1e5 + c * y / 1e5 + d * z / 4e3) * (1 + e * t / DAY)

    u, v, w = linear(0.1, 0.2, -0.3, 0.15, 0.5), linear(-0.2, 0.1, 0.25, -0.1, -0.25), linear(1e-3, 2e-4, -3e-4, 5e-4, 1.0)
    free = lambda x, y, t: 0.4 + 0.1 * x / 1e5 + 0.3 * t / DAY
    n, moment = 400, 0.3 * DAY
    xi, eta = RNG.uniform(1, grid.shape[1] - 2, n), RNG.uniform(1, grid.shape[0] - 2, n)
    x, y = grid.native_position(xi, eta)
    z = RNG.uniform(-3300.0, -120.0, n)
    for w_points in ("s_w", "s_rho"):
        window = Window(grid, s, dt=1e6)
        for t in (0.0, DAY):
            window.load(evaluate(grid, s, u, v, w=w, zeta=free, t=t, w_points=w_points))
        particles = cloud(xi, eta, z, time=moment)
        step = 1.0
        move(window, particles, step)
        middle = moment + step / 2
        # h, and with it z at u points, is linear in x, y; what remains is the curvature of the transform in h and zeta
        np.testing.assert_allclose((particles.xi - xi) * 8e3 / step, u(x, y, z, middle), atol=2e-6)
        np.testing.assert_allclose((particles.eta - eta) * 6e3 / step, v(x, y, z, middle), atol=2e-6)
        np.testing.assert_allclose((particles.z - z) / step, w(x, y, z, middle), atol=2e-8)


@TRANSFORMS
@pytest.mark.parametrize("vertical", ["s_w", "s_rho", "omega"])
def test_on_flat_layers_linear_velocities_are_reproduced_to_float32_accuracy(s, vertical):
    """u at u points, v at v points, w at rho points of interfaces or of centres, omega: none half a cell or a layer off."""
    grid = plane(dx=8e3, dy=6e3, h=4000.0)
    u = lambda x, y, z, t: 0.11 + 1.9e-6 * x - 2.7e-6 * y + 4.3e-5 * z
    v = lambda x, y, z, t: -0.23 + 1.3e-6 * x + 2.1e-6 * y - 3.7e-5 * z
    w = lambda x, y, z, t: 1e-3 + 3.1e-9 * x - 2.3e-9 * y + 1.7e-7 * z
    level = lambda x, y, t: 0.7 + 0.0 * x
    n = 400
    xi, eta, z = RNG.uniform(0.5, 22.5, n), RNG.uniform(0.5, 18.5, n), np.empty(n)
    lowest, highest = s.z_rho(np.array(4000.0), np.array(0.7))[[0, -1]]
    z[:] = RNG.uniform(lowest, highest, n)
    x, y = grid.native_position(xi, eta)
    window = Window(grid, s, dt=1e6)
    for t in (0.0, DAY):
        made = evaluate(grid, s, u, v, w=w, zeta=level, t=t, w_points="s_rho" if vertical == "s_rho" else "s_w")
        window.load(PreparedSnapshot(t, made.u, made.v, made.zeta, made.vertical_velocity, is_omega=vertical == "omega"))
    particles = cloud(xi, eta, z, time=0.4 * DAY)
    step = 0.01  # so short that the velocity does not change on the way
    move(window, particles, step)
    np.testing.assert_allclose((particles.xi - xi) * 8e3 / step, u(x, y, z, 0), rtol=0, atol=5e-8)
    np.testing.assert_allclose((particles.eta - eta) * 6e3 / step, v(x, y, z, 0), rtol=0, atol=5e-8)
    np.testing.assert_allclose((particles.z - z) / step, w(x, y, z, 0), rtol=0, atol=3e-10)


def test_outermost_half_layers_keep_the_velocity_of_the_last_centre():
    grid, s, z = plane(), SHALLOW_TO_DEEP, np.array([-3999.0, -0.5])
    window = pair(Window(grid, s, dt=3600.0), grid, s, make=still_omega, u=lambda x, y, z, t: z / 4e4, v=zero)
    particles = cloud(9.3, 8.4, z)
    move(window, particles, 3600.0)
    centres = s.z_rho(np.array(4000.0), np.array(0.0))[[0, -1]]
    np.testing.assert_allclose((particles.xi - 9.3) * 8e3 / 3600.0, centres / 4e4, rtol=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["forward", "backward"])
def test_solid_body_rotation_shows_fourth_order_in_dt(sign):
    grid, s = plane(nx=60, ny=60), SHALLOW_TO_DEEP
    turn = 2 * np.pi / (5 * DAY)
    made = [still_omega(grid, s, lambda x, y, z, t: -turn * y, lambda x, y, z, t: turn * x, t=t) for t in (0.0, 10 * DAY)]
    radius, angle = np.array([5.0, 12.0, 20.0]), np.array([0.3, 2.0, 4.0])
    steps, error = [28800.0, 14400.0, 7200.0], []
    for dt in steps:
        window = Window(grid, s, dt=dt)
        for snapshot in made:
            window.load(snapshot)
        particles = cloud(29.5 + radius * np.cos(angle), 29.5 + radius * np.sin(angle), -1000.0, time=5 * DAY)
        move(window, particles, sign * 4 * DAY)
        later = angle + sign * turn * 4 * DAY
        error.append(np.hypot(particles.xi - 29.5 - radius * np.cos(later), particles.eta - 29.5 - radius * np.sin(later)))
    order = np.log2(np.array(error[:-1]) / error[1:])
    print(f"order {order.round(2).tolist()}; error at 20 cells {[f'{value[-1] * 8e3:.2f} m' for value in error]}")
    assert (order > 3.7).all() and (order < 5.3).all()


def geographic_path(grid, s, angle, u, v, x0, y0, dt=1800.0, days=6):
    """End of a path of particles from (x0, y0) m on a grid whose axes are turned by ``angle``."""

    def along(x, y, z, t):
        return np.cos(angle) * u(x, y, z, t) + np.sin(angle) * v(x, y, z, t)

    def across(x, y, z, t):
        return -np.sin(angle) * u(x, y, z, t) + np.cos(angle) * v(x, y, z, t)

    particles = cloud(*grid.locate(x0, y0), -1000.0, 50.0, time=days * DAY)
    prepare = lambda t: still_omega(grid, s, along, across, t=t)
    sweep(grid, s, prepare, particles, t_from=days * DAY, t_to=0.0, every=DAY / 2, dt=dt)
    return np.array(grid.native_position(particles.xi, particles.eta)), particles.z


def test_a_rotated_grid_gives_the_same_place_and_the_difference_falls_at_second_order():
    s = SHALLOW_TO_DEEP
    u, v = eddies(width=100e3)
    x0, y0 = RNG.uniform(-60e3, 60e3, 40), RNG.uniform(-60e3, 60e3, 40)
    gap = []
    for dx in (8e3, 4e3):
        n = int(480e3 / dx) + 1
        ends = [geographic_path(plane(n, n, dx, angle=angle), s, angle, u, v, x0, y0)[0] for angle in (0.0, 0.6)]
        gap.append(np.median(np.hypot(*(ends[0] - ends[1]))))
    print(f"median gap {gap} m")
    assert gap[0] < 300.0
    assert gap[0] / gap[1] > 3.3


def test_on_a_sphere_an_eastward_flow_keeps_to_its_parallel():
    """Also on a rotated grid: 0.2 m/s east for 5 days is 86.4 km along the parallel."""
    for angle in (0.0, 0.5):
        grid, s = sphere(angle=angle), SHALLOW_TO_DEEP
        cosine, sine = np.cos(grid.angle), np.sin(grid.angle)
        made = []
        for t in (0.0, 5 * DAY):
            u = 0.2 * 0.5 * (cosine[:, 1:] + cosine[:, :-1]) * np.ones((s.n, 1, 1))
            v = -0.2 * 0.5 * (sine[1:] + sine[:-1]) * np.ones((s.n, 1, 1))
            blank = still_omega(grid, s, zero, zero, t=t)
            made.append(type(blank)(t, u.astype(np.float32), v.astype(np.float32), blank.zeta, blank.vertical_velocity))
        window = Window(grid, s, dt=7200.0)
        for snapshot in made:
            window.load(snapshot)
        lon0, lat0 = np.array([-17.5, -17.0]), np.array([48.8, 49.3])
        particles = cloud(*grid.locate(lon0, lat0), -1000.0)
        move(window, particles, 5 * DAY)
        lon, lat = grid.position(particles.xi, particles.eta)
        expected = np.rad2deg(0.2 * 5 * DAY / (6371315.0 * np.cos(np.deg2rad(lat0))))
        np.testing.assert_allclose(lon - lon0, expected, rtol=2e-4)
        np.testing.assert_allclose(lat, lat0, atol=3e-4)


def test_along_a_parallel_degrees_are_metres_over_the_cosine_of_latitude():
    """A grid of meridians and parallels: u east moves along the parallel, v north along the meridian, to rounding."""
    grid, s = regular_sphere(lat0=60.0), SHALLOW_TO_DEEP
    one_degree = np.pi / 180 * EARTH_RADIUS_KM * 1e3
    lon0, lat0 = np.array([-17.63, -17.04]), np.array([59.15, 60.75])  # on rows of the grid, where pm is given
    window = pair(Window(grid, s, dt=7200.0), grid, s, t1=4 * DAY, make=still_omega, u=constant(0.25), v=zero)
    particles = cloud(*grid.locate(lon0, lat0), -1000.0)
    move(window, particles, 4 * DAY)
    lon, lat = grid.position(particles.xi, particles.eta)
    np.testing.assert_allclose(lon - lon0, 0.25 * 4 * DAY / one_degree / np.cos(np.deg2rad(lat0)), rtol=1e-9)
    np.testing.assert_allclose(lat, lat0, atol=1e-9)
    window = pair(Window(grid, s, dt=7200.0), grid, s, t1=4 * DAY, make=still_omega, u=zero, v=constant(-0.25))
    particles = cloud(*grid.locate(lon0, lat0), -1000.0, time=4 * DAY)
    move(window, particles, -3 * DAY)
    lon, lat = grid.position(particles.xi, particles.eta)
    np.testing.assert_allclose(lat - lat0, 0.25 * 3 * DAY / one_degree, rtol=1e-9)
    np.testing.assert_allclose(lon, lon0, atol=1e-9)


def geographic(grid, s, east, north, t):
    """Flow given eastward and northward as functions of (lon, lat, t), on the grid's own axes; omega = 0."""

    def at_faces(axis):
        first, last = np.arange(grid.shape[axis] - 1), np.arange(1, grid.shape[axis])
        fields = (grid.x_rho, grid.y_rho, grid.angle)
        lon, lat, angle = (0.5 * (np.take(field, first, axis) + np.take(field, last, axis)) for field in fields)
        return east(lon, lat, t), north(lon, lat, t), angle

    e, n, angle = at_faces(1)
    u = np.cos(angle) * e + np.sin(angle) * n
    e, n, angle = at_faces(0)
    v = np.cos(angle) * n - np.sin(angle) * e
    u, v = (np.ascontiguousarray(np.broadcast_to(face, (s.n, *face.shape)), np.float32) for face in (u, v))
    return PreparedSnapshot(t, u, v, np.zeros(grid.shape, np.float32), np.zeros((s.n + 1, *grid.shape), np.float32))


def test_on_a_rotated_sphere_eddies_lead_to_the_same_place_and_the_difference_falls_at_second_order():
    s, one_degree = SHALLOW_TO_DEEP, np.pi / 180 * EARTH_RADIUS_KM * 1e3
    u, v = eddies(width=100e3)

    def local(field):
        return lambda lon, lat, t: field((lon + 16.5) * one_degree * np.cos(np.deg2rad(49.0)), (lat - 49.0) * one_degree, 0.0, t)

    lon0, lat0 = RNG.uniform(-17.2, -15.8, 40), RNG.uniform(48.5, 49.5, 40)
    gap = []
    for dx in (8e3, 4e3):
        ends, n = [], int(480e3 / dx) + 1
        for angle in (0.0, np.deg2rad(30)):
            grid = sphere(n, n, dx, angle=angle)
            particles = cloud(*grid.locate(lon0, lat0), -1000.0, 50.0, time=4 * DAY)
            prepare = lambda t, grid=grid: geographic(grid, s, local(u), local(v), t)
            sweep(grid, s, prepare, particles, t_from=4 * DAY, t_to=0.0, every=DAY / 2, dt=1800.0)
            ends.append(grid.position(particles.xi, particles.eta))
        apart = np.hypot(*east_north(*ends[0], *ends[1])) * 1e3
        travelled = np.hypot(*east_north(*ends[0], lon0, lat0)) * 1e3
        gap.append(np.median(apart))
    print(f"median gap {gap} m after {np.median(travelled) / 1e3:.0f} km")
    assert np.median(travelled) > 30e3
    assert gap[0] < 300.0 and gap[0] / gap[1] > 3.3


# -- s-surfaces and the free surface ----------------------------------------------------------------------------------
def level_number(grid, s, particles, zeta):
    """Continuous number of the interface that each particle is on, from z, h and zeta."""
    h = grid.sample(grid.h, particles.xi, particles.eta)
    free = grid.sample(zeta, particles.xi, particles.eta)
    interfaces = s.z_w(h, free)
    return np.array([np.interp(particles.z[p], interfaces[:, p], np.arange(s.n + 1)) for p in range(h.size)])


def seamount(x, y):
    return 4500.0 - 2500.0 * np.exp(-(x**2 + y**2) / (40e3) ** 2)


@TRANSFORMS
def test_over_a_seamount_a_particle_without_sinking_stays_on_its_s_surface(s):
    grid = plane(nx=40, ny=30, h=seamount)
    free = lambda x, y, t: 0.5 * np.sin(x / 30e3 - t / DAY)
    n = 100
    particles = cloud(RNG.uniform(5, 12, n), RNG.uniform(8, 22, n), RNG.uniform(-2000.0, -100.0, n))
    start = free(grid.x_rho, grid.y_rho, 0.0).astype(np.float32).astype(float)
    before, height = level_number(grid, s, particles, start), particles.z.copy()
    prepare = lambda t: still_omega(grid, s, constant(0.4), constant(0.02), zeta=free, t=t)
    sweep(grid, s, prepare, particles, t_from=0.0, t_to=4 * DAY, every=DAY / 2, dt=7200.0)
    after = level_number(grid, s, particles, free(grid.x_rho, grid.y_rho, 4 * DAY).astype(np.float32).astype(float))
    np.testing.assert_allclose(after, before, atol=1e-7)
    assert np.abs(particles.z - height).max() > 300.0  # they did go over the mount
    assert (particles.status == ACTIVE).all()


@TRANSFORMS
def test_over_a_seamount_a_flow_without_divergence_in_its_layers_keeps_particles_on_them(s):
    """omega by continuity, under a free surface that moves: a particle without sinking stays on its s-surface."""
    grid, n = plane(nx=40, ny=30, h=seamount), 100
    psi = lambda x, y, t: -0.4 * y + 8e3 * np.sin(x / 25e3 - 0.3 * t / DAY) * np.cos(y / 30e3)
    free = lambda x, y, t: 0.5 * np.sin(x / 30e3 - t / DAY)
    particles = cloud(RNG.uniform(5, 12, n), RNG.uniform(8, 22, n), RNG.uniform(-2000.0, -100.0, n))
    made = {t: along_layers(grid, s, psi, free, t) for t in np.arange(9) * DAY / 2}
    assert np.abs(made[0.0].vertical_velocity).max() < 1e-8
    before, height = level_number(grid, s, particles, made[0.0].zeta.astype(float)), particles.z.copy()
    sweep(grid, s, made.get, particles, t_from=0.0, t_to=4 * DAY, every=DAY / 2, dt=7200.0)
    after = level_number(grid, s, particles, made[4 * DAY].zeta.astype(float))
    print(f"moved {np.abs(particles.z - height).max():.0f} m up and down, {np.abs(after - before).max():.1e} layers")
    np.testing.assert_allclose(after, before, atol=1e-4)
    assert np.abs(particles.z - height).max() > 200.0 and (particles.status == ACTIVE).all()


@TRANSFORMS
def test_over_a_seamount_a_level_flow_keeps_its_height_to_second_order_in_the_spacing(s):
    """omega = -u dz/dx of the s-surfaces is a flow without vertical motion, whatever the layers do; sinking adds to it."""
    floor = lambda x: 4500.0 - 1500.0 * np.exp(-((x / 40e3) ** 2))
    slope = lambda x: 2 * x / 40e3**2 * 1500.0 * np.exp(-((x / 40e3) ** 2))
    speed, start, sinking = 0.3, np.array([-2500.0, -1500.0, -400.0]), np.array([0.0, 20.0, 0.0])
    error = []
    for dx in (8e3, 2e3):
        grid = plane(int(240e3 / dx) + 1, 5, dx, h=lambda x, y: floor(x))
        step = 1.0  # of h, m: z is as good as linear in h over it
        rise = (s.z_w(grid.h + step, np.array(0.0)) - s.z_w(grid.h - step, np.array(0.0))) / (2 * step)
        omega = (-speed * rise * slope(grid.x_rho)).astype(np.float32)
        window = Window(grid, s, dt=900.0)
        for t in (0.0, 6 * DAY):
            flow = still_omega(grid, s, constant(speed), zero, t=t)
            window.load(PreparedSnapshot(t, flow.u, flow.v, flow.zeta, omega))
        particles, heights = cloud(grid.locate(-70e3, 0.0)[0], 2.0, start, sinking), []
        for _ in range(576):
            move(window, particles, 900.0)
            heights.append(particles.z.copy())
        assert (particles.xi * dx - 120e3 > 70e3).all() and (particles.status == ACTIVE).all()
        fallen = np.arange(1, 577)[:, None] / 96 * sinking
        error.append(np.abs(heights - start + fallen).max())
    order = np.log2(error[0] / error[1]) / 2
    print(f"height kept within {error[0]:.2f} m at 8 km, {error[1]:.2f} m at 2 km: order {order:.2f}")
    assert error[0] < 10.0 and order > 1.8


@TRANSFORMS
def test_a_moving_free_surface_carries_the_surface_particle(s):
    grid = plane(h=4000.0)
    free = lambda x, y, t: 1.5 * t / DAY + 0.0 * x
    window = pair(Window(grid, s, dt=7200.0), grid, s, make=still_omega, u=zero, v=zero, zeta=free)
    particles = cloud(9.4, 8.2, [0.0, -2000.0, -4000.0 + 1e-6])
    move(window, particles, DAY / 2)
    np.testing.assert_allclose(particles.z, [0.75, -2000.0 + 0.375, -4000.0], atol=1e-5)


@TRANSFORMS
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["forward", "backward"])
def test_an_oscillating_surface_takes_each_particle_along_in_proportion_to_its_height_over_the_floor(s, sign):
    grid = plane(nx=50, ny=40, h=3000.0)
    free = lambda x, y, t: 1.5 * np.sin(2 * np.pi * t / (2 * DAY)) * np.cos(x / 60e3) + 0.5 * np.cos(y / 50e3)
    xi, eta = np.array([24.4, 20.0, 29.2, 24.4, 24.4]), np.array([18.2, 17.5, 21.0, 18.2, 18.2])
    share = np.array([1.0, 1.0, 1.0, 0.5, 0.1])
    stored = lambda t: free(grid.x_rho, grid.y_rho, t).astype(np.float32).astype(float)
    height = lambda p, t: share * (3000.0 + grid.sample(stored(t), p.xi, p.eta)) - 3000.0
    for flow in (0.0, 0.2):
        t = 0.0 if sign > 0 else 4 * DAY
        particles = cloud(xi, eta, 0.0, time=t)
        particles.z[:] = height(particles, t)
        window = Window(grid, s, dt=3600.0)
        make = lambda t, flow=flow: still_omega(grid, s, constant(flow), constant(-flow / 2), zeta=free, t=t)
        window.load(make(t))
        for _ in range(24):
            t += sign * DAY / 6
            window.load(make(t))
            move(window, particles, sign * DAY / 6)
            np.testing.assert_allclose(particles.z, height(particles, t), atol=1e-6)
        assert (particles.status == ACTIVE).all() and (flow == 0.0 or (np.abs(particles.xi - xi) > 5).all())


@TRANSFORMS
def test_sinking_through_still_water_under_a_rising_surface_follows_the_closed_form(s):
    """The share f of the column below the particle falls as w / (h + zeta): f = f0 - w / r ln((h + zeta1) / (h + zeta0))."""
    h, rate, w = 400.0, 3.0 / (DAY / 2), 300.0
    grid = plane(h=h)
    make = lambda t: still_omega(grid, s, zero, zero, zeta=lambda x, y, t: rate * t + 0.0 * x, t=t)
    start = np.array([-20.0, -60.0, -140.0, -200.0])
    particles = cloud(9.4, 8.2, start, w)
    sweep(grid, s, make, particles, t_from=0.0, t_to=DAY / 2, every=DAY / 2, dt=6 * 3600.0)
    share = (start + h) / h - w / DAY / rate * np.log((h + 3.0) / h)
    np.testing.assert_allclose(particles.z, share * (h + 3.0) - h, atol=2e-3)


@TRANSFORMS
def test_sinking_over_a_slope_depends_little_on_dt(s):
    """As the s-surfaces tilt and stretch below it: from steps of 6 h to steps of a minute less than 1 cm in two days."""
    grid = plane(nx=40, ny=8, h=lambda x, y: 2500.0 - 0.008 * x)
    make = lambda t: still_omega(grid, s, constant(0.5), zero, zeta=lambda x, y, t: 2.0 * np.sin(t / DAY) + 0.0 * x, t=t)
    ends = []
    for dt in (6 * 3600.0, 60.0):
        particles = cloud(6.0, 4.0, [-100.0, -400.0, -800.0], [300.0, 200.0, 100.0])
        sweep(grid, s, make, particles, t_from=0.0, t_to=2 * DAY, every=DAY / 2, dt=dt)
        assert (particles.status == ACTIVE).all()
        ends.append(particles.z)
    print(f"6 h against 1 min: {np.abs(ends[0] - ends[1]).max():.1e} m")
    np.testing.assert_allclose(ends[0], ends[1], atol=0.01)


def test_omega_by_continuity_of_a_horizontally_divergent_flow_lifts_as_the_closed_form_says():
    """u = a x over a flat floor: W(z) = -a (z + h); the surface falls as W says, and a particle with it."""
    a, h = 1e-7, 4000.0
    grid, s = plane(nx=40, ny=30, h=h), SHALLOW_TO_DEEP
    free = lambda x, y, t: h * (np.exp(-a * t) - 1) + 0.0 * x
    particles = cloud(20.3, 12.2, [-3000.0, -1000.0, -50.0])
    prepare = lambda t: evaluate(grid, s, lambda x, y, z, t: a * x, zero, zeta=free, t=t)
    sweep(grid, s, prepare, particles, t_from=0.0, t_to=4 * DAY, every=DAY / 2, dt=7200.0)
    expected = (np.array([-3000.0, -1000.0, -50.0]) + h) * np.exp(-a * 4 * DAY) - h
    np.testing.assert_allclose(particles.z, expected, atol=0.02)
    assert np.abs(expected + np.array([3000.0, 1000.0, 50.0])).min() > 30


def test_back_and_forth_over_35_days_closes_within_100_m_at_the_default_dt():
    grid, s = plane(nx=128, ny=128, dx=8e3, h=4800.0), SHALLOW_TO_DEEP
    u, v = eddies(width=80e3, speed=0.3)
    n = 300
    particles = cloud(RNG.uniform(52, 76, n), RNG.uniform(52, 76, n), -3000.0, 80.0, time=35 * DAY)
    start = particles.take(np.arange(n))
    made = {}

    def prepare(t):
        return made.setdefault(t, evaluate(grid, s, u, v, t=t))

    dt = 60.0 * DT_MINUTES
    sweep(grid, s, prepare, particles, t_from=35 * DAY, t_to=0.0, every=DAY / 2, dt=dt)
    travelled = 8e3 * np.hypot(particles.xi - start.xi, particles.eta - start.eta)
    sweep(grid, s, prepare, particles, t_from=0.0, t_to=35 * DAY, every=DAY / 2, dt=dt)
    error = 8e3 * np.hypot(particles.xi - start.xi, particles.eta - start.eta)
    print(f"travelled {np.median(travelled) / 1e3:.0f} km; closure median {np.median(error):.2f} m, largest {error.max():.1f} m")
    assert np.median(travelled) > 50e3
    assert np.median(error) < 5.0 and error.max() < 100.0
    assert np.abs(particles.z + 3000.0).max() < 1.0


def test_back_and_forth_closes_among_wandering_eddies_over_an_uneven_floor():
    """As a campaign meets it: 60 to 100 km wide, 20 to 40 cm/s, over hills, omega by continuity, a window every 12 h."""
    floor = lambda x, y: 4500.0 + 200.0 * np.sin(x / 60e3) * np.cos(y / 45e3)
    grid, s, n = plane(nx=110, ny=110, dx=8e3, h=floor), SHALLOW_TO_DEEP, 300
    u, v, zeta = wandering_eddies(count=70)
    particles = cloud(RNG.uniform(42, 67, n), RNG.uniform(42, 67, n), -3300.0, 80.0, time=35 * DAY)
    start, made = particles.take(np.arange(n)), {}

    def prepare(t):
        if t not in made:
            made[t] = evaluate(grid, s, u, v, zeta=zeta, t=t)
        return made[t]

    options = dict(every=DAY / 2, dt=60.0 * DT_MINUTES)
    sweep(grid, s, prepare, particles, t_from=35 * DAY, t_to=0.0, **options)
    travelled = 8e3 * np.hypot(particles.xi - start.xi, particles.eta - start.eta)
    assert particles.z.max() < -20.0  # none has met the surface, from where there is no way back
    detour = np.abs(particles.z + 3300.0 - 35 * 80.0)  # how far omega has moved them
    sweep(grid, s, prepare, particles, t_from=0.0, t_to=35 * DAY, **options)
    assert (particles.status == ACTIVE).all()
    error = 8e3 * np.hypot(particles.xi - start.xi, particles.eta - start.eta)
    print(
        f"travelled {np.median(travelled) / 1e3:.0f} km, {np.median(detour):.0f} m by omega; closure median "
        f"{np.median(error):.3f} m, largest {error.max():.2f} m; in depth {np.abs(particles.z + 3300).max():.3f} m"
    )
    assert np.median(travelled) > 50e3 and np.median(detour) > 20.0
    assert np.median(error) < 5.0 and error.max() < 100.0
    assert np.abs(particles.z + 3300.0).max() < 1.0


# -- edges ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("periodic", [(True, True), (True, False), (False, True)], ids=["both ways", "along xi", "along eta"])
def test_a_periodic_domain_goes_on_like_its_larger_copy(periodic):
    s, n = SHALLOW_TO_DEEP, 25
    k = np.pi / 48e3  # repeats after 96 km; 24 cells of 8 km hold two
    along, across = (0.25 * repeats for repeats in periodic)
    swirl = lambda x, y, z, t: along - 0.5 * np.sin(k * x) * np.cos(k * y) * np.exp(z / 3e3)
    swirl_v = lambda x, y, z, t: across + 0.5 * np.cos(k * x) * np.sin(k * y) * np.exp(z / 3e3)
    floor = lambda x, y: 4000.0 + 300.0 * np.cos(k * x) * np.cos(k * y)
    free = lambda x, y, t: 0.2 * np.cos(k * x) + 0.1 * np.sin(k * y + t / DAY)
    copies = [5 if repeats else 1 for repeats in periodic]
    shift = [(n - 1) * (c // 2) for c in copies]
    small = plane(n, n, h=floor, periodic=periodic)
    large = plane(copies[0] * (n - 1) + 1, copies[1] * (n - 1) + 1, h=floor)
    low, high = ([0 if repeats else edge for repeats in periodic] for edge in (2, 0))
    xi, eta = (RNG.uniform(low[axis], n - 1 - low[axis] - high[axis], 60) for axis in (0, 1))
    ends, paths = [], []
    for grid, move_by in ((small, (0, 0)), (large, shift)):
        particles = cloud(xi + move_by[0], eta + move_by[1], -2500.0, 60.0, time=10 * DAY, levels=2)
        prepare = lambda t, grid=grid: evaluate(grid, s, swirl, swirl_v, zeta=free, t=t)
        sweep(grid, s, prepare, particles, t_from=10 * DAY, t_to=0.0, every=DAY / 2, dt=7200.0, levels=(2200.0, 100.0))
        assert (particles.status == ACTIVE).sum() > 20
        crossings = particles.crossings - np.array([*move_by, 0.0])
        ends.append((particles.xi - move_by[0], particles.eta - move_by[1], particles.z, crossings[:, 0], particles.status))
        paths.append(grid.displacement_km(particles.xi, particles.eta, xi + move_by[0], eta + move_by[1]))
    there = (ends[0][4] == ACTIVE) & (ends[1][4] == ACTIVE)
    np.testing.assert_array_equal(ends[0][4], ends[1][4])
    for one, other in zip(ends[0][:4], ends[1][:4]):
        np.testing.assert_allclose(one[there], other[there], atol=1e-4)
    np.testing.assert_allclose(np.array(paths[0])[:, there], np.array(paths[1])[:, there], atol=1e-4)
    for axis, repeats in enumerate(periodic):
        if repeats:  # some went round
            assert np.abs(ends[0][axis] - (xi, eta)[axis]).max() > n


def test_every_way_to_end_has_its_status():
    s = SHALLOW_TO_DEEP
    mask = np.ones((20, 24), bool)
    mask[:, 16:] = False
    grid = plane(mask=mask)
    window = pair(Window(grid, s, dt=3600.0), grid, s, make=still_omega, u=constant(2.0), v=constant(0.0))
    eastward = cloud([10.0, 3.0], 9.0, -1000.0)
    move(window, eastward, DAY / 2)
    assert eastward.status.tolist() == [GROUNDED, ACTIVE]
    westward = cloud([10.0, 3.0], 9.0, -1000.0, time=DAY / 2)
    move(window, westward, -DAY / 2)
    assert westward.status.tolist() == [LEFT_DOMAIN, LEFT_DOMAIN]
    sinking = cloud(5.0, 9.0, [-3990.0, -3000.0], 100.0)
    move(pair(Window(grid, s, dt=3600.0), grid, s, make=still_omega, u=zero, v=zero), sinking, DAY / 2)
    assert sinking.status.tolist() == [GROUNDED, ACTIVE]


def eddying_window(threads=1, kappa=0.0, seed=0, depth=(0.0,), levels=LEVELS):
    grid, s = plane(nx=60, ny=60, h=4500.0), SHALLOW_TO_DEEP
    u, v = eddies()
    values = kappa if isinstance(kappa, tuple) else (kappa,)
    options = dict(dt=1800.0, levels=levels, threads=threads, diffusivity=Diffusivity(depth, values, seed))
    return pair(Window(grid, s, **options), grid, s, u=u, v=v)


def test_what_has_ended_stays_where_it_ended():
    s = SHALLOW_TO_DEEP
    grid = plane()
    window = pair(Window(grid, s, dt=3600.0), grid, s, make=still_omega, u=constant(2.0), v=constant(0.0))
    particles = cloud([20.0, 5.0], 9.0, -1000.0)
    move(window, particles, DAY / 4)
    assert particles.status.tolist() == [LEFT_DOMAIN, ACTIVE]
    place = particles.xi[0], particles.eta[0], particles.z[0]
    assert grid.shape[1] - 1.5 < place[0] < grid.shape[1] - 1.5 + 1  # the step that left, and none after it
    move(window, particles, DAY / 4)
    assert (particles.xi[0], particles.eta[0], particles.z[0]) == place and particles.xi[1] == pytest.approx(15.8)


def test_a_particle_that_drifts_into_a_slope_without_vertical_motion_is_grounded():
    grid, s = plane(nx=40, ny=12, h=seamount), SHALLOW_TO_DEEP
    window = Window(grid, s, dt=3600.0)
    for t in (0.0, 2 * DAY):
        window.load(evaluate(grid, s, constant(1.0), constant(0.0), w=zero, t=t))
    particles = cloud(10.0, 5.5, [-4000.0, -1000.0])
    move(window, particles, 2 * DAY)
    assert particles.status.tolist() == [GROUNDED, ACTIVE]
    h = grid.sample(grid.h, particles.xi, particles.eta)
    before = grid.sample(grid.h, particles.xi - 3600.0 / 8e3, particles.eta)
    assert h[0] < 4000.0 < before[0]  # on the first step that ends below the floor


@pytest.mark.parametrize("kappa", [0.0, 50.0])
def test_a_path_depends_neither_on_threads_nor_on_company(kappa):
    n = 200
    everyone = cloud(
        RNG.uniform(15, 45, n), RNG.uniform(15, 45, n), RNG.uniform(-3000.0, -300.0, n), 300.0, time=DAY / 2, levels=8
    )
    shuffled = RNG.permutation(n)
    some, backwards = everyone.take(shuffled[:60]), everyone.take(np.arange(n)[::-1])
    in_three = everyone.take(np.arange(n))
    singles = [everyone.take(np.array([p])) for p in shuffled[:20]]
    alone = eddying_window(threads=1, kappa=kappa)
    move(eddying_window(threads=2, kappa=kappa), everyone, -DAY / 2)
    move(eddying_window(threads=3, kappa=kappa), in_three, -DAY / 2)
    for part in (some, backwards, *singles):
        move(alone, part, -DAY / 2)
    assert (everyone.next_level > 0).sum() > 20
    for name in ("xi", "eta", "z", "status", "next_level", "crossings"):
        whole = getattr(everyone, name)
        np.testing.assert_array_equal(whole, getattr(in_three, name))
        np.testing.assert_array_equal(whole, getattr(backwards, name)[::-1])
        np.testing.assert_array_equal(whole[shuffled[:60]], getattr(some, name))
        np.testing.assert_array_equal(whole[shuffled[:20]], np.concatenate([getattr(one, name) for one in singles]))


@pytest.mark.parametrize("kappa", [0.0, 50.0])
def test_a_path_does_not_depend_on_where_the_search_for_the_layer_begins(kappa):
    n = 60
    start = cloud(RNG.uniform(15, 45, n), RNG.uniform(15, 45, n), RNG.uniform(-3000.0, -300.0, n), 300.0, time=DAY / 2, levels=8)
    window = eddying_window(kappa=kappa)
    layers = 2 * window.vertical.n
    found = []
    for guess in (-1, 0, layers - 1, layers, 30_000, RNG.integers(-1, layers, n)):
        p, half_layer = start.take(np.arange(n)), np.full(n, guess, np.int16)
        window.advance(p.xi, p.eta, p.z, p.time, np.full(n, -DAY / 2), p.sinking_speed, p.status, p.next_level, p.row, p.uid,
                       p.crossings, half_layer)  # fmt: skip
        found.append((p, half_layer))
    assert ((found[0][1] >= 0) & (found[0][1] < layers)).all() and np.unique(found[0][1]).size > 3
    for p, half_layer in found[1:]:
        for name in ("xi", "eta", "z", "status", "next_level", "crossings"):
            assert getattr(p, name).tobytes() == getattr(found[0][0], name).tobytes(), name
        assert (half_layer == found[0][1]).all()


@pytest.mark.parametrize("period", [(0, 0), (254, 0), (254, 198)])
def test_particles_are_taken_by_steps_and_then_by_place_each_once(period):
    n, (px, py), (ny, nx) = 500, period, (200, 256)
    xi, eta = RNG.uniform(-600, 600, n), RNG.uniform(-500, 500, n)
    xi[0] = np.nan
    duration = -RNG.choice([0.0, 21600.0, 43200.0, 100000.0], n)
    order = _in_order(xi, eta, duration, 7200.0, px, py, ny, nx)
    x = np.nan_to_num(np.mod(xi, px) if px else np.clip(xi, 0, nx)) // TILE
    y = (np.mod(eta, py) if py else np.clip(eta, 0, ny)) // TILE
    assert order.tolist() == np.lexsort((x, y, np.abs(duration) // 7200.0)).tolist()
    assert _in_order(xi[:0], eta[:0], duration[:0], 7200.0, px, py, ny, nx).size == 0


@pytest.mark.parametrize("kappa", [0.0, 50.0])
def test_a_path_does_not_depend_on_halts_between_steps(kappa):
    n = 100
    through = cloud(RNG.uniform(15, 45, n), RNG.uniform(15, 45, n), -1900.0, 300.0, time=DAY / 2, levels=8)
    halting = through.take(np.arange(n))
    move(eddying_window(kappa=kappa), through, -DAY / 2)
    for _ in range(6):
        move(eddying_window(kappa=kappa), halting, -DAY / 12)
    for name in ("xi", "eta", "z", "crossings"):
        np.testing.assert_allclose(getattr(through, name), getattr(halting, name), rtol=0, atol=1e-8)


# -- random walk ------------------------------------------------------------------------------------------------------
def walk(kappa, seed=1, n=4000, depth=(0.0,), z=-1000.0):
    grid, s = plane(nx=60, ny=60, dx=4e3), SHALLOW_TO_DEEP
    window = Window(grid, s, dt=3600.0, diffusivity=Diffusivity(depth, kappa, seed))
    pair(window, grid, s, make=still_omega, u=zero, v=zero, t1=4 * DAY)
    particles = cloud(np.full(n, 30.0), 30.0, z, time=4 * DAY)
    move(window, particles, -4 * DAY)
    return (particles.xi - 30.0) * 4e3, (particles.eta - 30.0) * 4e3, particles.z


@pytest.mark.parametrize("steps", [1, 6])
def test_a_step_of_the_random_walk_costs_no_evaluation_of_the_velocity_more(monkeypatch, steps):
    """Four a step, and one where the particles begin; each reads two columns of u, of v and of omega."""
    counts, plain = [], []
    with monkeypatch.context() as patch:
        calls = run_as_plain_python(patch)
        for kappa in (0.0, 50.0):
            calls.clear()
            plain.append(cloud(30.0 + 0.1 * np.arange(5), 29.0, -1500.0, 150.0, time=DAY / 2))
            assert move(eddying_window(kappa=kappa, levels=()), plain[-1], -1800.0 * steps) == 5 * steps
            counts.append(calls["column_sums"])
    assert counts == [3 * (4 * steps + 1)] * 2
    # what was counted is what is compiled
    for particles, kappa in zip(plain, (0.0, 50.0)):
        compiled = cloud(30.0 + 0.1 * np.arange(5), 29.0, -1500.0, 150.0, time=DAY / 2)
        move(eddying_window(kappa=kappa, levels=()), compiled, -1800.0 * steps)
        for name in ("xi", "eta", "z"):
            np.testing.assert_allclose(getattr(particles, name), getattr(compiled, name), rtol=1e-12)
    assert np.abs(plain[1].xi - plain[0].xi).min() > 1e-3


def test_the_random_walk_has_variance_two_kappa_t_and_no_bias():
    kappa, n = 80.0, 4000
    x, y, z = walk((kappa,), n=n)
    expected = 2 * kappa * 4 * DAY
    for displacement in (x, y):
        assert abs(displacement.var() / expected - 1) < 5 * np.sqrt(2 / n)
        assert abs(displacement.mean()) < 5 * np.sqrt(expected / n)
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(n)
    np.testing.assert_allclose(z, -1000.0, atol=1e-9)


def test_the_random_walk_follows_its_seed_and_its_depth_range():
    first, again, other = walk((50.0,), n=50), walk((50.0,), n=50), walk((50.0,), seed=2, n=50)
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).all()
    shallow = walk((100.0, 0.0), depth=(0.0, 500.0), z=-1000.0, n=50)
    assert (shallow[0] == 0).all() and (shallow[1] == 0).all()
    assert walk((100.0, 0.0), depth=(0.0, 500.0), z=-300.0, n=50)[0].std() > 0


def test_without_diffusivity_the_path_is_the_deterministic_one():
    """Also beside a range of depths that diffuses, where the particle never comes; to the last bit."""
    n = 100
    plain = cloud(RNG.uniform(15, 45, n), RNG.uniform(15, 45, n), RNG.uniform(-3000.0, -1500.0, n), 100.0, time=DAY / 2, levels=8)
    others = [plain.take(np.arange(n)) for _ in range(3)]
    move(eddying_window(), plain, -DAY / 2)
    settings = dict(seed=5), dict(kappa=(0.0, 0.0), depth=(0.0, 2000.0)), dict(kappa=(90.0, 0.0), depth=(0.0, 1000.0), seed=3)
    for particles, setting in zip(others, settings):
        move(eddying_window(**setting), particles, -DAY / 2)
        for name in ("xi", "eta", "z"):
            np.testing.assert_array_equal(getattr(particles, name), getattr(plain, name))


def test_steps_of_the_random_walk_are_uniform_and_independent_between_particles_and_in_time():
    kappa, n, parts = 80.0, 4000, 16
    grid, s = plane(nx=60, ny=60, dx=4e3), SHALLOW_TO_DEEP
    window = Window(grid, s, dt=3600.0, diffusivity=Diffusivity((0.0,), (kappa,), 4))
    pair(window, grid, s, make=still_omega, u=zero, v=zero, t1=DAY)
    particles = cloud(np.full(n, 30.0), 30.0, -1000.0, time=DAY)
    walked = [particles.xi.copy()]
    for _ in range(parts):
        move(window, particles, -3600.0)
        walked.append(particles.xi.copy())
    step = np.diff(walked, axis=0) * 4e3 / np.sqrt(2 * kappa * 3600.0)  # (time, particle), unit variance
    total = step.size
    assert abs(step.mean()) < 5 / np.sqrt(total) and abs(step.var() - 1) < 5 * np.sqrt(2 / total)
    assert abs((step**4).mean() - 1.8) < 5 * np.sqrt(2.3 / total)  # of a uniform number: 9/5
    assert abs(step).max() <= np.sqrt(3.0) * (1 + 1e-6)
    sums = step.sum(axis=0) / np.sqrt(parts)
    assert abs((sums**4).mean() - (3 - 1.2 / parts)) < 5 * np.sqrt(96 / n)  # their sum: nearly normal
    assert abs((step[1:] * step[:-1]).mean()) < 5 / np.sqrt(total)  # one step and the next
    assert abs((step[:, 1:] * step[:, :-1]).mean()) < 5 / np.sqrt(total)  # one particle and the next
    assert abs(np.corrcoef(step.sum(axis=0)[1:], step.sum(axis=0)[:-1])[0, 1]) < 5 / np.sqrt(n)


def test_each_range_of_depths_has_its_own_diffusivity():
    n, kappa = 3000, {-100.0: 100.0, -700.0: 40.0, -2000.0: 5.0}
    for z, value in kappa.items():
        x, y, _ = walk((100.0, 40.0, 5.0), depth=(0.0, 500.0, 1500.0), z=z, n=n)
        for displacement in (x, y):
            assert abs(displacement.var() / (2 * value * 4 * DAY) - 1) < 5 * np.sqrt(2 / n)


def test_the_random_walk_never_steps_onto_land_nor_out_of_the_domain():
    mask = np.ones((20, 24), bool)
    mask[:, 13:] = False
    grid, s, n = plane(dx=1e3, mask=mask), SHALLOW_TO_DEEP, 500
    window = Window(grid, s, dt=3600.0, diffusivity=Diffusivity((0.0,), (60.0,), 4))
    pair(window, grid, s, make=still_omega, u=zero, v=zero, t1=4 * DAY)
    particles = cloud(np.full(n, 11.0), 9.0, -1000.0)
    move(window, particles, 4 * DAY)
    assert (particles.status == ACTIVE).all() and grid.in_sea(particles.xi, particles.eta).all()
    assert particles.xi.min() >= 0.5 and particles.eta.min() >= 0.5 and particles.eta.max() <= 18.5
    assert particles.xi.max() > 12.0 and particles.xi.min() < 2.0
