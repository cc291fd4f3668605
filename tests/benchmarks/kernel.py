"""What the kernel costs where users are: five oceans at the steps that they are run with, beside Parcels' stock kernel.

    python -m tests.benchmarks.kernel [--particles 20000] [--rounds 5] [--before DIR]

CPU time of one thread, best of the rounds, cases in turn. With ``--before``, the root of another checkout of this repository,
its kernel does the same in a process of its own; the two processes take turns, round by round.

Oceans: jet, the CROCO jet of ../shared (the sample of tests/data where it is absent), snapshots 12 hours apart; twin, eddies on
the twin's grid, daily, with its random walk; 80 layers, 256 x 256 points of 2 km, 12-hourly; lon-lat, an A-grid of the size of
the GLORYS box around PAP-SO, 50 levels, daily. ``begin``: what a particle costs each time that a window begins (see
:mod:`tests.benchmarks.window`); ``a window``: all that a particle costs in a window; particle-days are per CPU-second of the
kernel alone, at that step.

The stock kernel (``AdvectionRK2_3D_CROCO``, two evaluations of the velocity a step) runs on the same two snapshots of the jet. A
kernel's converged step is the longest of :data:`STEPS_MINUTES` at which the median particle is less than :data:`CLOSE_M` metres,
after half a day, from where an eighth of the step takes it with the same kernel. Over the 70
windows of an ascent at 80 m/d that would add up to 350 m, if all added up.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from tests.benchmarks.window import DAY, ROOT, SPEED, Case, jet_snapshots, twin_snapshots

STEPS_MINUTES = (240, 180, 120, 90, 60, 40, 30, 20, 15, 10, 5)
#: m, after half a day.
CLOSE_M = 5.0
HALF_DAY = 43200.0


def eddy_snapshots(shape, dx, vertical, hours, *, width, speed, stagger="C"):
    """Grid, vertical coordinate and two prepared snapshots of travelling eddies over a flat floor."""
    from lagrangian.velocity import omega_by_continuity
    from lagrangian.window import PreparedSnapshot
    from tests.builders.analytic import eddies, evaluate, plane

    grid = plane(*shape, dx=dx, h=4800.0, stagger=stagger)
    u, v = eddies(width=width, speed=speed)
    made = []
    for t in (0.0, 3600.0 * hours):
        one = evaluate(grid, vertical, u, v, t=t)
        omega = omega_by_continuity(one.u, one.v, one.zeta, grid, vertical)
        made.append(PreparedSnapshot(t, one.u, one.v, one.zeta, omega))
    return grid, vertical, made


def oceans() -> dict[str, tuple]:
    """Snapshots, minutes of a step and diffusivity (m2/s) of each case."""
    from data.vertical import SCoordinate, ZCoordinate
    from data.zlevel.levels import interface_depths

    jet, layers = jet_snapshots(), SCoordinate.from_stretching(80, 7.0, 2.0, 250.0)
    # from this checkout's file, as an earlier version beside which we measure does not name the depths
    depths = np.array(runpy.run_path(str(ROOT / "data" / "zlevel" / "levels.py"))["GLORYS_DEPTHS"])
    levels = ZCoordinate(-depths[::-1], -interface_depths(depths)[::-1], False)
    return {
        "jet, 30 min": (jet, 30, 0.0),
        "jet, 120 min": (jet, 120, 0.0),
        "twin, 360 min, random walk": (twin_snapshots(), 360, 70.0),
        "80 layers of 2 km, 120 min": (eddy_snapshots((256, 256), 2e3, layers, 12, width=30e3, speed=0.3), 120, 0.0),
        "lon-lat, 50 levels, 120 min": (
            eddy_snapshots((189, 115), 7e3, levels, 24, width=70e3, speed=0.3, stagger="A"), 120, 0.0),
    }  # fmt: skip


def stock_seconds(ocean, fieldset, n: int, minutes: float) -> tuple[float, np.ndarray]:
    """(CPU time of half a day of n particles in Parcels' stock kernel, where they end (n, 2) m)."""
    import parcels
    from parcels.kernels import AdvectionRK2_3D_CROCO

    from tests.benchmarks import speed

    xi, eta, z = speed.places(ocean, n)
    scale = 1e3 * ocean.grid.spacing_km
    pset = parcels.ParticleSet(fieldset, x=xi * scale, y=eta * scale, z=z, t=np.full(n, ocean.times[11]))
    began = time.thread_time()
    pset.execute(
        AdvectionRK2_3D_CROCO, dt=-np.timedelta64(round(60 * minutes), "s"), runtime=np.timedelta64(int(HALF_DAY), "s"),
        verbose_progress=False,
    )  # fmt: skip
    return time.thread_time() - began, np.stack([pset.x, pset.y], axis=1)


def our_seconds(ocean, n: int, minutes: float) -> tuple[float, np.ndarray]:
    """The same in our kernel, without sinking, as the stock kernel has none."""
    from data.times import seconds
    from tests.benchmarks import speed

    window = speed.our_window(ocean, 60.0 * minutes, 1)
    start, end = seconds(ocean.times[10:12])
    xi, eta, z = speed.places(ocean, n)
    arrays = (
        xi, eta, z, np.full(n, end), np.full(n, start - end), np.zeros(n), np.full(n, -1, np.int32), np.zeros(n, np.int32),
        np.arange(n), np.arange(n), np.zeros((n, 1, 3)),
    )  # fmt: skip
    began = time.thread_time()
    window.advance(*arrays)
    return time.thread_time() - began, 1e3 * ocean.grid.spacing_km * np.stack([xi, eta], axis=1)


def converged(run, n: int = 1000) -> float:
    """The longest step, minutes, that leads where an eighth of it does."""
    for minutes in STEPS_MINUTES:
        (_, one), (_, other) = (run(n, step) for step in (minutes, minutes / 8))
        if np.nanmedian(np.hypot(*(one - other).T)) < CLOSE_M:
            return minutes
    raise SystemExit(f"no step of {STEPS_MINUTES[-1]} minutes or more has converged")


def made_cases(n: int) -> dict[str, tuple[Case, int]]:
    """Each ocean's case, and the number of steps that a window has at the ocean's step."""
    cases = {}
    for name, (snapshots, minutes, kappa) in oceans().items():
        steps = round((snapshots[2][1].time - snapshots[2][0].time) / (60 * minutes))
        cases[name] = Case(snapshots, n, kappa=kappa, many=max(2, steps)), steps
    return cases


def serve(n: int) -> None:
    """For each line read, print as JSON one round's seconds (of few steps, of many) by case; for the first, what cases are."""
    cases = made_cases(n)
    told = {name: [*case.windows, steps, (case.end - case.start) / DAY] for name, (case, steps) in cases.items()}
    for turn, _ in enumerate(sys.stdin):
        found = {name: [case.seconds(steps) for steps in case.windows] for name, (case, _) in cases.items()}
        print(json.dumps(found if turn else told), flush=True)  # the first round compiles


def rounds_of(trees: dict[str, Path], n: int, rounds: int) -> tuple[dict, dict[str, dict[str, np.ndarray]]]:
    """(cases, best seconds by tree and case) of the kernels of several trees, a process each, in turns."""
    # the benchmark is this checkout's in each process, the packages that it measures are the tree's
    start = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tests; sys.path[0] = sys.argv[2]; "
        "import warnings; warnings.simplefilter('ignore'); from tests.benchmarks import kernel; kernel.serve(int(sys.argv[3]))"
    )
    sides = {
        name: subprocess.Popen(
            [sys.executable, "-c", start, str(ROOT), str(tree.resolve()), str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, "PYTHONPATH": "", "PYTHONSAFEPATH": "1"},
        )
        for name, tree in trees.items()
    }  # fmt: skip
    cases: dict = {}
    best: dict[str, dict[str, np.ndarray]] = {name: {} for name in trees}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            assert side.stdin is not None and side.stdout is not None
            side.stdin.write("\n")
            side.stdin.flush()
            found = json.loads(side.stdout.readline())
            if not turn:
                cases = found
                continue
            for case, seconds in found.items():
                best[name][case] = np.minimum(best[name].get(case, np.inf), seconds)
    for side in sides.values():
        side.communicate()
    return cases, best


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--particles", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="root of the checkout to compare with")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    n = options.particles
    trees = {"before": options.before, "now": ROOT} if options.before else {"now": ROOT}
    cases, best = rounds_of(trees, n, options.rounds)
    print(f"{n} particles sinking at {SPEED:g} m/d, CPU time of one thread, best of {options.rounds}")
    print("case | version | begin, ns a particle | a step, ns | a window, ns | M steps/s in it | M particle-days per CPU-second")
    for name, (a, b, steps, days) in cases.items():
        for version, seconds in best.items():
            few, many = 1e9 * seconds[name] / n
            step = (many - few) / (b - a)
            window = few + (steps - a) * step  # as many steps as the case has
            costs = f"{few - a * step:.0f} | {step:.0f} | {window:.0f}"
            print(f"{name} | {version} | {costs} | {1e3 * steps / window:.1f} | {1e3 * days / window:.2f}")
    beside_stock(n, options.rounds)


def beside_stock(n: int, rounds: int) -> None:
    """Steps and particle-days of our kernel over those of the stock one, each at its own converged step."""
    from tests.benchmarks import speed
    from tests.benchmarks.window import JET, SAMPLE

    there = JET.exists()
    files = sorted(JET.glob("croco_his.*.nc")) if there else [SAMPLE]
    ocean = speed.open_croco([str(file) for file in files], grid=str(JET / "croco_grd.nc") if there else None)
    fieldset = speed.stock_fieldset(ocean)
    runs = {
        "stock": lambda n, minutes: stock_seconds(ocean, fieldset, n, minutes),
        "ours": lambda n, minutes: our_seconds(ocean, n, minutes),
    }
    steps = {name: converged(run) for name, run in runs.items()}
    sizes = {"stock": min(n, 5000), "ours": n}
    cost = {name: min(run(sizes[name], steps[name])[0] for _ in range(rounds)) / sizes[name] for name, run in runs.items()}
    print("kernel | converged step, min | ns a step | M particle-days per CPU-second")
    for name in runs:
        print(f"{name} | {steps[name]:g} | {1e9 * cost[name] / (720 / steps[name]):.0f} | {0.5e-6 / cost[name]:.3f}")
    per_step = (cost["stock"] * steps["stock"]) / (cost["ours"] * steps["ours"])
    print(f"ours over stock: {per_step:.0f} x the steps, {cost['stock'] / cost['ours']:.0f} x the particle-days")


if __name__ == "__main__":
    main()
