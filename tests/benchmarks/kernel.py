"""What the kernel costs where users are: five oceans at the steps that they are run with, beside Parcels' stock kernel.

    python -m tests.benchmarks.kernel [--particles 20000] [--rounds 5]

All in one process, CPU time of one thread, best of the rounds, cases in turn. Oceans: jet, the CROCO jet of ../shared (the sample
of tests/data where it is absent), snapshots 12 hours apart; twin, eddies on the twin's grid, daily, with its random walk; 80
layers, 256 x 256 points of 2 km, 12-hourly; lon-lat, an A-grid of the size of the GLORYS box around PAP-SO, 50 levels, daily.
``begin``: what a particle costs each time that a window begins (see :mod:`tests.benchmarks.window`); ``day``: particle-days per
CPU-second of the kernel alone, at that step.

The stock kernel (``AdvectionRK2_3D_CROCO``, two evaluations of the velocity a step) runs on the same two snapshots of the jet. A
kernel's converged step is the longest of :data:`STEPS_MINUTES` at which the median particle is less than :data:`CLOSE_M` metres,
after half a day, from where an eighth of the step takes it with the same kernel. Over the 70
windows of an ascent at 80 m/d that would add up to 350 m, if all added up.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

from tests.benchmarks.window import DAY, SPEED, Case, jet_snapshots, twin_snapshots

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
    from data.vertical import SCoordinate
    from tests.builders.glorys import levels

    jet, layers = jet_snapshots(), SCoordinate.from_stretching(80, 7.0, 2.0, 250.0)
    return {
        "jet, 30 min": (jet, 30, 0.0),
        "jet, 120 min": (jet, 120, 0.0),
        "twin, 360 min, random walk": (twin_snapshots(), 360, 70.0),
        "80 layers of 2 km, 120 min": (eddy_snapshots((256, 256), 2e3, layers, 12, width=30e3, speed=0.3), 120, 0.0),
        "lon-lat, 50 levels, 120 min": (
            eddy_snapshots((189, 115), 7e3, levels(), 24, width=70e3, speed=0.3, stagger="A"), 120, 0.0),
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


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--particles", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    n = options.particles
    cases = {}
    for name, (snapshots, minutes, kappa) in oceans().items():
        steps = round((snapshots[2][1].time - snapshots[2][0].time) / (60 * minutes))
        cases[name] = Case(snapshots, n, kappa=kappa, many=max(2, steps)), steps
    best = {name: np.full(2, np.inf) for name in cases}
    for turn in range(options.rounds + 1):  # the first compiles
        for name, (case, _) in cases.items():
            found = [case.seconds(steps) for steps in case.windows]
            best[name] = np.minimum(best[name], found) if turn else best[name]
    print(f"{n} particles sinking at {SPEED:g} m/d, CPU time of one thread, best of {options.rounds}")
    print("case | begin, ns a particle | a step, ns | M steps/s in a window | M particle-days per CPU-second")
    for name, (case, steps) in cases.items():
        few, many = 1e9 * best[name] / n
        a, b = case.windows
        step = (many - few) / (b - a)
        window = few + (steps - a) * step  # as many steps as the case has
        days = (case.end - case.start) / DAY
        print(f"{name} | {few - a * step:.0f} | {step:.0f} | {1e3 * steps / window:.1f} | {1e3 * days / window:.2f}")
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
