"""The beginning of a window and its steps, particle by particle, and the same for an earlier version side by side.

    python -m tests.benchmarks.window [--before DIR] [--rounds 7] [--particles 40000] [--only jet twin]

CPU time of one thread. Two windows that differ in nothing but how many steps they take give both costs: a step is the
difference of their times over the difference of the steps, a beginning is what is left. ``bare``: the arrays of
:meth:`lagrangian.window.Window.advance`; ``parcels``: the same kernel within the loop of Parcels, as a sweep calls it. With
``--before``, the root of another checkout of this repository, two processes take turns, round by round, and the best round of
each is compared: what else the machine does falls on both.

Oceans: jet, the jet files (``../shared`` beside the repository; the sample in tests/data where they are absent); twin, a day of
eddies on the grid of the twin, with its random walk. Particles are spread over the middle of the domain and over depths such that
about three in a hundred reach the last level, and end, within the window, as in an ascent of 35 windows. ``crossings``: a level
every 100 m; ``dense``: every 10 m. What these take more than the last level alone, over the crossings more, is a crossing's cost.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
JET = ROOT.parent / "shared" / "data" / "croco" / "jet"
SAMPLE = ROOT / "tests" / "data" / "croco_sample" / "croco_his.nc"
DAY = 86400.0
#: Steps of the two windows whose difference is the cost of steps.
FEW, MANY = 1, 5
#: Sinking speed, m/d.
SPEED = 80.0


def jet_snapshots():
    """Grid, vertical coordinate and two prepared snapshots of the jet, 12 hours apart."""
    from data.croco import open_croco
    from data.times import seconds
    from lagrangian.velocity import omega_by_continuity
    from lagrangian.window import PreparedSnapshot

    there = JET.exists()
    files = sorted(JET.glob("croco_his.*.nc"))[:3] if there else [SAMPLE]
    ocean = open_croco([str(file) for file in files], grid=str(JET / "croco_grd.nc") if there else None)
    made = []
    for index in (3, 4):
        one = ocean.snapshot(index)
        omega = omega_by_continuity(one.u, one.v, one.zeta, ocean.grid, ocean.vertical)
        made.append(PreparedSnapshot(float(seconds(ocean.times[index])), one.u, one.v, one.zeta, omega))
    return ocean.grid, ocean.vertical, made


def twin_snapshots():
    """The same for two days of eddies on the twin's grid and levels."""
    from data.twin.ocean import S_COORDINATE
    from lagrangian.velocity import omega_by_continuity
    from lagrangian.window import PreparedSnapshot
    from tests.builders.analytic import AnalyticOcean, eddies, plane

    grid = plane(256, 256, dx=8e3, h=4800.0)
    u, v = eddies(width=70e3, speed=0.15)
    times = np.datetime64("2001-01-01", "ns") + np.arange(2) * np.timedelta64(24, "h")
    ocean = AnalyticOcean(grid, S_COORDINATE, times, u, v, description={})
    made = []
    for index in range(2):
        one = ocean.snapshot(index)
        omega = omega_by_continuity(one.u, one.v, one.zeta, grid, S_COORDINATE)
        made.append(PreparedSnapshot(index * DAY, one.u, one.v, one.zeta, omega))
    return grid, S_COORDINATE, made


class Case:
    """Particles on an ocean, ready to be moved by windows of FEW and of ``many`` steps."""

    def __init__(
        self, snapshots, n: int, kappa: float = 0.0, levels=(300.0,), parcels: bool = False, many: int = MANY
    ):  # fmt: skip
        from lagrangian.window import Diffusivity, Window

        self.grid, vertical, made = snapshots
        self.start, self.end = made[0].time, made[1].time
        span = self.end - self.start
        self.windows = {}
        for steps in (FEW, many):
            # as many particles, over the same time, in fewer or more steps
            window = Window(
                self.grid, vertical, dt=span / steps, levels=levels, diffusivity=Diffusivity((0.0,), (kappa,)), threads=1
            )
            for one in made:
                window.load(one)
            self.windows[steps] = window
        rng = np.random.default_rng(0)
        ny, nx = self.grid.shape
        wide = min(25.0, nx / 4, ny / 4)
        self.n, self.levels, self.parcels = n, len(levels), parcels
        #: Crossings a particle in the window last measured.
        self.crossed = 0.0
        rise = SPEED * span / DAY
        self.xi, self.eta = nx / 2 + rng.uniform(-wide, wide, n), ny / 2 + rng.uniform(-wide, wide, n)
        self.z = rng.uniform(-300.0 - 35 * rise, -300.0, n)
        self.next_level = (np.array(levels) >= -self.z[:, None]).sum(axis=1).astype(np.int32)
        self._remember()

    def _remember(self) -> None:
        """What the window before would have left of the half layers, where this version keeps them: all move by a millisecond."""
        self.half_layer = np.full(self.n, -1, np.int16)
        self.remembers = "half_layer" in inspect.signature(self.windows[FEW].advance).parameters
        if self.remembers:
            n = self.n
            self.windows[FEW].advance(
                self.xi.copy(), self.eta.copy(), self.z.copy(), np.full(n, self.end), np.full(n, -1e-3), np.zeros(n),
                np.full(n, -1, np.int32), self.next_level.copy(), np.arange(n), np.arange(n),
                np.full((n, self.levels, 3), np.nan), self.half_layer,
            )  # fmt: skip

    def seconds(self, steps: int) -> float:
        """CPU time of one window, all particles."""
        return self._in_parcels(steps) if self.parcels else self._bare(steps)

    def _bare(self, steps: int) -> float:
        n, window = self.n, self.windows[steps]
        arrays = (
            self.xi.copy(), self.eta.copy(), self.z.copy(), np.full(n, self.end), np.full(n, self.start - self.end),
            np.full(n, SPEED / DAY), np.full(n, -1, np.int32), self.next_level.copy(), np.arange(n), np.arange(n),
            np.full((n, self.levels, 3), np.nan), *([self.half_layer.copy()] if self.remembers else []),
        )  # fmt: skip
        began = time.thread_time()
        window.advance(*arrays)
        took = time.thread_time() - began
        self.crossed = float(np.isfinite(arrays[10][..., 2]).sum()) / n
        return took

    def _in_parcels(self, steps: int) -> float:
        from lagrangian.kernels import CrossingTable, SinkingAdvectionRK4, bathymetry_fieldset, particle_set

        n, span = self.n, self.end - self.start
        fieldset = bathymetry_fieldset(self.grid.h)
        table = CrossingTable(self.levels)
        table.grow(n)
        table.window_start = self.start
        fieldset.add_context("window", self.windows[steps])
        fieldset.add_context("table", table)
        pset = particle_set(
            fieldset, self.xi, self.eta, self.z, np.full(n, span), np.full(n, SPEED / DAY), np.arange(n), np.arange(n),
            None, self.next_level,
        )  # fmt: skip
        if self.remembers:
            pset._data["half_layer"][:] = self.half_layer
        began = time.thread_time()
        if hasattr(type(pset), "fly"):
            pset.fly(SinkingAdvectionRK4, -span, 0.0)
        else:
            pset.execute([SinkingAdvectionRK4], dt=np.timedelta64(-round(span * 1e9), "ns"), runtime=span, verbose_progress=False)
        return time.thread_time() - began


def cases(n: int, only) -> dict[str, Case]:
    """The cases by name."""
    made = {}
    if "jet" in only:
        jet = jet_snapshots()
        made["jet bare"] = Case(jet, n)
        made["jet parcels"] = Case(jet, n, parcels=True)
        made["jet crossings"], made["jet dense"] = (Case(jet, n, levels=levels(every)) for every in (100, 10))
    if "twin" in only:
        twin = twin_snapshots()
        made["twin walk bare"] = Case(twin, n, kappa=70.0)
        made["twin walk parcels"] = Case(twin, n, kappa=70.0, parcels=True)
        made["twin walk dense"] = Case(twin, n, kappa=70.0, levels=levels(10))
    return made


def levels(every: int) -> tuple[float, ...]:
    """Levels from 2900 to 300 m."""
    return tuple(float(depth) for depth in range(2900, 290, -every))


def serve(n: int, only) -> None:
    """Measure one round for each line read; print it as JSON."""
    warnings.simplefilter("ignore")
    made = cases(n, only)
    for case in made.values():
        for steps in case.windows:
            case.seconds(steps)
    print("ready", flush=True)
    for _ in sys.stdin:
        found = {name: [*(case.seconds(steps) for steps in (FEW, MANY)), case.crossed] for name, case in made.items()}
        print(json.dumps(found), flush=True)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="root of the checkout to compare with")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--particles", type=int, default=40_000)
    parser.add_argument("--only", nargs="+", default=["jet", "twin"], choices=["jet", "twin"])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.particles, options.only)
        return 0
    roots = {"before": options.before, "now": ROOT} if options.before else {"now": ROOT}
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", "--particles", str(options.particles)]
    command += ["--only", *options.only]
    sides = {
        name: subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
            env={**os.environ, "PYTHONPATH": str(Path(root).resolve()), "PYTHONSAFEPATH": "1"},
        )
        for name, root in roots.items()
    }  # fmt: skip
    for side in sides.values():
        if side.stdout.readline().strip() != "ready":
            return 1
    best: dict[str, dict[str, np.ndarray]] = {name: {} for name in sides}
    crossed: dict[str, float] = {}
    for _ in range(options.rounds):
        for name, side in sides.items():
            side.stdin.write("\n")
            side.stdin.flush()
            for case, (*seconds, crossed[case]) in json.loads(side.stdout.readline()).items():
                best[name][case] = np.minimum(best[name].get(case, np.inf), seconds)
    for side in sides.values():
        side.stdin.close()
        side.wait()
    print(f"{options.particles} particles, best of {options.rounds} rounds, CPU time of one thread")
    print(f"{'':20s} {'':8s} {'begin, ns a particle':>22s} {'a step, ns':>12s} {f'window of {MANY} steps, ns':>26s}")
    for case in best["now"]:
        for name in sides:
            few, many = 1e9 * best[name][case] / options.particles
            step = (many - few) / (MANY - FEW)
            print(f"{case:20s} {name:8s} {few - FEW * step:22.0f} {step:12.0f} {many:26.0f}")
        if len(sides) == 2:
            few, many = best["now"][case] / best["before"][case]
            print(f"{case:20s} {'now/before: 1 step':>33s} {few:.2f}, {MANY} steps {many:.2f}")
    for case in (case for case in crossed if case.endswith(("crossings", "dense"))):
        alone = f"{case.rsplit(' ', 1)[0]} bare"
        more = crossed[case] - crossed[alone]
        costs = {name: 1e9 * (best[name][case][1] - best[name][alone][1]) / options.particles / more for name in sides}
        told = ", ".join(f"{name} {cost:.0f} ns" for name, cost in costs.items())
        print(f"{case}: {more:.2f} crossings more a particle than {alone}, a crossing {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
