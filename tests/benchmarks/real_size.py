"""The command on a record of a user's size, beside the closed form: ``python -m tests.benchmarks real-size``.

    python -m tests.benchmarks.real_size [--points 256 --layers 80 --threads 1 2 --workers 2 10 ...] [--record DIR]

Writes the analytic record of :mod:`tests.benchmarks.record` (2 GB at the default size; deleted at the end unless --record names
its folder, where it is found again), runs ``python -m lagrangian.run`` on it for each number of threads and of worker processes,
and prints how far the crossings are from the closed form, how fast the command was, the largest memory of any of its processes,
what they read (libraries included), and their time.
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

from data.command import read_json
from lagrangian.config import speed_folder
from lagrangian.stores import open_store
from tests.benchmarks.record import AnalyticRecord, add_options, compare, of_options

#: The command as it is, which tells at its end what it has read.
CHILD = """
import atexit, json, pathlib, runpy, sys
told = pathlib.Path(sys.argv.pop(1))
io = pathlib.Path("/proc/self/io")
tell = lambda: io.exists() and told.write_text(json.dumps(dict(line.split(": ") for line in io.read_text().splitlines())))
atexit.register(tell)
sys.argv[0] = "lagrangian.run"
runpy.run_module("lagrangian.run", run_name="__main__")
"""
HEADER = (
    "layers | run by | m/d | particles | largest error, m | over the mount, m | M steps/s | memory, MiB | read, MiB | wall, s | "
    "CPU, s"
)


def main(arguments: list[str]) -> int:
    """Make the record, run the command, print the table. Returns 1 where a run differs or is off by more than 1 m."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.real_size", description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--workers", type=int, nargs="*", default=[], help="runs by so many local processes besides")
    parser.add_argument("--w", type=float, nargs="+", default=[150.0, 300.0], help="sinking speeds, m/d")
    parser.add_argument("--collection", type=float, default=4.0, help="days")
    parser.add_argument("--release-every", type=float, default=6.0, help="hours")
    parser.add_argument("--positions", type=int, default=4, help="n of n x n traps")
    parser.add_argument("--vertical-velocity", default="continuity", choices=("continuity", "file"))
    parser.add_argument("--record", type=Path, help="folder of the record, kept (default: a temporary one)")
    options = parser.parse_args(arguments)
    record = of_options(options)
    with tempfile.TemporaryDirectory() as scratch:
        files = record_files(record, options.record or Path(scratch) / "record", tuple(options.vertical))
        size = sum(path.stat().st_size for path in files)
        print(f"{record}\n{len(files)} files, {size / 2**20:.0f} MiB\n{HEADER}\n{'|'.join(['---'] * 11)}", flush=True)
        runs = [("threads", number) for number in options.threads] + [("workers", number) for number in options.workers]
        folders = [Path(scratch) / f"{kind}-{number}" for kind, number in runs]
        worst = max(measured(record, files, out, *run, options) for run, out in zip(runs, folders, strict=True))
        first, *others = map(crossings, folders)
    differing = sum(first != other for other in others)
    print(f"bytes of crossings differ between numbers of threads and workers: {'no' if not differing else 'YES'}")
    return int(differing > 0 or not worst < 1.0)


def record_files(record: AnalyticRecord, folder: Path, vertical: tuple[str, ...]) -> list[Path]:
    """The record's files, made where the folder does not hold this very record."""
    mark, known = folder / "record.txt", f"{record} {vertical}"
    files = sorted(folder.glob("croco_his.*.nc"))
    if mark.exists() and mark.read_text() == known:
        return files
    began = time.perf_counter()
    for path in files:
        path.unlink()
    files = record.write(folder, vertical=vertical)
    mark.write_text(known)
    print(f"record written in {time.perf_counter() - began:.0f} s", flush=True)
    return files


def measured(record: AnalyticRecord, files: list[Path], out: Path, kind: str, number: int, options: argparse.Namespace) -> float:
    """Run the command by so many "threads" or "workers", print its rows, return the largest error over the flat floor, m."""
    told = out.with_suffix(".json")
    spacing = round(0.35 * record.half_width / 1e3 / options.positions, 3)
    command = [sys.executable, "-c", CHILD, str(told), "--ocean", *map(str, files), "--out", str(out), f"--{kind}", str(number),
               "--w", *map(str, options.w), "--collection", str(options.collection), "--every", str(options.collection),
               "--release-every", str(options.release_every), "--positions", str(options.positions), "--spacing", str(spacing),
               "--vertical-velocity", options.vertical_velocity]  # fmt: skip
    with (out.with_suffix(".txt")).open("w+") as said:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise SystemExit(f"the command ended with {child.returncode}: {said.read()[-2000:]}")
    steps = read_json(out / "run.json")["result"]
    rate = steps["particle_steps"] / steps["seconds"] / 1e6
    read = int(json.loads(told.read_text())["rchar"]) / 2**20 if told.exists() else float("nan")
    worst = 0.0
    for w in options.w:
        found = compare(record, open_store(out / speed_folder(w) / "particles.zarr", "particles"))
        worst = max(worst, found.flat)
        columns = (
            f"{record.layers} | {kind} {number} | {w:g} | {found.particles} | {found.flat:.2f} | {found.mount:.1f} | {rate:.2f}",
            f"{used.ru_maxrss / 1024:.0f} | {read:.0f} | {wall:.1f} | {used.ru_utime + used.ru_stime:.1f}",
        )
        print(" | ".join(columns), flush=True)
    return worst


def crossings(out: Path) -> dict[str, bytes]:
    """Every chunk of the crossings of a run."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.glob("w*/p*.zarr/**/*"))
        if path.is_file() and path.name != "zarr.json"
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
