"""How fast: our kernel bare, our kernel in Parcels, the whole command, and Parcels' stock CROCO kernel, side by side in one run.

    python -m tests.benchmarks.speed [--particles 20000] [--jet DIR]

On the jet files where they are found (``--jet``, default ../shared/data/croco/jet beside the repository), else on the sample in
tests/data. Rates are particle-steps per second; a step is one call of the integrator (four evaluations of the velocity in our
RK4, two in the stock RK2). Rates of kernels are the best of three, compiled code and imports warm; the whole command is one
``lagrangian.run`` in this process, once, files read, results written, picture drawn.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import resource
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import parcels
import xarray as xr
from parcels import convert
from parcels.kernels import AdvectionRK2_3D_CROCO

from data.croco import open_croco
from data.times import seconds
from lagrangian.config import DT_MINUTES, SINKING_SPEEDS, RunConfig
from lagrangian.kernels import CrossingTable, SinkingAdvectionRK4, bathymetry_fieldset, particle_set
from lagrangian.run import main as run_main
from lagrangian.velocity import omega_by_continuity
from lagrangian.window import PreparedSnapshot, Window

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLE = ROOT / "tests" / "data" / "croco_sample" / "croco_his.nc"
#: Experiments of the paper's full set, sinking speeds, particles (method.md section 2).
PAPER_EXPERIMENTS, PAPER_PARTICLES, PAPER_DEPTH = 10_260, 720, 2800.0


def best(function, repeat=3):
    """Highest rate (count / seconds) of a function that returns a count."""
    rates = []
    for _ in range(repeat):
        started = time.perf_counter()
        count = function()
        rates.append(count / (time.perf_counter() - started))
    return max(rates)


def stock_fieldset(ocean):
    """Two snapshots as Parcels' own CROCO route wants them, all in memory."""
    grid, s = ocean.grid, ocean.vertical
    pair = [ocean.snapshot(index, {"w"} & ocean.variables) for index in (10, 11)]
    ny, nx = grid.shape
    dims = {
        "u": ("time", "s_rho", "eta_rho", "xi_u"),
        "v": ("time", "s_rho", "eta_v", "xi_rho"),
        "w": ("time", "s_rho", "eta_rho", "xi_rho"),
        "zeta": ("time", "eta_rho", "xi_rho"),
    }
    still = np.zeros((s.n, ny, nx), np.float32)
    data = {
        name: (dims[name], np.stack([getattr(one, name) if getattr(one, name) is not None else still for one in pair]))
        for name in dims
    }
    data["h"] = (("eta_rho", "xi_rho"), grid.h.astype(np.float32))
    data["Cs_w"] = (("s_w",), s.cs_w.astype(np.float32))
    x, y = np.meshgrid(np.arange(nx) * 1e3 * grid.spacing_km, np.arange(ny) * 1e3 * grid.spacing_km)
    coords = {
        "x_rho": (("eta_rho", "xi_rho"), x),
        "y_rho": (("eta_rho", "xi_rho"), y),
        "s_w": ("s_w", s.s_w, {"axis": "Z"}),
        "time": ("time", ocean.times[10:12], {"axis": "T"}),
    }
    dataset = xr.Dataset(data, coords=coords)
    names = {"U": "u", "V": "v", "W": "w", "h": "h", "zeta": "zeta", "Cs_w": "Cs_w"}
    fields = convert.croco_to_sgrid(fields={new: dataset[old] for new, old in names.items()}, coords=dataset[list(coords)])
    fieldset = parcels.FieldSet.from_sgrid_conventions(fields, mesh="flat")
    fieldset.add_context("hc", float(s.hc))
    return fieldset


def places(ocean, n):
    """n particles around the middle of the domain, in cells."""
    rng = np.random.default_rng(0)
    ny, nx = ocean.grid.shape
    return nx / 2 + rng.uniform(-6, 6, n), ny / 2 + rng.uniform(-6, 6, n), rng.uniform(-2900.0, -300.0, n)


def stock_rate(ocean, n, dt=1800.0, steps=8):
    """Particle-steps per second of Parcels' AdvectionRK2_3D_CROCO."""
    fieldset = stock_fieldset(ocean)
    xi, eta, z = places(ocean, n)
    scale = 1e3 * ocean.grid.spacing_km
    end = ocean.times[11]

    def go():
        pset = parcels.ParticleSet(fieldset, x=xi * scale, y=eta * scale, z=z, t=np.full(n, end))
        pset.execute(AdvectionRK2_3D_CROCO, dt=np.timedelta64(-int(dt), "s"), runtime=np.timedelta64(int(dt * steps), "s"),
                     verbose_progress=False)  # fmt: skip
        return n * steps

    return best(go)


def our_window(ocean, dt, threads):
    """A window on the same two snapshots."""
    window = Window(ocean.grid, ocean.vertical, dt=dt, levels=(250.0,), threads=threads)
    for index in (10, 11):
        one = ocean.snapshot(index)
        omega = omega_by_continuity(one.u, one.v, one.zeta, ocean.grid, ocean.vertical)
        window.load(PreparedSnapshot(float(seconds(ocean.times[index])), one.u, one.v, one.zeta, omega))
    return window


def bare_rate(ocean, n, dt=1800.0, threads=1):
    """Particle-steps per second of the compiled kernel called with plain arrays."""
    window = our_window(ocean, dt, threads)
    start, end = seconds(ocean.times[10:12])
    xi, eta, z = places(ocean, n)

    def go():
        return window.advance(
            xi.copy(), eta.copy(), z.copy(), np.full(n, end), np.full(n, start - end), np.full(n, 80 / 86400.0),
            np.full(n, -1, np.int32), np.zeros(n, np.int32), np.arange(n), np.arange(n), np.zeros((n, 1, 3)),
        )  # fmt: skip

    go()
    return best(go)


def parcels_rate(ocean, n, dt=1800.0, threads=1):
    """Particle-steps per second of the same kernel run by Parcels."""
    window = our_window(ocean, dt, threads)
    start, end = seconds(ocean.times[10:12])
    xi, eta, z = places(ocean, n)
    fieldset = bathymetry_fieldset(ocean.grid.h)
    table = CrossingTable(1)
    table.grow(n)
    table.window_start = float(start)
    fieldset.add_context("window", window)
    fieldset.add_context("table", table)

    def go():
        before = table.steps
        pset = particle_set(fieldset, xi, eta, z, np.full(n, end - start), np.full(n, 80 / 86400.0), np.arange(n), np.arange(n))
        pset.execute([SinkingAdvectionRK4], dt=np.timedelta64(-round((end - start) * 1e9), "ns"), runtime=float(end - start),
                     verbose_progress=False)  # fmt: skip
        return table.steps - before

    go()
    return best(go)


def whole_command(files, grid, site, dt, positions, w=(200.0, 300.0)):
    """Particle-steps and seconds of one run of the command in this process."""
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(
            ocean=tuple(map(str, files)),
            grid=grid and str(grid),
            site=site,
            w=w,
            positions=positions,
            spacing=20.0,
            dt=dt,
            out=Path(folder) / "run",
        )
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.redirect_stderr(io.StringIO()):
            run_main(config)
        elapsed = time.perf_counter() - started
    line = next(line for line in text.getvalue().splitlines() if "particle-steps in" in line)
    particles = sum(int(line.split()[2]) for line in text.getvalue().splitlines() if " particles: " in line)
    return float(line.split()[0]) * 1e6, elapsed, particles


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--particles", type=int, default=20_000)
    parser.add_argument("--jet", type=Path, default=ROOT.parent / "shared" / "data" / "croco" / "jet")
    options = parser.parse_args()
    jet = options.jet.exists()
    files = sorted(options.jet.glob("croco_his.*.nc")) if jet else [SAMPLE]
    grid = options.jet / "croco_grd.nc" if jet else None
    site = "-20.3,44.9" if jet else "-21.25,44.9"
    ocean = open_croco([str(file) for file in files], grid=grid and str(grid))
    n = options.particles
    warnings.simplefilter("ignore")
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, parcels {parcels.__version__}")
    print(f"{'jet' if jet else 'sample'}: {ocean.grid.shape} points, {ocean.vertical.n} levels; {n} particles")
    stock = stock_rate(ocean, n)
    rows = [("Parcels' AdvectionRK2_3D_CROCO, one core", stock)]
    bare = {threads: bare_rate(ocean, n, threads=threads) for threads in (1, 2)}
    inside = {threads: parcels_rate(ocean, n, threads=threads) for threads in (1, 2)}
    for threads in (1, 2):
        rows.append((f"our RK4 kernel bare, {threads} thread(s)", bare[threads]))
        rows.append((f"our RK4 kernel in Parcels, {threads} thread(s)", inside[threads]))
    positions = 6 if jet else 3
    for dt in (30.0, DT_MINUTES):
        # the whole record is read whatever dt is: at a long step the command is bound by files and stores
        steps, elapsed, particles = whole_command(files, grid, site, dt, positions)
        rows.append((f"whole command, dt {dt:g} min, {particles} particles, 2 cores", steps / elapsed))
    for name, rate in rows:
        print(f"{name:62s} {rate / 1e6:8.3f} M/s {rate / stock:7.1f} x stock")
    for threads in (1, 2):
        print(f"in Parcels / bare, {threads} thread(s): {inside[threads] / bare[threads]:.2f}")
    days = sum(PAPER_DEPTH / w for w in SINKING_SPEEDS)
    needed = PAPER_EXPERIMENTS * PAPER_PARTICLES * days * 1440 / DT_MINUTES
    print(
        f"the paper's full set ({PAPER_EXPERIMENTS} experiments x {len(SINKING_SPEEDS)} speeds, dt {DT_MINUTES:g} min): "
        f"{needed / 1e9:.1f} billion particle-steps, {needed / inside[2] / 3600:.2f} h of kernel on 2 cores"
    )
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
