"""Oceans on z-levels: what an A-grid costs the kernel, continuity, a month of a GLORYS box, and what a product costs in accuracy.

    python -m tests.benchmarks.zlevel [speed] [month] [jet]

speed: nanoseconds a particle-step on an A- and a C-grid of the size of the box around PAP-SO (115 x 189 points, 50 levels), one
thread, processor time, the best of seven taken in turn, and continuity on both. month: the whole command on 31 daily files of
that box. jet: the CROCO jet of ../shared made into products (skipped where it is absent): median distance of the same particles
at 200 m with its 95 % interval (whole releases drawn anew), and BL of the smoothed catchments.
"""

from __future__ import annotations

import contextlib
import io
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from data.zlevel.open import open_zlevel
from lagrangian.config import RunConfig
from lagrangian.run import main as run_main
from lagrangian.velocity import omega_by_continuity
from lagrangian.window import Window
from tests.builders import jet_product
from tests.builders.analytic import cloud, eddies, evaluate, move, plane
from tests.builders.glorys import GLORYS, levels
from tests.builders.zlevel_files import days, write_lonlat, write_static

SHAPE = {"nx": 189, "ny": 115}
SPACING = 7e3
#: Releases into the jet, four days apart, 256 particles each on a square of 128 km.
RELEASES = 5


def speed(n: int = 100_000) -> None:
    """The kernel and continuity on both staggerings."""
    vertical = levels()
    u, v = eddies()
    span, dt = 86400.0, 7200.0
    windows, rates, omega = {}, {"C": [], "A": []}, {}
    for stagger in ("C", "A"):
        grid = plane(**SHAPE, dx=SPACING, h=4800.0, stagger=stagger)
        window = Window(grid, vertical, dt=dt, levels=(250.0,), threads=1)
        for slot, t in enumerate((0.0, span)):
            made = evaluate(grid, vertical, u, v, t=t)
            window.load(made, slot)
        windows[stagger] = window
        times = []
        for _ in range(5):
            started = time.process_time()
            omega_by_continuity(made.u, made.v, made.zeta, grid, vertical)
            times.append(time.process_time() - started)
        omega[stagger] = 1e3 * min(times) / (made.u.size / 1e6)
    rng = np.random.default_rng(0)
    xi, eta, z = rng.uniform(60, 120, n), rng.uniform(40, 75, n), rng.uniform(-2900, -300, n)
    for _ in range(8):
        for stagger, window in windows.items():
            particles = cloud(xi, eta, z, 80.0, time=span, levels=1)
            started = time.process_time()
            steps = move(window, particles, -span)
            rates[stagger].append(1e9 * (time.process_time() - started) / steps)
    best = {stagger: min(found[1:]) for stagger, found in rates.items()}
    for stagger in best:
        print(f"{stagger}-grid: {best[stagger]:.0f} ns a particle-step; omega {omega[stagger]:.1f} ms a million points")
    print(f"A over C: {best['A'] / best['C']:.3f} (to be at most 1.15); omega at most 30 ms")


def month() -> None:
    """The whole command on a month of daily files of the box around PAP-SO."""
    lon, lat = -24.5 + np.arange(SHAPE["nx"]) / 12, 44.25 + np.arange(SHAPE["ny"]) / 12
    x, y = 85e3 * (lon - lon.mean()), 111e3 * (lat - lat.mean())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        u, v = eddies()
        size = 0
        for k, day in enumerate(days("2001-03-01", 31)):
            shape = np.broadcast(x[None, None, :], y[None, :, None], GLORYS[:, None, None])
            at = (x[None, None], y[None, :, None], -GLORYS[:, None, None], 86400.0 * k)
            held = {name: np.broadcast_to(f(*at), shape.shape)[None] for name, f in (("u", u), ("v", v))}
            held["zeta"] = np.zeros((1, lat.size, lon.size))
            path = write_lonlat(folder / f"day{k:02d}.nc", lon, lat, GLORYS, np.array([day]), held)
            size += Path(path).stat().st_size
        static = write_static(folder / "static.nc", lon, lat, np.full((lat.size, lon.size), 4800.0))
        config = RunConfig(ocean=(str(folder / "day*.nc"),), grid=static, w=(300.0,), positions=2, threads=1, out=folder / "run",
                           dt=120.0)  # fmt: skip
        started, processor = time.perf_counter(), time.process_time()
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            run_main(config)
        wall, processor = time.perf_counter() - started, time.process_time() - processor
        ocean = open_zlevel(str(folder / "day*.nc"), grid=static)
        reading = time.perf_counter()
        for k in range(10):
            ocean.snapshot(k)
        reading = (time.perf_counter() - reading) / 10
        shown = [line for line in out.getvalue().splitlines() if "experiments" in line or "million/s" in line]
        points = f"{lat.size} x {lon.size} x {GLORYS.size} points"
        print(f"31 daily files of {points} ({size / 1e6:.0f} MB), one core: {'; '.join(shown)}")
        print(
            f"whole command {wall:.1f} s ({processor:.1f} s of processor), reading {1e3 * reading:.0f} ms a day, peak memory "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"
        )


def jet() -> None:
    """Median distance at 200 m of the same particles in the jet and in products made of it."""
    if not jet_product.JET.exists():
        print("the jet is absent (../shared/data/croco/jet): skipped")
        return
    truth_ocean = jet_product.open_jet()
    n = len(truth_ocean.times)
    releases = truth_ocean.times[-4] - np.arange(RELEASES) * np.timedelta64(4, "D")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write = lambda name, **more: jet_product.write_products(folder, range(n), depth=GLORYS, name=name, **more)
        instants, static = write("instants.nc")
        noon, _ = write("noon.nc", daily=True)
        midnight, _ = write("midnight.nc", daily=True, label_hour=0)
        quarter, static_quarter = write("quarter.nc", step=0.25)
        kinds = {
            "12-hourly, floor known": (instants, {"grid": static}),
            "daily means at noon": (noon, {"grid": static}),
            "daily means labelled 00:00": (midnight, {"grid": static}),
            "labels taken 12 h early": (midnight, {"grid": static, "time_label": "middle"}),
            "floor unknown: w = 0": (instants, {}),
            "1/4 degree": (quarter, {"grid": static_quarter}),
        }
        speeds = (80.0, 150.0, 300.0)
        truth = {w: jet_product.crossings(truth_ocean, w, releases, energy=jet_product.ENERGY) for w in speeds}
        print(f"{'km at 200 m, median / BL':30s}" + "".join(f"{w:22.0f} m/d" for w in speeds))
        for kind, (path, options) in kinds.items():
            ocean = open_zlevel(path, **options)
            cells = []
            for w in speeds:
                crossed = jet_product.crossings(ocean, w, releases)
                low, high = jet_product.distance_interval(crossed, truth[w])
                median, loss = jet_product.median_distance(crossed, truth[w]), jet_product.catchment_loss(crossed, truth[w])
                cells.append(f"{median:.2f} [{low:.1f}, {high:.1f}] / {loss:.4f}")
            print(f"{kind:30s}" + "".join(f"{cell:>26s}" for cell in cells), flush=True)


PARTS = {"speed": speed, "month": month, "jet": jet}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
