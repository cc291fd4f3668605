"""Peak memory at the sizes of users, beside 4 GiB, and what ``--check`` foretells of a run at the paper's size.

    python -m tests.benchmarks.sizes fields [--points 512 --layers 80 --days 16] [--folder DIR]
    python -m tests.benchmarks.sizes members --run RUN [--years 20] [--members 16] [--folder DIR]
    python -m tests.benchmarks.sizes maps --run RUN [--years 20] [--folder DIR]

``fields``: ``lagrangian.run`` on an analytic CROCO record as large as the paper's (512 x 512 points of 2 km, 80 layers, the traps
of the paper's array), first with ``--check``, then in earnest: steps, CPU time, memory and disk of both.

``members``: ``learning.predict --method velocity`` by the networks of RUN, a date every ten days of so many years of satellite
maps, five sinking speeds. ``maps``: ``learning.predict --method unet`` for the same dates, then ``evaluation.correlation`` with a
map of chlorophyll a day and a flux record as long. The maps show waves of no ocean; they cost what real ones do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from data.trap_flux import write_flux
from lagrangian.config import SINKING_SPEEDS
from tests.benchmarks import door
from tests.benchmarks.commands import HERE, spent
from tests.benchmarks.real_size import record_files
from tests.benchmarks.record import AnalyticRecord
from tests.benchmarks.velocity_cost import MAP_DAYS, made_maps, waves

LIMIT_MIB = 4096.0
YEAR = 365.25
#: Traps along a side of the array, as the paper has them.
SIDE = 6
#: Days before the first date: particles of the slowest speed are under way for some 40, and maps of 20 days before are wanted.
BEFORE = 85
FIRST = np.datetime64("2010-01-01")


def fields(folder: Path, points: int, layers: int, days: float) -> int:
    """The check and the run."""
    record = AnalyticRecord(points, layers, 2000.0, days, 2)
    files = record_files(record, folder / "record", ())
    print(f"{record}: {len(files)} files, {sum(path.stat().st_size for path in files) / 2**30:.1f} GiB", flush=True)
    spacing = round(1.5 * record.half_width / 1e3 / SIDE, 3)
    door.check(["--ocean", *map(str, files), "--w", "300", "--collection", "4", "--every", "4", "--positions", str(SIDE),
                "--spacing", str(spacing)])  # fmt: skip
    return 0


def told(name: str, words: list[str]) -> int:
    """Give a command and print its cost. Returns 1 where it fails or takes more than the limit."""
    found = spent(HERE, words)
    if isinstance(found, str):
        print(f"{name}: failed: {found}", flush=True)
        return 1
    cpu, clock, memory = found
    print(f"{name:36s}{cpu:8.0f} CPU-s{clock:8.0f} s by the clock{memory:8.0f} MiB (limit {LIMIT_MIB:.0f})", flush=True)
    return int(memory > LIMIT_MIB)


def dates(years: float) -> tuple[str, str]:
    """First and last date of predictions."""
    return str(FIRST + BEFORE), str(FIRST + BEFORE + 10 * (round(years * YEAR / 10) - 1))


def members(folder: Path, run: Path, years: float, count: int) -> int:
    """Members of learnt velocities."""
    apart(made_maps, folder, range(0, round(years * YEAR) + 110, MAP_DAYS))
    ssh, sst = (str(folder / name) for name in ("ssh.nc", "sst.nc"))
    start, end = dates(years)
    return told(f"learnt velocities, {count} members", [
        "learning.predict", "--run", str(run), "--method", "velocity", "--ssh", ssh, "--sst", sst, "--site", "-16.5,49",
        "--w", *(f"{w:g}" for w in SINKING_SPEEDS), "--members", str(count), "--start", start, "--end", end,
        "--out", str(folder / "velocity"),
    ])  # fmt: skip


def yearly(folder: Path, name: str, units: str, value: Callable, days: int, spacing: float) -> None:
    """Files ``name_YY.nc`` of a map a day, one a year, on a grid of ``spacing`` degrees about the trap of PAP-SO."""
    east, north = np.meshgrid(np.arange(-26.0, -7, spacing), np.arange(43.0, 55, spacing))
    coords = {"latitude": north[:, 0], "longitude": east[0]}
    for year, part in enumerate(np.array_split(np.arange(days), -(-days // 366))):
        stacked = np.stack([value(day, east, north) for day in part]).astype(np.float32)
        variable = (("time", "latitude", "longitude"), stacked, {"units": units})
        times = FIRST.astype("M8[ns]") + part * np.timedelta64(86400 * 10**9, "ns")
        xr.Dataset({name: variable}, {"time": times, **coords}).to_netcdf(folder / f"{name}_{year:02d}.nc")


def daily_maps(folder: Path, days: int) -> None:
    """SSH, SST and chlorophyll."""
    yearly(folder, "adt", "m", waves, days, 0.25)
    yearly(folder, "analysed_sst", "kelvin", lambda *at: 287.15 + 5 * waves(*at), days, 0.1)
    yearly(folder, "CHL", "mg m-3", lambda *at: np.exp(2 * waves(*at) - 1), days, 1 / 24)


def apart(function: Callable, *arguments) -> None:
    """Call a function in a process of its own: a command's memory counts from that of the process that gives it."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{function.__name__} ended with {process.exitcode}")


def long_maps(folder: Path, run: Path, years: float) -> int:
    """Predictions of binned PDFs and the correlation, a map a day."""
    apart(daily_maps, folder, round(years * YEAR) + 110)
    ssh, warm, green = (str(folder / f"{name}_*.nc") for name in ("adt", "analysed_sst", "CHL"))
    start, end = dates(years)
    out = folder / "unet"
    failed = told("networks of binned PDFs", [
        "learning.predict", "--run", str(run), "--method", "unet", "--ssh", ssh, "--sst", warm, "--site", "-16.5,49",
        "--start", start, "--end", end, "--out", str(out),
    ])  # fmt: skip
    opening = pd.date_range(FIRST + 130, str(FIRST + round(years * YEAR)), freq="10D")
    level = 100 + 20 * np.random.default_rng(0).standard_normal(len(opening))
    cups = pd.DataFrame({"open": opening, "close": opening + pd.Timedelta(days=10), "dry_weight": level, "poc": level / 20})
    write_flux(folder / "flux.csv", cups.assign(pic=cups["poc"]).rename_axis("cup"))
    return failed | told("correlation", [
        "evaluation.correlation", "--predictions", str(out / "catchment_w*.nc"), "--chlorophyll", green,
        "--flux", str(folder / "flux.csv"), "--start", start, "--end", end, "--out", str(folder / "correlation"),
    ])  # fmt: skip


def main() -> int:
    """Measure. Returns 1 where a command fails or takes more memory than the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("fields", "members", "maps"))
    parser.add_argument("--folder", type=Path, help="where files go, which stay (default: a temporary folder)")
    parser.add_argument("--run", type=Path, help="with members and maps: the run whose networks predict")
    parser.add_argument("--points", type=int, default=512)
    parser.add_argument("--layers", type=int, default=80)
    parser.add_argument("--days", type=float, default=16.0)
    parser.add_argument("--years", type=float, default=20.0)
    parser.add_argument("--members", type=int, default=16)
    options = parser.parse_args()
    if options.what != "fields" and options.run is None:
        parser.error(f"{options.what} needs --run, a run with networks (learning.fit)")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if options.what == "fields":
            return fields(folder, options.points, options.layers, options.days)
        run = options.run.resolve()
        if options.what == "members":
            return members(folder, run, options.years, options.members)
        return long_maps(folder, run, options.years)


if __name__ == "__main__":
    sys.exit(main())
