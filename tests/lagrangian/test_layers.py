"""The kernel at the numbers of layers and threads that users have: straight paths, equal bytes from all numbers of threads."""

from __future__ import annotations

import numpy as np
import pytest

from data.vertical import SCoordinate
from lagrangian.advection import ACTIVE, REACHED
from lagrangian.window import Window
from tests.builders.analytic import cloud, evaluate, move, plane, still_omega, zero

DAY = 86400.0
LAYERS = (20, 24, 30, 32, 50, 75, 80, 100)
THREADS = (1, 2, 3)


def churn(layers):
    """Allocate and fill memory of the sizes of the kernel's tables, so that nothing that was freed still holds what it held."""
    return [np.full((2 * layers + 3, 2), np.nan) for _ in range(50)]


def paths(grid, s, snapshot_at, threads, w=80.0, days=28.0, n=200):
    """Particles after ``days`` backward from 3000 m in windows of half a day."""
    levels = (2500.0, 2000.0, 1000.0)
    window = Window(grid, s, dt=7200.0, levels=levels, threads=threads)
    start = days * DAY
    particles = cloud(np.linspace(30.0, 34.0, n), np.linspace(8.0, 12.0, n), -3000.0, w, time=start, levels=3)
    times = np.arange(start, -1.0, -DAY / 2)
    window.load(snapshot_at(times[0]))
    for t in times[1:]:
        window.load(snapshot_at(t))
        hold = churn(s.n)
        move(window, particles, np.where(particles.status == ACTIVE, t - particles.time, 0.0))
        del hold
    return particles


@pytest.mark.parametrize("vertical", ["omega", "w"])
@pytest.mark.parametrize("vtransform", [2, 1])
@pytest.mark.parametrize("layers", LAYERS)
def test_a_uniform_current_gives_straight_paths_at_every_number_of_layers_and_the_same_bytes_on_every_number_of_threads(
    layers, vtransform, vertical
):
    grid = plane(nx=60)
    curves = (6.0, 2.0, 250.0) if vtransform == 2 else (5.0, 0.4, 50.0)
    s = SCoordinate.from_stretching(layers, *curves, vtransform)
    current = lambda x, y, z, t: 0.025 + 0.0 * z
    make = still_omega if vertical == "omega" else (lambda *args, **rest: evaluate(*args, w=zero, **rest))
    snapshot = make(grid, s, current, zero)
    at = lambda t: type(snapshot)(t, snapshot.u, snapshot.v, snapshot.zeta, snapshot.vertical_velocity, snapshot.is_omega)
    found = {threads: paths(grid, s, at, threads) for threads in THREADS}
    for threads, particles in found.items():
        assert (particles.status == REACHED).all(), threads
        crossed = particles.crossings[:, :, 2]
        gone = DAY * (3000.0 - np.array([2500.0, 2000.0, 1000.0])) / 80.0
        off = (particles.crossings[:, :, 0] - np.linspace(30.0, 34.0, 200)[:, None]) * 8e3 + 0.025 * gone
        assert np.abs(off).max() < 1.0 and np.abs(28 * DAY - crossed - gone).max() < 1.0
    for other in THREADS[1:]:
        for name in ("xi", "eta", "z", "crossings", "status"):
            assert getattr(found[1], name).tobytes() == getattr(found[other], name).tobytes(), name
