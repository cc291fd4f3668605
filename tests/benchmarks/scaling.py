"""Large, long and unlucky runs: what they cost by size, what workers and memory do, and that killed ones end the same.

    python -m tests.benchmarks.scaling kills [--runs 20] [--seed 0]   random kills, each resumed and compared with the reference
    python -m tests.benchmarks.scaling losses [--kills 24] [--deletions 12] [--seed 0]   kills, and stores, chunks, run.json lost
    python -m tests.benchmarks.scaling particles                      particles x 10: seconds and memory
    python -m tests.benchmarks.scaling record                         record x 4: seconds and memory
    python -m tests.benchmarks.scaling workers                        1 against 2 workers; ten blocks a worker; a worker killed
    python -m tests.benchmarks.scaling members                        learning.fit alone and by 2 workers, equal weights
    python -m tests.benchmarks.scaling memory                         the largest files at hand against 2 GiB + two snapshots
    python -m tests.benchmarks.scaling profile [jet|twin]             where the time of the whole command goes
    python -m tests.benchmarks.scaling kernel                         the kernel against what arithmetic and memory allow
    python -m tests.benchmarks.scaling estimate                       a 30-year record at 2 km from unit costs measured here

Every figure comes from a process of its own. Ratios are of runs side by side in one call of the command.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import zarr

from tests.builders.forks import Fork, Forks

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLE = ROOT / "tests" / "data" / "croco_sample" / "croco_his.nc"
JET = ROOT.parent / "shared" / "data" / "croco" / "jet"
#: A run of seconds on the small file of the tests: two speeds, whole paths, a random walk; periods that begin on odd and even
#: snapshots (``--every 4.5``), so that a slot of the window that depended on where a sweep began would show.
SMALL_RUN = [
    "--ocean", str(SAMPLE), "--site", "-21.25,44.9", "--w", "300", "400", "--positions", "2", "--particles", "4",
    "--release-every", "24", "--every", "4.5", "--collection", "3", "--trajectories", "12", "--diffusivity", "20",
    "--checkpoint", "0", "--fields-spacing", "40",
]  # fmt: skip
COMMAND = [sys.executable, "-m", "lagrangian.run"]
#: Suffixes of what a finished run has cleared away.
LEFT_BEHIND = (".partial", ".aside", ".npz", ".lock", ".new", ".old")
#: The same command without its picture, which costs seconds.
WITHOUT_PICTURE = [
    sys.executable,
    "-c",
    "import sys, types; sys.modules['lagrangian.maps'] = types.SimpleNamespace(draw_catchment=lambda *a: None)\n"
    "from data.command import run_command; from lagrangian.config import RunConfig; from lagrangian.run import main\n"
    "if __name__ == '__main__': sys.exit(run_command(RunConfig, main, prog='lagrangian.run'))",
]
#: The same for :func:`tests.builders.forks.forks`.
FORKED_WITHOUT_PICTURE = (
    "import sys, types; sys.modules['lagrangian.maps'] = types.SimpleNamespace(draw_catchment=lambda *a: None)\n"
    "from data.command import run_command; from lagrangian.config import RunConfig; from lagrangian.run import main\n"
    "import data.croco, scipy.interpolate; from numba import njit; njit(lambda one: one + 1)(1)  # of which numba reads much",
    "run_command(RunConfig, main, prog='lagrangian.run', argv=argv)",
)


# -- runs that are killed --------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file of the stores under a run folder."""
    found = {}
    for place, _, names in os.walk(folder):
        if ".zarr" in place[len(str(folder)) :]:
            for name in names:
                path = os.path.join(place, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
    return dict(sorted(found.items()))


def start(arguments: list[str], out: Path, command: list[str] | Forks = COMMAND) -> subprocess.Popen | Fork:
    """The command in a process group of its own, as a shell starts it."""
    if isinstance(command, Forks):
        return command.start(arguments, out)
    return subprocess.Popen(
        [*command, *arguments, "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True,
        # a shell's background jobs ignore Ctrl-C, and their children inherit it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_for(condition, process: subprocess.Popen | Fork, seconds: float = 60.0) -> bool:
    """Wait until the condition holds; False where the process ends first."""
    until = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            return False
        if time.monotonic() > until:
            raise TimeoutError("the command does not get under way")
        time.sleep(0.01)
    return True


def _holds(process: subprocess.Popen | Fork, out: Path) -> bool:
    """Whether the command itself has come to its work (its imports are over, its folder is its own)."""
    try:
        return json.loads((out / ".run.lock").read_text())["pid"] == process.pid
    except (OSError, ValueError):
        return False


def worker_processes(process: subprocess.Popen | Fork) -> list[psutil.Process]:
    """The Dask workers under a command: processes that were forked from the server of forks or, elsewhere, spawned."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            line = " ".join(child.cmdline())
            if "spawn_main" in line or ("forkserver" in line and child.parent().cmdline() == child.cmdline()):
                found.append(child)
    return found


def pieces(out: Path) -> int:
    """Pieces of a run that are done: periods of each speed and times of the fields."""
    return sum(1 for pattern in ("w*/pdf.zarr*/parts_done/*", "fields.zarr*/written/c/*") for _ in out.glob(pattern))


def all_pieces(finished: Path) -> int:
    """:func:`pieces` of a whole run, of which the marks are gone."""
    record = json.loads((finished / "run.json").read_text())
    return pieces(finished) + len(record["identity"]["starts"]) * len(record["configuration"]["w"])


def kill_at_random(arguments, out: Path, kind: str, rng: random.Random, total: int, command=COMMAND) -> str:
    """Start a command and kill it ``kind``-wise at a random moment of its work.

    Parameters
    ----------
    kind : "SIGKILL", "SIGTERM", "SIGINT" or "worker"
        ``worker``: kill -9 of one of its workers, with which the command itself must go on.
    total : int
        :func:`pieces` of the whole run, among which the moment is drawn.

    Returns
    -------
    str
        What happened, for a table.
    """
    process = start(arguments, out, command)
    target = rng.randint(pieces(out), total)
    delay = rng.uniform(0.0, 0.5)
    working = wait_for(lambda: _holds(process, out) and any(out.glob("w*/pdf.zarr.partial")), process)
    if working and kind == "worker":
        wait_for(lambda: len(worker_processes(process)) == 2, process)
    wait_for(lambda: pieces(out) >= target, process, 300)
    time.sleep(delay)
    children = worker_processes(process) if process.poll() is None else []
    if kind == "worker":
        for child in rng.sample(children, min(1, len(children))):
            child.kill()
    elif process.poll() is None:
        process.send_signal(getattr(signal, kind))
        if kind == "SIGINT":  # a terminal tells the workers too
            for child in children:
                child.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    _, alive = psutil.wait_procs(children, timeout=15)
    if alive:
        raise AssertionError(f"workers outlive the command: {alive}")
    allowed = {"SIGKILL": (-9, 0), "SIGTERM": (-15, 0), "SIGINT": (130, 0), "worker": (0,)}[kind]
    # Python passes over an interrupt that comes within a callback of its own; the command then goes on to its end
    lost = kind == "SIGINT" and process.returncode == 0 and "Exception ignored in" in errors
    if process.returncode not in allowed or ("Traceback" in errors and not lost):
        raise AssertionError(f"exit code {process.returncode} after {kind}: {errors[-3000:]}")
    return f"{kind} at {target}/{total}: exit {process.returncode}"


def finish(arguments, out: Path, command=COMMAND) -> float:
    """Run the command to its end; seconds."""
    began = time.perf_counter()
    process = start(arguments, out, command)
    _, errors = process.communicate(timeout=600)
    if process.returncode != 0:
        raise AssertionError(f"exit code {process.returncode}: {errors[-2000:]}")
    return time.perf_counter() - began


def unlike(one: dict[str, str], two: dict[str, str]) -> list[str]:
    """Files that differ, or are in one folder only."""
    return sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))


def kills(runs: int, seed: int) -> int:
    """Random kills, each resumed; returns the number of runs whose stores were not the reference's."""
    rng = random.Random(seed)
    bad = 0
    two = ["--workers", "2", "--block", "2"]
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "reference"
        seconds = finish(SMALL_RUN, reference)
        expected = contents(reference)
        total = all_pieces(reference)
        print(f"reference: {len(expected)} files, {seconds:.1f} s", flush=True)
        for run in range(runs):
            out = Path(folder) / f"run-{run:02d}"
            said = []
            for _ in range(rng.randint(1, 3)):
                kind = rng.choice(
                    ["SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "worker", "SIGKILL with workers", "SIGINT with workers"]
                )
                extra = two if "worker" in kind else []
                happened = kill_at_random([*SMALL_RUN, *extra], out, kind.split()[0], rng, total)
                said.append(happened + (" (2 workers)" if extra else ""))
            extra = rng.choice([[], two])
            finish([*SMALL_RUN, *extra], out)
            differ = unlike(contents(out), expected)
            left = [str(path.relative_to(out)) for path in out.rglob("*") if path.suffix in LEFT_BEHIND]
            bad += bool(differ or left)
            verdict = f"{len(differ)} FILES DIFFER {differ[:3]}" if differ else f"LEFT BEHIND {left[:3]}" if left else "equal"
            print(f"{run + 1:2d}  {'; '.join(said)}; resumed{' by 2 workers' if extra else ''}: {verdict}", flush=True)
            shutil.rmtree(out)
    print(f"{runs - bad} of {runs} equal the reference byte for byte")
    return bad


LOSSES = ("store", "chunk", "run.json")


def stores_of(out: Path) -> list[Path]:
    """Stores of a run folder, finished and unfinished."""
    return sorted(path for end in ("", ".partial") for name in ("*.zarr", "w*/*.zarr") for path in out.glob(name + end))


def lose(out: Path, kind: str, rng: random.Random) -> Path:
    """Delete something of :data:`LOSSES` from a run folder. Returns its path."""
    stores = stores_of(out)
    if kind == "store":
        path = rng.choice(stores)
        shutil.rmtree(path)
        return path
    chunks = [path for store in stores for path in sorted(store.rglob("*")) if path.is_file() and "c" in path.parts]
    path = rng.choice(chunks) if kind == "chunk" else out / "run.json"
    path.unlink()
    return path


def finished(out: Path) -> dict[Path, tuple[int, int]]:
    """Every file of every finished store, with what changes when the file is written again."""
    whole = (store for store in stores_of(out) if store.suffix == ".zarr")
    files = (os.path.join(place, name) for store in whole for place, _, names in os.walk(store) for name in names)
    return {Path(file): (stat.st_ino, stat.st_mtime_ns) for file in files for stat in [os.stat(file)]}


def kept_of(before: dict[Path, tuple[int, int]], lost: list[Path]) -> dict[Path, tuple[int, int]]:
    """What of :func:`finished` must be the same files still: all but the stores that something was lost of."""
    stores = {parent for path in lost for parent in (path, *path.parents) if parent.suffix in (".zarr", ".partial")}
    return {path: stamp for path, stamp in before.items() if stores.isdisjoint(path.parents)}


def kill_and_lose(
    out: Path, kinds: list[str], losses: list[str], rng: random.Random, total: int, command=COMMAND, again=SMALL_RUN
) -> tuple[list[str], dict[Path, tuple[int, int]]]:
    """Kill the small run ``kinds``-wise, delete something of each of ``losses`` at random moments in between, and finish it.

    Returns
    -------
    list of str
        What happened.
    dict
        :func:`kept_of` the finished stores at each loss.
    """
    events = [(kind, None) for kind in kinds] + [("end", None)]
    for loss in losses:
        events.insert(rng.randint(1, len(events)), (None, loss))
    said, kept, ended = [], {}, False
    torn: list[Path] = []  # lost, and perhaps not made again yet: a command may be killed before it comes to that store
    for kind, loss in events:
        if loss is not None:
            before = finished(out)
            torn.append(lose(out, loss, rng))
            kept = kept_of(kept | before, torn)
            said.append(f"lost {torn[-1].relative_to(out)}")
            ended = False
        elif kind == "end":
            finish(again, out, command)
            ended, torn = True, []
        else:
            extra = ["--workers", "2", "--block", "2"] if "worker" in kind else []
            said.append(kill_at_random([*again, *extra], out, kind.split()[0], rng, total, command))
            ended = False
    if not ended:
        finish(again, out, command)
    return said, kept


def losses(kills: int, deletions: int, seed: int) -> int:
    """Random kills and deletions, resumed; returns the number of runs that lost something finished or ended with other bytes."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "reference"
        finish(SMALL_RUN, reference)
        expected, total = contents(reference), all_pieces(reference)
        print(f"reference: {len(expected)} files", flush=True)
        runs = max(1, min(kills, deletions))
        bad, done = 0, [0, 0]
        for run in range(runs):
            out = Path(folder) / f"run-{run:02d}"
            kinds = [rng.choice(["SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "worker", "SIGKILL with workers"])
                     for _ in range(run, kills, runs)]  # fmt: skip
            chosen = [LOSSES[number % len(LOSSES)] for number in range(run, deletions, runs)]
            said, kept = kill_and_lose(out, kinds, chosen, rng, total)
            differ = unlike(contents(out), expected)
            now = finished(out)
            again = sorted(str(path.relative_to(out)) for path, stamp in kept.items() if now.get(path) != stamp)
            left = [str(path.relative_to(out)) for path in out.rglob("*") if path.suffix in LEFT_BEHIND]
            found = {"FILES DIFFER": differ, "FINISHED FILES MADE AGAIN": again, "LEFT BEHIND": left}
            wrong = [f"{len(names)} {what} {names[:3]}" for what, names in found.items() if names]
            bad += bool(wrong)
            done = [done[0] + len(kinds), done[1] + len(chosen)]
            verdict = "; ".join(wrong) or f"equal, {len(kept)} finished files kept"
            print(f"{run + 1:2d}  {'; '.join(said)}: {verdict}", flush=True)
            shutil.rmtree(out)
    print(f"{done[0]} kills and {done[1]} deletions in {runs} runs: {runs - bad} of {runs} equal the reference byte for byte and "
          "kept what was finished")  # fmt: skip
    return bad


# -- what runs cost --------------------------------------------------------------------------------------------------


def one(arguments: list[str]) -> None:
    """In a process of its own: run the command once without its picture; print what it took as JSON."""
    import contextlib
    import io

    import lagrangian.maps
    from data.command import parse
    from lagrangian.config import RunConfig
    from lagrangian.run import main

    lagrangian.maps.draw_catchment = lambda *_: None
    config = parse(RunConfig, arguments, prog="scaling")
    before, cpu, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if main(config):
            raise SystemExit("the run failed")
    took = {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    record = json.loads((config.out / "run.json").read_text())
    took |= {"steps": record["result"]["particle_steps"], "snapshots": record["identity"]["record"][2]}
    took |= {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "before": before / 1024}
    print(json.dumps(took))


def measured(arguments: list[str], folder: Path, name: str) -> dict:
    """:func:`one`, from here."""
    out = folder / name
    command = [sys.executable, "-m", "tests.benchmarks.scaling", "one", *arguments, "--out", str(out)]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    shutil.rmtree(out)
    return json.loads(text.splitlines()[-1])


def jet_files(folder: Path, copies: int) -> list[str]:
    """Options for the jet's record (60 days, 12-hourly, 63 x 63 x 24), ``copies`` times on end; without the jet, the sample's."""
    import netCDF4

    jet = JET.exists()
    files = sorted(JET.glob("croco_his.*.nc")) if jet else [SAMPLE]
    grid = ["--grid", str(JET / "croco_grd.nc")] if jet else []
    days = 60.0 if jet else 24.5
    made = []
    for copy in range(copies):
        for file in files:
            path = folder / f"copy{copy:02d}-{file.name}"
            if not path.exists():
                shutil.copy(file, path)
                path.chmod(0o644)
                with netCDF4.Dataset(path, "a") as dataset:
                    for name in {"time", "scrum_time", "ocean_time"} & set(dataset.variables):
                        dataset[name][:] = dataset[name][:] + copy * days * 86400
            made.append(str(path))
    return ["--ocean", *made, *grid, "--site", "-20.3,44.9" if jet else "-21.25,44.9", "--w", "300", "--positions", "3",
            "--threads", "1"]  # fmt: skip


def sizes(title: str, cases: list[tuple[str, int, list[str]]]) -> list[dict]:
    """Measure, print a table, and fit cpu = a + b snapshots + c steps where there are cases enough."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{title:28s} {'snapshots':>9s} {'M steps':>8s} {'wall s':>7s} {'cpu s':>7s} {'peak MiB':>8s}")
        for label, copies, extra in cases:
            row = measured([*jet_files(folder, copies), *extra], folder, "run")
            rows.append(row)
            print(
                f"{label:28s} {row['snapshots']:9d} {row['steps'] / 1e6:8.2f} {row['wall']:7.1f} {row['cpu']:7.1f} "
                f"{row['peak']:8.0f}", flush=True,
            )  # fmt: skip
    return rows


def fit(rows: list[dict], key: str = "cpu") -> tuple[float, float, float]:
    """Least squares of seconds = a + b snapshots + c steps: (a, b, c), printed."""
    matrix = np.array([[1.0, row["snapshots"], row["steps"]] for row in rows])
    measured = np.array([row[key] for row in rows])
    (a, b, c), *_ = np.linalg.lstsq(matrix, measured, rcond=None)
    left = np.abs(measured - matrix @ [a, b, c])
    print(f"{key} seconds = {a:.2f} + {1e3 * b:.2f} ms x snapshots + {1e6 * c:.3f} s x million particle-steps; "
          f"off by {left.max():.2f} s at the most, {100 * (left / measured).max():.0f} %, in {len(rows)} runs")  # fmt: skip
    return a, b, c


def workers() -> None:
    """1 against 2 workers, equal stores; ten blocks a worker; a worker killed in the middle."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = [*jet_files(folder, 4), "--particles", "400", "--every", "5", "--collection", "5"]
        base = [argument for argument in base if argument not in ("--threads", "1")]
        cases = {
            "1 sweep, 1 thread": ["--threads", "1"],
            "1 sweep, 2 threads": ["--threads", "2"],
            "2 workers": ["--workers", "2"],
            "2 workers, 20 blocks": ["--workers", "2", "--block", "2"],
        }
        reference = None
        for label, extra in cases.items():
            seconds = finish([*base, *extra], folder / "run", WITHOUT_PICTURE)
            digests = contents(folder / "run")
            reference = reference or (seconds, digests)
            same = "equal" if not unlike(digests, reference[1]) else "NOT EQUAL"
            print(f"{label:24s} {seconds:7.1f} s   {seconds / reference[0]:.2f} of the first   stores {same}", flush=True)
            shutil.rmtree(folder / "run")
        rng = random.Random(1)
        began = time.perf_counter()
        said = kill_at_random([*base, "--workers", "2", "--block", "2"], folder / "run", "worker", rng, 30, WITHOUT_PICTURE)
        same = "equal" if not unlike(contents(folder / "run"), reference[1]) else "NOT EQUAL"
        print(f"{'a worker killed':24s} {time.perf_counter() - began:7.1f} s   stores {same} ({said})")


def members() -> None:
    """learning.fit of four members on a made-up run, alone and by 2 workers; equal weights but for another number of threads."""
    from tests.builders.made_up_run import write_run

    with tempfile.TemporaryDirectory() as name:
        run = write_run(Path(name) / "run", periods=100, speeds=(80.0,))
        options = ["--run", str(run), "--members", "4", "--epochs", "4"]
        cases = {
            "alone, 2 threads (default)": [],
            "2 workers, 2 threads each": ["--workers", "2"],
            "alone, 1 thread": ["--threads", "1"],
            "2 workers, 1 thread each": ["--threads", "1", "--workers", "2"],
        }
        kept: dict[str, dict[str, str]] = {}
        first = None
        for label, extra in cases.items():
            began = time.perf_counter()
            command = [sys.executable, "-m", "learning.fit", *options, *extra]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            took = time.perf_counter() - began
            first = first or took
            weights = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                       for path in sorted(run.glob("w080/models/sst-ssh/member-*.safetensors"))}  # fmt: skip
            same = "equal" if weights == kept.setdefault("1" if "1" in extra else "2", weights) else "NOT EQUAL"
            print(f"{label:28s} {took:7.1f} s   {took / first:.2f} of the first   {len(weights)} members {same}", flush=True)
            shutil.rmtree(run / "w080" / "models")


def memory() -> None:
    """Peak memory on the largest files at hand, all particles of the paper's design, against 2 GiB + two snapshots."""
    from data.croco import open_croco

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = jet_files(folder, 1)
        ocean = open_croco(options[1 : options.index("--site")][:1], grid=str(JET / "croco_grd.nc") if JET.exists() else None)
        one_snapshot = ocean.snapshot(0)
        size = sum(array.nbytes for array in (one_snapshot.u, one_snapshot.v, one_snapshot.zeta)) / 2**20
        extra = ["--w", "80", "100", "150", "200", "300", "--positions", "6", "--spacing", "20"]
        row = measured([*options, *extra], folder, "run")
        limit = 2048 + 2 * size
        print(f"snapshot {size:.1f} MiB; peak {row['peak']:.0f} MiB, of them {row['before']:.0f} imports; limit {limit:.0f} MiB: "
              f"{'kept' if row['peak'] < limit else 'BROKEN'} ({row['steps'] / 1e6:.1f} M steps)")  # fmt: skip


def profile(ocean: str = "jet") -> None:
    """Seconds of CPU of each piece of work, on the jet or the twin: reading, omega, packing, fields, kernel, stores."""
    import cProfile
    import pstats
    import threading

    from lagrangian.config import RunConfig
    from lagrangian.run import main

    with tempfile.TemporaryDirectory() as name:
        import lagrangian.maps
        from data.command import parse

        lagrangian.maps.draw_catchment = lambda *_: None
        options = ["--w", "80", "--threads", "1", "--end", "2000-07-01"]
        if ocean == "jet":
            options = [*jet_files(Path(name), 2), "--particles", "100"]
        profiles: list[cProfile.Profile] = []
        real = threading.Thread.run

        def run(self):
            mine = cProfile.Profile(time.thread_time)
            profiles.append(mine)
            mine.runcall(real, self)

        main(parse(RunConfig, [*options, "--out", str(Path(name) / "warm")], prog="scaling"))
        threading.Thread.run = run
        mine = cProfile.Profile(time.thread_time)
        began, cpu = time.perf_counter(), time.process_time()
        mine.runcall(main, parse(RunConfig, [*options, "--out", str(Path(name) / "run")], prog="scaling"))
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        threading.Thread.run = real
        total: dict[str, float] = {}
        names = {
            "snapshot": "snapshots (read, decompress; make)", "omega_by_continuity": "omega", "load": "pack", "advance": "kernel",
            "fly": "(the loop of Parcels, kernel within)", "snapshot_fields": "fields to depths", "__call__": "regrid fields",
            "_write": "write periods", "_check": "check stores", "_create": "lay stores out", "close": "close fields",
        }  # fmt: skip
        wanted = ("data/croco", "data/twin/ocean", "lagrangian/", "data/frame", "parcels/_core/particleset")
        for part in [mine, *profiles]:
            for (file, _, function), (_, _, _, cumulative, _) in pstats.Stats(part).stats.items():
                if function in names and any(word in file for word in wanted):
                    label = names[function]
                    total[label] = total.get(label, 0.0) + cumulative
        print(f"wall {wall:.1f} s, cpu {cpu:.1f} s")
        for label, seconds in sorted(total.items(), key=lambda item: -item[1]):
            print(f"{label:36s} {seconds:7.2f} s  {100 * seconds / cpu:5.1f} % of the CPU time")


#: Operations on lanes of one evaluation of :func:`lagrangian.advection._rates` besides sums, rows and divisions, and of the
#: Runge-Kutta sums around it, counted in its source: 3 for the weights in time, 14 for the cell, 13 for the stretch, g and z, 42
#: for the layer, 16 for the faces of u and v, 16 for indices, 22 for the sums over levels and instants, 26 for the metrics and
#: the motion of the s-surface, 8 around it. A multiply-add, a comparison or a choice counts as one; 4 divisions come to them.
LANE_OPERATIONS = 160


def kernel() -> None:
    """The compiled kernel against bounds measured on this core in the same minute.

    A Runge-Kutta step evaluates the velocity four times, eight particles at once. One evaluation of the eight reads for each of
    them 4 rho records of 64 bytes, 4 columns of u, 4 of v and 4 of w, 16 bytes each and every one in a cache line of its own: 16
    lines, 1 KiB; and 64 bytes of the table of levels, which stays in the first-level cache.

    Two bounds, neither of which comes from the kernel. Arithmetic: the time of two loops in which nothing waits for anything.
    One makes the sums over cells and columns and fetches the rows of levels, from as many places in memory as the kernel, but
    places known beforehand, and uses them in nothing but a total. The other makes as many divisions and other operations
    (LANE_OPERATIONS, half of them multiply-adds, half additions, in eight chains each) on vectors that stay in registers. There
    are no crossings, ends or changes of particles, and no search beyond the first try. Memory: the time to fetch the 16 lines
    of a particle once a window, at random from 64 MiB. What the machine allows is taken as the sum of both bounds where they
    cannot overlap, the larger where they can.
    """
    from numba import njit

    from data.croco import open_croco
    from lagrangian.advection import FASTMATH, RECORD
    from lagrangian.campaign import seconds
    from lagrangian.simd import LANES, cell_sums, column_sums, get_row, kept, located, rows_at, set_row, splat
    from tests.benchmarks.speed import our_window

    folder = JET if JET.exists() else SAMPLE.parent
    ocean = open_croco([str(path) for path in sorted(folder.glob("croco_his*.nc"))],
                       grid=str(JET / "croco_grd.nc") if JET.exists() else None)  # fmt: skip
    window = our_window(ocean, 1800.0, 1)
    start_time, end_time = seconds(ocean.times[10:12])
    n = 40_000
    rng = np.random.default_rng(0)
    ny, nx = ocean.grid.shape
    levels = ocean.vertical.n

    def best(function) -> float:
        """Highest count per second of thread CPU time of a function that returns a count."""
        function()
        rates = []
        for _ in range(5):
            began = time.thread_time()
            count = function()
            rates.append(count / (time.thread_time() - began))
        return max(rates)

    def rate(spread: float, low: float, high: float) -> float:
        x, y = nx / 2 + rng.uniform(-spread, spread, n), ny / 2 + rng.uniform(-spread, spread, n)
        z = rng.uniform(low, high, n)
        return best(lambda: window.advance(
            x.copy(), y.copy(), z.copy(), np.full(n, end_time), np.full(n, start_time - end_time), np.full(n, 80 / 86400.0),
            np.full(n, -1, np.int32), np.zeros(n, np.int32), np.arange(n), np.arange(n), np.zeros((n, 1, 3)),
        ))  # fmt: skip

    @njit(fastmath=FASTMATH)
    def sums(places, batches, u, v, w, cells, table, nx, n, result):
        """The sums and rows of ``batches`` evaluations; ``places``: address of (16, 6, LANES) fractions and offsets."""
        total = splat(0.0)
        for batch in range(batches):
            at = places + batch % 16 * (6 * LANES * 8)
            f = kept(get_row(at, 0))
            corner, levels = located(cells, 8, get_row(at, 1)), located(table, 8, get_row(at, 2))
            u0, u1 = located(u, 4, get_row(at, 3)), located(u, 4, get_row(at, 3) + (nx - 1) * 2 * n)
            v0, v1 = located(v, 4, get_row(at, 4)), located(v, 4, get_row(at, 4) + nx * 2 * n)
            w0, w1 = located(w, 4, get_row(at, 5)), located(w, 4, get_row(at, 5) + nx * 2 * (n + 1))
            c = cell_sums(corner, 8 * RECORD * nx, f, f)
            one = (c[0] + c[1]) + (c[2] + c[3]) + ((c[4] + c[5]) + (c[8] + c[9])) + ((c[10] + c[11]) + (c[12] + c[13]))
            t = rows_at(levels)
            two = ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]))
            p = column_sums(u0, u1, 8 * n, f, f)
            three = (p[0] + p[1]) + (p[2] + p[3])
            p = column_sums(v0, v1, 8 * n, f, f)
            four = (p[0] + p[1]) + (p[2] + p[3])
            p = column_sums(w0, w1, 8 * (n + 1), f, f)
            total = total + ((one + two) + (three + four) + ((p[0] + p[1]) + (p[2] + p[3])))
        set_row(result, 0, total)
        return LANES * batches

    @njit(fastmath=FASTMATH)
    def operations(batches, result):
        """The divisions and the other operations of ``batches`` evaluations, less the 33 additions in the sums above."""
        half, one = splat(0.5), splat(0.999)
        a0, a1, a2, a3, a4, a5, a6, a7 = half, half, half, half, half, half, half, half
        b0, b1, b2, b3, b4, b5, b6, b7 = half, half, half, half, half, half, half, half
        d0, d1, d2, d3 = half, one, half, one
        for _ in range(batches):
            d0, d1, d2, d3 = one / d0, half / d1, one / d2, half / d3
            for _ in range((LANE_OPERATIONS - 33) // 16):
                a0, a1, a2, a3 = a0 * one + half, a1 * one + half, a2 * one + half, a3 * one + half
                a4, a5, a6, a7 = a4 * one + half, a5 * one + half, a6 * one + half, a7 * one + half
                b0, b1, b2, b3 = b0 + half, b1 + half, b2 + half, b3 + half
                b4, b5, b6, b7 = b4 + half, b5 + half, b6 + half, b7 + half
        set_row(result, 0, a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + b0 + b1 + b2 + b3 + b4 + b5 + b6 + b7 + d0 + d1 + d2 + d3)
        return LANES * batches

    @njit
    def fetch(array, places):
        total = np.float32(0)
        for k in range(places.size):
            total += array[places[k]]
        return places.size, total

    # the places of `still` below: one cell, a few layers
    i, j, k = (rng.integers(low, low + 2, (16, LANES)) for low in (nx // 2, ny // 2, levels // 2))
    corner = j * nx + i
    places = np.stack([
        rng.uniform(0, 1, corner.shape), RECORD * corner, 4 * k, (j * (nx - 1) + i) * 2 * levels + 2 * k,
        corner * 2 * levels + 2 * k, corner * 2 * (levels + 1) + 2 * k,
    ], axis=1).astype(np.float64)  # fmt: skip
    table, result = rng.uniform(1.0, 2.0, 4 * levels + 8), np.zeros(LANES)
    fields = [array.ctypes.data for array in (window._u, window._v, window._w, window._cells, table)]
    summed = best(lambda: sums(places.ctypes.data, 100_000, *fields, nx, levels, result.ctypes.data))
    operated = best(lambda: operations(100_000, result.ctypes.data))
    array = np.ones(64 * 2**20 // 4, np.float32)  # pages of zeros never written are all one page
    random_places = rng.integers(0, array.size // 16, 4_000_000) * 16
    lines = best(lambda: fetch(array, random_places)[0])
    wide, still = rate(12.0, -2900.0, -300.0), rate(0.2, -1010.0, -1000.0)
    per_window = (end_time - start_time) / 1800.0
    arithmetic, fetched = 4 / summed + 4 / operated, 16 / lines / per_window
    print(f"sums alone {1e9 / summed:.1f} ns, other operations alone {1e9 / operated:.1f} ns an evaluation; "
          f"random cache lines beyond the second level {lines / 1e6:.0f} M/s")  # fmt: skip
    print(f"kernel, particles all over {wide / 1e6:.2f} M steps/s; in one place {still / 1e6:.2f} M steps/s (thread CPU time)")
    larger, both = max(arithmetic, fetched), arithmetic + fetched
    print(f"allowed: arithmetic {1e9 * arithmetic:.0f} ns, memory {1e9 * fetched:.1f} ns a step; measured {1e9 / wide:.0f} ns = "
          f"{1 / wide / larger:.2f} x the larger, {1 / wide / both:.2f} x the sum; in one place {1e9 / still:.0f} ns = "
          f"{1 / still / arithmetic:.2f} x the arithmetic")  # fmt: skip


def estimate(years: float = 30.0, nx: int = 512, ny: int = 512, levels: int = 80, hours: float = 12.0) -> None:
    """What a long, fine record needs, from costs per cell and per step measured here on one core."""
    import netCDF4

    from data.chunks import add_array, damaged_parts, put_chunk
    from data.vertical import SCoordinate
    from lagrangian.config import LAGS_DAYS, SINKING_SPEEDS, RunConfig
    from lagrangian.fields import FIELD_DEPTHS, HALF_WINDOW_KM, LAYERED, snapshot_fields
    from lagrangian.velocity import omega_by_continuity
    from lagrangian.window import PreparedSnapshot, Window
    from tests.builders.analytic import AnalyticOcean, eddies, plane

    m, n = 192, 40  # as large as takes seconds; costs go with the cells
    grid = plane(m, m, dx=2e3, h=4500.0)
    s = SCoordinate.from_stretching(n, 6.0, 2.0, 250.0)
    u, v = eddies(width=70e3, speed=0.15)
    ocean = AnalyticOcean(grid, s, np.datetime64("2001-01-01", "ns") + np.arange(2) * np.timedelta64(12, "h"), u, v,
                          description={})  # fmt: skip
    snapshot = ocean.snapshot(0)
    noisy = [array + np.float32(1e-3) * np.random.default_rng(0).standard_normal(array.shape, np.float32)
             for array in (snapshot.u, snapshot.v)]  # fmt: skip
    window = Window(grid, s, dt=7200.0, levels=(200.0,), threads=1)

    def cpu(function) -> float:
        function()
        began = time.process_time()
        function()
        return (time.process_time() - began) / (m * m * n)

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "one.nc"
        with netCDF4.Dataset(path, "w") as file:
            for label, array in zip("uv", noisy, strict=True):
                for k, size in enumerate(array.shape):
                    file.createDimension(f"{label}{k}", size)
                file.createVariable(label, "f4", [f"{label}{k}" for k in range(3)], zlib=True, complevel=1)[:] = array
        packed = path.stat().st_size / (m * m * n)

        def read():
            with netCDF4.Dataset(path) as file:
                return [np.asarray(file[label][:]) for label in "uv"]

        costs = {"read and decompress": cpu(read)}
    omega = omega_by_continuity(snapshot.u, snapshot.v, snapshot.zeta, grid, s)
    costs["omega"] = cpu(lambda: omega_by_continuity(snapshot.u, snapshot.v, snapshot.zeta, grid, s))
    costs["pack"] = cpu(lambda: window.load(PreparedSnapshot(0.0, snapshot.u, snapshot.v, snapshot.zeta, omega), 0))
    fields = cpu(lambda: snapshot_fields(ocean, snapshot))
    with tempfile.TemporaryDirectory() as name:
        group = zarr.create_group(store=f"{name}/store", zarr_format=3)
        numbers = np.random.default_rng(0).standard_normal((8, 1_000_000), np.float32)
        add_array(group, "x", numbers.shape, (1, numbers.shape[1]), "float32", ("row", "column"))
        for k, row in enumerate(numbers):
            put_chunk(group["x"], k, row[None])
        began = time.process_time()
        damaged_parts(Path(name) / "store", ("x",), len(numbers))
        checking = (time.process_time() - began) / numbers.nbytes
    rows = sizes("unit costs", [("particles 36", 1, []), ("particles 361", 1, ["--particles", "361"])])
    per_step = (rows[1]["cpu"] - rows[0]["cpu"]) / (rows[1]["steps"] - rows[0]["steps"])
    cells, snapshots = nx * ny * levels, years * 365.25 * 24 / hours
    print(f"\n{years:g} years, {ny} x {nx} x {levels}, {hours:g}-hourly: {snapshots:.0f} snapshots of {cells / 1e6:.1f} M cells")
    seconds = 0.0
    for label, cost in costs.items():
        print(f"{label:24s} {1e9 * cost:6.1f} ns/cell  {cost * cells:7.2f} s/snapshot  {cost * cells * snapshots / 3600:7.1f} h")
        seconds += cost * cells * snapshots
    periods = years * 365.25 / 10
    print(f"{'fields.zarr':24s} {1e9 * fields:6.1f} ns/cell  {fields * cells:7.2f} s/snapshot  "
          f"{fields * cells * periods / 3600:7.1f} h (one snapshot in ten days)")  # fmt: skip
    config = RunConfig(w=SINKING_SPEEDS)
    rise = config.trap_depth - min(config.levels)
    side = config.positions * config.positions
    particles = periods * side * 720 * len(SINKING_SPEEDS)
    steps = periods * side * 720 * sum(rise / w for w in SINKING_SPEEDS) * 12
    print(f"{'particle-steps':24s} {1e9 * per_step:6.0f} ns/step  {steps / 1e9:7.2f} G      {per_step * steps / 3600:7.1f} h "
          f"({particles / 1e6:.0f} M particles, dt 2 h)")  # fmt: skip
    seconds += fields * cells * periods + per_step * steps
    stored = 2 * 4 * cells * snapshots / 1e12
    ascent = config.design.ascent_days(min(SINKING_SPEEDS))
    in_flight = side * 72 * sum(10 + rise / w for w in SINKING_SPEEDS)
    window_bytes = 2 * 3 * 4 * cells + 3 * 4 * cells * 2 + 16 * cells  # packed pair; two prepared ahead; temporaries of omega
    disk = particles * (8 * (4 * 4 + 8) + 25) + periods * side * len(SINKING_SPEEDS) * 8 * 1e4 * 2
    across = 2 * (HALF_WINDOW_KM + config.spacing * (config.positions - 1) / 2) / 2.0  # points of 2 km
    fields_disk = (periods + len(LAGS_DAYS)) * across**2 * (len(LAYERED) * len(FIELD_DEPTHS) + 1) * 4
    check = checking * (disk + fields_disk)
    seconds += check
    print(
        f"reads {stored:.1f} TB as float32, about {packed * cells * snapshots / 1e12:.1f} TB as stored (noise compresses worst)"
    )
    print(f"memory {window_bytes / 2**30:.1f} GiB for snapshots + {in_flight * 300 / 2**30:.2f} GiB for {in_flight / 1e6:.2f} M "
          "particles in flight + 0.7 GiB, a worker")  # fmt: skip
    print(f"disk {disk / 1e9:.0f} GB for five speeds and {fields_disk / 1e9:.0f} GB for fields.zarr, before compression; "
          f"{1e9 * checking:.2f} s/GB to check at the end: {check / 60:.0f} min; "
          f"checkpoints {in_flight * 290 / 1e6:.0f} MB a worker")  # fmt: skip
    again = 1 + (ascent + 10) / 365
    print(f"one core {seconds / 3600:.0f} h; ten workers with blocks of a year, {100 * (again - 1):.0f} % read twice: "
          f"{seconds / 3600 / 10 * again:.1f} h")  # fmt: skip


def main() -> int:
    """The command line above."""
    what = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if what == "one":
        one(sys.argv[2:])
    elif what == "kills":
        parser = argparse.ArgumentParser(prog="scaling kills")
        parser.add_argument("--runs", type=int, default=20)
        parser.add_argument("--seed", type=int, default=0)
        options = parser.parse_args(sys.argv[2:])
        return min(1, kills(options.runs, options.seed))
    elif what == "losses":
        parser = argparse.ArgumentParser(prog="scaling losses")
        parser.add_argument("--kills", type=int, default=24)
        parser.add_argument("--deletions", type=int, default=12)
        parser.add_argument("--seed", type=int, default=0)
        options = parser.parse_args(sys.argv[2:])
        return min(1, losses(options.kills, options.deletions, options.seed))
    elif what == "particles":
        fit(sizes("particles x 10", [("36 a release", 1, []), ("361 a release", 1, ["--particles", "361"]),
                                     ("36, record x 2", 2, []), ("1600 a release", 1, ["--particles", "1600"])]))  # fmt: skip
    elif what == "record":
        fit(sizes("record x 4", [("60 days", 1, []), ("120 days", 2, []), ("240 days", 4, []),
                                 ("60 days, 361 a release", 1, ["--particles", "361"])]))  # fmt: skip
    elif what in (known := {f.__name__: f for f in (workers, members, memory, profile, kernel, estimate)}):
        known[what](*sys.argv[2:])
    else:
        print(__doc__)
        return 0 if what in ("-h", "--help") else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
