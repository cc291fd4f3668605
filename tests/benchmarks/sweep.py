"""What a sweep takes around its kernel, and what threads and workers do: the whole command on the embedded ocean.

    python -m tests.benchmarks.sweep parts [--end DATE]            CPU time by part, and what two cores can make of it
    python -m tests.benchmarks.sweep threads [--end 2000-07-01]    1 and 2 threads, 1, 2 and 10 workers: times, equal bytes

The command is that of ``make demo`` (``lagrangian.run --w 80``) without its picture; ``--end`` shortens it. ``parts`` runs it
twice in one process, with one thread of the kernel, and counts the second time; its parts do not overlap. In ``threads`` every
case is a process of its own; ``1 core`` has one thread and is kept on one core, reading and writing included; the others may use
all cores of the machine. CPU time is that of the whole command, workers included, and that of the sweep alone, as run.json has
it; wall time that of the whole command.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

#: Options of each case of ``threads``.
CASES = {
    "1 core": ["--threads", "1"],
    "1 thread": ["--threads", "1"],
    "2 threads": ["--threads", "2"],
    "1 worker": ["--workers", "1"],
    "2 workers": ["--workers", "2"],
    "10 workers": ["--workers", "10"],
}


def parts(end: str | None) -> None:
    """Print the CPU time of each part of the command; the parts do not overlap."""
    import lagrangian.maps
    from data.command import parse
    from lagrangian import campaign, kernels, results, run, window
    from lagrangian.config import RunConfig

    lagrangian.maps.draw_catchment = lambda *_: None
    spent: dict[str, float] = defaultdict(float)

    def count(owner, name: str, label: str) -> None:
        real = getattr(owner, name)

        @functools.wraps(real)
        def counted(*arguments, **options):
            began = time.thread_time()
            try:
                return real(*arguments, **options)
            finally:
                spent[label] += time.thread_time() - began

        setattr(owner, name, counted)

    sweep, particles, moves = campaign.Campaign, kernels.FlyingParticles, window.Window
    count(sweep, "run", "sweep")
    count(sweep, "_prepare", "read")
    count(sweep, "_load", "pack")
    count(sweep, "_release", "release")
    count(particles, "fly", "loop")
    count(moves, "advance", "window")
    count(window, "advance", "kernel")
    count(results.SpeedResults, "write", "write")
    command = ["--w", "80", "--threads", "1", *(["--end", end] if end else [])]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("warm", "run"):
            spent.clear()
            began = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                run.main(parse(RunConfig, [*command, "--out", f"{folder}/{name}"], prog="sweep"))
            whole = time.process_time() - began
    beside = whole - spent["sweep"]
    rows = {
        "kernel": spent["kernel"],
        "order of the particles": spent["window"] - spent["kernel"],
        "Parcels' loop": spent["loop"] - spent["window"],
        "release": spent["release"],
        "pack snapshots": spent["pack"],
        "rest of the sweep's own thread": spent["sweep"] - spent["loop"] - spent["release"] - spent["pack"],
        "beside: read, omega, regrid": spent["read"],
        "beside: positions, PDFs": spent["write"],
        "beside: compress, write, check, open": beside - spent["read"] - spent["write"],
    }
    print("part | CPU s | %")
    for label, seconds in rows.items():
        print(f"{label} | {seconds:.2f} | {100 * seconds / whole:.0f}")
    print(f"whole command | {whole:.2f} | 100")
    two = max(whole / 2, spent["sweep"] - spent["kernel"] / 2)
    print(
        f"one thread takes {spent['sweep']:.1f} s at least, for what is beside goes to the other core; two take {two:.1f} s at "
        f"least: {spent['sweep'] / two:.2f} x one thread, {whole / two:.2f} x one core"
    )


def threads(end: str) -> int:
    """Print the table of :data:`CASES`. Returns the number of cases whose stores are not those of the first."""
    from tests.benchmarks.scaling import WITHOUT_PICTURE, contents, finish, unlike

    reference, bad, all_cores = None, 0, os.sched_getaffinity(0)
    print("case | wall s | CPU s of all processes | CPU s | M steps/s | M particle-days per CPU-second | stores")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        finish(["--w", "80", "--end", "2000-03-20"], out, WITHOUT_PICTURE)  # machine code and the ocean are there from now on
        shutil.rmtree(out)
        for case, options in CASES.items():
            with contextlib.ExitStack() as stack:
                if case == "1 core":  # what is started inherits it
                    os.sched_setaffinity(0, {min(all_cores)})
                    stack.callback(os.sched_setaffinity, 0, all_cores)
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                wall = finish(["--w", "80", "--end", end, *options], out, WITHOUT_PICTURE)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
            result = json.loads((out / "run.json").read_text())["result"]
            digests = contents(out)
            reference = reference or digests
            differ = unlike(digests, reference)
            bad += bool(differ)
            rates = result["particle_steps"] / result["seconds"], result["particle_days_per_cpu_second"]
            print(
                f"{case} | {wall:.1f} | {spent:.1f} | {result['cpu_seconds']:.1f} | "
                f"{rates[0] / 1e6:.2f} | {rates[1] / 1e6:.2f} | "
                f"{f'{len(differ)} FILES DIFFER' if differ else 'equal'}",
                flush=True,
            )
            shutil.rmtree(out)
    return bad


def main() -> int:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["parts", "threads"])
    parser.add_argument("--end", help="last day of the record that is used (parts: all of it, threads: to 2000-07-01)")
    options = parser.parse_args()
    if options.what == "parts":
        parts(options.end)
        return 0
    return min(1, threads(options.end or "2000-07-01"))


if __name__ == "__main__":
    sys.exit(main())
