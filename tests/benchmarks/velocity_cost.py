"""What learnt velocities cost a user: from nothing to scores, and a long record of satellite maps.

    python -m tests.benchmarks.velocity_cost start [--folder DIR] [--years 3] [--w 80 150 300]
    python -m tests.benchmarks.velocity_cost dates --run RUN [--folder DIR] [--dates 815] [--members 16]

``start``: with empty caches, ``lagrangian.run`` on the twin ocean, ``learning.fit --method velocity`` (preset quick),
``learning.predict --method velocity`` and the scores of ``evaluation.report``, each a process of its own, as a user gives them.

``dates``: ``learning.predict --method velocity --ssh --sst`` at one place and five sinking speeds, 815 dates ten days apart if
not told otherwise, by the networks of RUN, from files of maps every five days that are made first: waves of the ocean's size that
drift west. The maps cost what real ones do; what they show is of no ocean.

Of each command: seconds by the clock, CPU-seconds of all its processes, peak memory of the largest process so far. Seconds by the
clock mean something on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lagrangian.config import SINKING_SPEEDS
from tests.builders.satellite_maps import maps

#: Aims, minutes on two cores.
AIM = {"start": 15.0, "dates": 30.0}
#: Days between maps; lengths (degrees) of the waves that they show.
MAP_DAYS, WAVES = 5, ((2.3, 1.9), (3.1, -2.2), (-1.7, 2.9))


def timed(*words: str, cache: Path | None = None) -> tuple[float, float]:
    """Give a command; (seconds by the clock, CPU-seconds), printed with its peak memory."""
    environment = dict(os.environ) if cache is None else {**os.environ, "XDG_CACHE_HOME": str(cache)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", *words], check=True, stdout=subprocess.DEVNULL, env=environment)
    clock, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{words[0]:20s} {clock:6.0f} s, {cpu:6.0f} CPU-seconds, at most {after.ru_maxrss / 1024:.0f} MiB so far", flush=True)
    return clock, cpu


def told(name: str, spent: list[tuple[float, float]]) -> None:
    """The sum beside the aim."""
    clock, cpu = (sum(one) / 60 for one in zip(*spent, strict=True))
    print(f"{name}: {clock:.1f} minutes by the clock, {cpu:.1f} CPU-minutes, on {os.cpu_count()} cores (load "
          f"{os.getloadavg()[0]:.1f}); aim {AIM[name]:g} minutes on two cores", flush=True)  # fmt: skip


def start(folder: Path, years: float, speeds: list[str]) -> None:
    """From nothing to scores."""
    run, cache = str(folder / "run"), folder / "cache"
    design = ["--years", f"{years:g}", "--positions", "domain", "--spacing", "171"]
    told("start", [
        timed("lagrangian.run", "--out", run, "--w", *speeds, *design, cache=cache),
        timed("learning.fit", "--run", run, "--method", "velocity", "--inputs", "sst-ssh-bathymetry", cache=cache),
        timed("learning.predict", "--run", run, "--method", "velocity", cache=cache),
        timed("evaluation.report", "--run", run, cache=cache),
    ])  # fmt: skip


def waves(day: float, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Waves of some hundred kilometres and a few centimetres that drift west, m."""
    return sum(0.05 * np.sin(2 * np.pi * ((lon + 0.02 * day) / east + lat / north)) for east, north in WAVES)


def made_maps(folder: Path, days: range) -> tuple[str, str]:
    """Files of SSH and SST around the trap of PAP-SO."""
    lon = np.arange(-26.0, -7, 0.25)
    ssh = maps(folder / "ssh.nc", "adt", "m", waves, days=days, lon=lon)
    warm = maps(folder / "sst.nc", "analysed_sst", "kelvin", lambda *at: 287.15 + 5 * waves(*at), days=days, lon=lon)
    return ssh, warm


def many_dates(folder: Path, run: Path, dates: int, members: int) -> None:
    """A long record of satellite maps."""
    # particles of the slowest speed are under way for some 40 days, and maps of 20 days before them are wanted
    ssh, sst = made_maps(folder, range(0, 10 * dates + 110, MAP_DAYS))
    first = np.datetime64("2010-01-01") + 85
    told("dates", [timed(
        "learning.predict", "--run", str(run), "--method", "velocity", "--ssh", ssh, "--sst", sst, "--site", "-16.5,49",
        "--w", *(f"{w:g}" for w in SINKING_SPEEDS), "--members", str(members), "--start", str(first),
        "--end", str(first + 10 * (dates - 1)), "--out", str(folder / "catchments"),
    )])  # fmt: skip
    size = sum(path.stat().st_size for path in (folder / "catchments").glob("catchment_w*.nc"))
    print(f"{dates} dates x {len(SINKING_SPEEDS)} speeds x {members} members: {size / 2**20:.0f} MiB of catchments")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("start", "dates"))
    parser.add_argument("--folder", type=Path, help="where files go, which stay (default: a temporary folder)")
    parser.add_argument("--run", type=Path, help="with dates: the run whose networks predict")
    parser.add_argument("--years", type=float, default=3.0)
    parser.add_argument("--w", nargs="+", default=["80", "150", "300"])
    parser.add_argument("--dates", type=int, default=815)
    parser.add_argument("--members", type=int, default=16)
    options = parser.parse_args()
    if options.what == "dates" and options.run is None:
        parser.error("dates needs --run, a run with networks of velocities (learning.fit --method velocity)")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if options.what == "start":
            start(folder, options.years, options.w)
        else:
            many_dates(folder, options.run, options.dates, options.members)


if __name__ == "__main__":
    main()
