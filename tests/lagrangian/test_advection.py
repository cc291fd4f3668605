"""The compiled kernel against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from lagrangian.advection import ACTIVE, GROUNDED, LEFT_DOMAIN, REACHED
from lagrangian.config import LEVELS, RunConfig
from lagrangian.window import Diffusivity, Window
from tests.lagrangian.analytic import (
    OLD_TRANSFORM,
    SHALLOW_TO_DEEP,
    cloud,
    eddies,
    evaluate,
    move,
    plane,
    sphere,
    still_omega,
    sweep,
    zero,
)

DAY = 86400.0
TRANSFORMS = pytest.mark.parametrize("s", [SHALLOW_TO_DEEP, OLD_TRANSFORM], ids=["Vtransform 2", "Vtransform 1"])
RNG = np.random.default_rng(3)


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
    grid = plane()
    window = pair(Window(grid, s, dt=3000.0), grid, s, u=constant(0.25), v=constant(-0.125))
    w = np.array([80.0, 100.0, 150.0, 200.0, 300.0])
    start = 0.0 if sign > 0 else DAY / 2
    particles = cloud(10.3, 9.7, -1800.0, w, time=start)
    duration = sign * DAY * np.array([0.5, 0.1, 0.25, 0.5, 0.4])
    move(window, particles, duration)
    np.testing.assert_allclose((particles.xi - 10.3) * 8e3, 0.25 * duration, atol=1e-6)
    np.testing.assert_allclose((particles.eta - 9.7) * 8e3, -0.125 * duration, atol=1e-6)
    np.testing.assert_allclose(particles.z + 1800.0, -w / DAY * duration, atol=1e-6)


def test_levels_are_crossed_at_their_exact_times_and_places():
    grid, s = plane(nx=40), SHALLOW_TO_DEEP
    prepare = lambda t: evaluate(grid, s, constant(0.05), constant(0.0), t=t)
    particles = cloud(25.0, [8.0, 9.5, 11.0], -3000.0, [300.0, 200.0, 300.0], time=20 * DAY, levels=len(LEVELS))
    sweep(grid, s, prepare, particles, t_from=20 * DAY, t_to=0.0, every=DAY / 2, dt=7200.0, levels=LEVELS)
    assert (particles.status == REACHED).all()
    for p, w in enumerate((300.0, 200.0, 300.0)):
        taken = DAY * (3000.0 - np.array(LEVELS)) / w
        np.testing.assert_allclose(particles.crossings[p, :, 2], 20 * DAY - taken, atol=1e-3)
        np.testing.assert_allclose(particles.crossings[p, :, 0], 25.0 - 0.05 * taken / 8e3, atol=1e-9)
        np.testing.assert_allclose(particles.crossings[p, :, 1], particles.eta[p], atol=1e-12)


def test_depth_at_the_time_of_a_crossing_is_that_of_the_level_within_a_tenth_of_a_metre():
    grid, s = plane(nx=60, ny=60, h=lambda x, y: 4200 + 400 * np.cos(x / 90e3) * np.sin(y / 70e3)), SHALLOW_TO_DEEP
    u, v = eddies()
    n = 30
    xi, eta = RNG.uniform(20, 40, n), RNG.uniform(20, 40, n)
    times = np.arange(20, -1, -1) * DAY / 2
    made = {t: evaluate(grid, s, u, v, t=t) for t in times}
    coarse = cloud(xi, eta, -3000.0, 300.0, time=10 * DAY, levels=3)
    options = dict(t_from=10 * DAY, t_to=0.0, every=DAY / 2)
    levels = (2500.0, 2000.0, 1000.0)
    sweep(grid, s, made.get, coarse, dt=60 * RunConfig().dt, levels=levels, **options)
    for level in range(3):
        crossed = coarse.crossings[:, level, 2]
        assert np.isfinite(crossed).all()
        # an independent walk, in short steps, to the very instant of each crossing
        fine = cloud(xi, eta, -3000.0, 300.0, time=10 * DAY)
        window = Window(grid, s, dt=60.0)
        window.load(made[times[0]])
        for t in times[1:]:
            window.load(made[t])
            move(window, fine, np.maximum(t - fine.time, crossed - fine.time))
        assert np.abs(fine.z + levels[level]).max() < 0.1


def test_uniform_upward_velocity_lifts_by_86_4_m_a_day_at_every_depth():
    grid, s = plane(h=4000.0), SHALLOW_TO_DEEP
    for w_points in ("s_w", "s_rho"):
        window = Window(grid, s, dt=7200.0)
        for t in (0.0, DAY):
            window.load(evaluate(grid, s, zero, zero, w=constant(1e-3), t=t, w_points=w_points))
        particles = cloud(9.3, 8.4, [-3000.0, -2000.0, -500.0])
        move(window, particles, DAY)
        np.testing.assert_allclose(particles.z, np.array([-3000.0, -2000.0, -500.0]) + 86.4, atol=1e-4)


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


def test_solid_body_rotation_shows_fourth_order_in_dt():
    grid, s = plane(nx=60, ny=60), SHALLOW_TO_DEEP
    turn = 2 * np.pi / (5 * DAY)
    make = lambda t: still_omega(grid, s, lambda x, y, z, t: -turn * y, lambda x, y, z, t: turn * x, t=t)
    error = []
    for dt in (14400.0, 7200.0):
        particles = cloud(29.5 + 12.0, 29.5, -1000.0)
        sweep(grid, s, make, particles, t_from=0.0, t_to=5 * DAY, every=DAY / 2, dt=dt)
        error.append(np.hypot(particles.xi - 41.5, particles.eta - 29.5)[0])
    order = np.log2(error[0] / error[1])
    print(f"order {order:.2f}, errors {error} cells")
    assert order > 3.7


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
            made.append(type(blank)(t, u.astype(np.float32), v.astype(np.float32), blank.zeta, blank.vertical))
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
def test_a_moving_free_surface_carries_the_surface_particle(s):
    grid = plane(h=4000.0)
    free = lambda x, y, t: 1.5 * t / DAY + 0.0 * x
    window = pair(Window(grid, s, dt=7200.0), grid, s, make=still_omega, u=zero, v=zero, zeta=free)
    particles = cloud(9.4, 8.2, [0.0, -2000.0, -4000.0 + 1e-6])
    move(window, particles, DAY / 2)
    np.testing.assert_allclose(particles.z, [0.75, -2000.0 + 0.375, -4000.0], atol=1e-5)


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

    dt = 60.0 * RunConfig().dt
    sweep(grid, s, prepare, particles, t_from=35 * DAY, t_to=0.0, every=DAY / 2, dt=dt)
    travelled = 8e3 * np.hypot(particles.xi - start.xi, particles.eta - start.eta)
    sweep(grid, s, prepare, particles, t_from=0.0, t_to=35 * DAY, every=DAY / 2, dt=dt)
    error = 8e3 * np.hypot(particles.xi - start.xi, particles.eta - start.eta)
    print(f"travelled {np.median(travelled) / 1e3:.0f} km; closure median {np.median(error):.2f} m, largest {error.max():.1f} m")
    assert np.median(travelled) > 50e3
    assert error.max() < 100.0
    assert np.abs(particles.z + 3000.0).max() < 1.0


# -- edges ------------------------------------------------------------------------------------------------------------
def test_a_periodic_domain_goes_on_like_its_larger_copy():
    s, n = SHALLOW_TO_DEEP, 25
    k = np.pi / 48e3  # repeats after 96 km; 24 cells of 8 km hold two
    swirl = lambda x, y, z, t: 0.2 - 0.5 * np.sin(k * x) * np.cos(k * y) + 0.0 * z
    swirl_v = lambda x, y, z, t: 0.15 + 0.5 * np.cos(k * x) * np.sin(k * y) + 0.0 * z
    small = plane(n, n, periodic=(True, True))
    large = plane(5 * (n - 1) + 1, 5 * (n - 1) + 1)
    xi, eta = RNG.uniform(0, n - 1, 60), RNG.uniform(0, n - 1, 60)
    ends = []
    for grid, shift in ((small, 0), (large, 2 * (n - 1))):
        particles = cloud(xi + shift, eta + shift, -1000.0)
        prepare = lambda t, grid=grid: still_omega(grid, s, swirl, swirl_v, t=t)
        sweep(grid, s, prepare, particles, t_from=0.0, t_to=10 * DAY, every=DAY / 2, dt=7200.0)
        assert (particles.status == ACTIVE).all()
        ends.append((particles.xi - shift, particles.eta - shift))
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)
    assert np.abs(ends[0][0] - xi).max() > n  # some went round


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


def eddying_window(threads=1, kappa=0.0, seed=0, depth=(0.0,)):
    grid, s = plane(nx=60, ny=60, h=4500.0), SHALLOW_TO_DEEP
    u, v = eddies()
    values = kappa if isinstance(kappa, tuple) else (kappa,)
    options = dict(dt=1800.0, levels=LEVELS, threads=threads, diffusivity=Diffusivity(depth, values, seed))
    return pair(Window(grid, s, **options), grid, s, u=u, v=v)


@pytest.mark.parametrize("kappa", [0.0, 50.0])
def test_a_path_depends_neither_on_threads_nor_on_company(kappa):
    n = 200
    everyone = cloud(
        RNG.uniform(15, 45, n), RNG.uniform(15, 45, n), RNG.uniform(-3000.0, -300.0, n), 300.0, time=DAY / 2, levels=8
    )
    shuffled = RNG.permutation(n)
    some = everyone.take(shuffled[:60])
    one_by_one = everyone.take(np.arange(n))
    move(eddying_window(threads=2, kappa=kappa), everyone, -DAY / 2)
    move(eddying_window(threads=1, kappa=kappa), some, -DAY / 2)
    move(eddying_window(threads=1, kappa=kappa), one_by_one, -DAY / 2)
    for name in ("xi", "eta", "z", "status", "next_level", "crossings"):
        np.testing.assert_array_equal(getattr(everyone, name), getattr(one_by_one, name))
        np.testing.assert_array_equal(getattr(everyone, name)[shuffled[:60]], getattr(some, name))


# -- random walk ------------------------------------------------------------------------------------------------------
def walk(kappa, seed=1, n=4000, depth=(0.0,), z=-1000.0):
    grid, s = plane(nx=60, ny=60, dx=4e3), SHALLOW_TO_DEEP
    window = Window(grid, s, dt=3600.0, diffusivity=Diffusivity(depth, kappa, seed))
    pair(window, grid, s, make=still_omega, u=zero, v=zero, t1=4 * DAY)
    particles = cloud(np.full(n, 30.0), 30.0, z, time=4 * DAY)
    move(window, particles, -4 * DAY)
    return (particles.xi - 30.0) * 4e3, (particles.eta - 30.0) * 4e3, particles.z


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
