"""A GLORYS year around PAP-SO, whole command: ``python -m tests.benchmarks glorys-year`` (``--days 60``: a part of it, scaled).

    python -m tests.benchmarks.glorys_year [--days 365] [--record DIR]

Writes analytic daily means on 115 x 189 points and 50 levels in monthly files as the Copernicus Marine toolbox writes them
(float32, contiguous; 8.7 MB a day; a temporary folder unless --record names one), and runs ``python -m lagrangian.run`` on one
thread with four particles a release, and with many: what a day of the record costs (reading, continuity, fields.zarr) and what a
particle-step costs, from the difference. From these, the projection for the paper's design over 1993 to 2020.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from data.command import read_json
from data.zlevel.levels import GLORYS_DEPTHS
from lagrangian.config import LEVELS, SINKING_SPEEDS, RunConfig
from tests.benchmarks.real_size import CHILD
from tests.builders.analytic import eddies
from tests.builders.zlevel_files import days as daily
from tests.builders.zlevel_files import write_lonlat, write_static

SHAPE = {"nx": 189, "ny": 115}
DEPTH = np.array(GLORYS_DEPTHS)
#: Days from 1993-01-01 to 2020-12-31.
PROJECTED_DAYS = 10227
DAYS_A_FILE = 30


def write(folder: Path, days: int) -> list[Path]:
    """The files of the record that are not there yet, and the static file."""
    folder.mkdir(parents=True, exist_ok=True)
    lon, lat = -24.5 + np.arange(SHAPE["nx"]) / 12, 44.25 + np.arange(SHAPE["ny"]) / 12
    x, y = 85e3 * (lon - lon.mean())[None, None, :], 111e3 * (lat - lat.mean())[None, :, None]
    z = -DEPTH[:, None, None]
    shape = (DEPTH.size, lat.size, lon.size)
    u, v = eddies()
    paths = []
    for first in range(0, days, DAYS_A_FILE):
        n = min(DAYS_A_FILE, days - first)
        path = folder / f"ocean_{first:03d}_{n}.nc"
        paths.append(path)
        if path.exists():
            continue
        held = {name: np.stack([np.broadcast_to(f(x, y, z, 86400.0 * (first + k)), shape).astype("f4") for k in range(n)])
                for name, f in (("u", u), ("v", v))}  # fmt: skip
        held["zeta"] = np.zeros((n, *shape[1:]), "f4")
        aside = path.with_suffix(".part")
        write_lonlat(aside, lon, lat, DEPTH, daily("2001-01-01", days)[first : first + n], held)
        aside.rename(path)
    write_static(folder / "static.nc", lon, lat, np.full(shape[1:], 4800.0))
    return paths


def command(folder: Path, out: Path, *words: str, files: str = "ocean_*.nc") -> dict:
    """Run it in a process of its own: seconds (wall, CPU), largest memory MiB, MiB read, particle-steps, seconds of the sweep."""
    told = out.with_suffix(".io")
    arguments = [sys.executable, "-c", CHILD, str(told), "--ocean", str(folder / files), "--grid", str(folder / "static.nc"),
                 "--threads", "1", "--dt", "120", "--out", str(out), *words]  # fmt: skip
    started = time.perf_counter()
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(text)
    result = read_json(out / "run.json")["result"]
    read = int(json.loads(told.read_text())["rchar"]) / 2**20 if told.exists() else float("nan")
    return {"wall": time.perf_counter() - started, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024,
            "read": read, "steps": result["particle_steps"], "sweep": result["seconds"]}  # fmt: skip


def paper_steps(days: int) -> float:
    """Particle-steps of the paper's design over a record: all five speeds, steps of 120 minutes."""
    config = RunConfig()
    released = days / config.every * config.positions**2 * config.collection * 24 / config.release_every * config.particles
    return released * sum((config.trap_depth - min(LEVELS)) / w * 12 for w in SINKING_SPEEDS)


def main(arguments: list[str]) -> None:
    """Write, run twice, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.glorys_year", description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--record", type=Path, help="folder of the record, kept (default: a temporary one)")
    options = parser.parse_args(arguments)
    if options.days <= DAYS_A_FILE:
        parser.error(f"--days must be more than {DAYS_A_FILE}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.record or Path(scratch) / "record"
        started = time.perf_counter()
        paths = write(folder, options.days)
        size = sum(path.stat().st_size for path in paths)
        print(f"{options.days} days of {SHAPE['ny']} x {SHAPE['nx']} x {DEPTH.size} points in {len(paths)} files, "
              f"{size / 1e9:.2f} GB, written in {time.perf_counter() - started:.0f} s", flush=True)  # fmt: skip
        print("particles | wall, s | CPU, s | memory, MiB | read, MiB | M steps\n---|---|---|---|---|---")
        alone = ("--w", "300", "--positions", "1", "--particles", "4")
        short = command(folder, Path(scratch) / "short", *alone, files=paths[0].name)
        few = command(folder, Path(scratch) / "few", *alone)
        many = command(folder, Path(scratch) / "many", "--w", "150", "300", "--positions", "4", "--particles", "36")
        for name, one in ((f"few, {DAYS_A_FILE} days", short), ("few", few), ("many", many)):
            print(f"{name} | {one['wall']:.0f} | {one['cpu']:.1f} | {one['memory']:.0f} | {one['read']:.0f} | "
                  f"{one['steps'] / 1e6:.2f}", flush=True)  # fmt: skip
        # what any command takes, whatever its record, is in both
        a_day = max(few["cpu"] - short["cpu"], 0.0) / (options.days - DAYS_A_FILE)
        a_step = max(many["cpu"] - few["cpu"], 0.0) / max(many["steps"] - few["steps"], 1)
        print(f"a day of the record {1e3 * a_day:.0f} ms of CPU, {size / options.days / 1e6:.1f} MB; "
              f"a particle-step {1e6 * a_step:.2f} us; one core")  # fmt: skip
        for what, n in (("a year", 365), ("1993-2020", PROJECTED_DAYS)):
            record, kernel = n * a_day / 3600, paper_steps(n) * a_step / 3600  # hours
            print(f"{what}: {n * size / options.days / 1e9:.0f} GB; the record {60 * record:.1f} minutes, the paper's design "
                  f"({paper_steps(n) / 1e9:.2f} billion particle-steps, five speeds) {kernel:.1f} h of one core")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
