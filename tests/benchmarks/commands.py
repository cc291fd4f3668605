"""What the commands cost on a run: CPU seconds, seconds by the clock and peak memory of each, side by side.

    python -m tests.benchmarks.commands [--run RUN] [--before TREE] [--only NAME ...] [--satellite FOLDER] [--folder DIR]
        [--cores N]

RUN is a run with networks, such as the README's (``catchment run --years 3 --w 80 150 300 --positions domain --spacing 171``,
then ``catchment fit``); by default a small one of a year with one network is made. RUN is left as it is: each command works on a
copy, which has links to the stores of RUN. With ``--before`` every command is given twice, by the version of the toolkit in the
folder TREE (``git worktree add TREE COMMIT``) and by this one, one after the other; options that the other version does not know
are taken out of its copy of run.json.
``satellite`` and ``correlate`` need FOLDER, an ``--out`` of ``evaluation.twin_experiment``: satellite maps and a flux record.

Each command is a process of its own. Its CPU time is that of all its threads and processes together; its memory is that of the
largest process. Seconds by the clock mean something on a machine that does nothing else. CPU time does so on a shared one where
``--cores 1`` keeps the commands to one core: several threads spend it waiting for each other.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent.parent
#: Stores of a run that the commands only read.
READ = ("fields.zarr", "velocities.zarr", "w*/particles.zarr", "w*/pdf.zarr")
#: What is trained: one network, once through the training experiments; a member takes as many epochs as its preset says.
LITTLE = ("--members", "1", "--epochs", "1")
#: The run that is made where none is given.
SMALL = ("--years", "1", "--w", "80", "150", "300", "--positions", "domain", "--spacing", "171")
#: In a process of its own: the options of a run that a version knows.
KNOWN = "import dataclasses, lagrangian.config as c; print(*(one.name for one in dataclasses.fields(c.RunConfig)))"


@dataclass(frozen=True)
class Given:
    """A command.

    Attributes
    ----------
    words : function
        Of the copy of the run and of the folder of satellite maps: module and options.
    made : tuple of str
        What earlier commands left in the copy and this one makes (globs); removed first.
    newer : tuple of str
        An option and its value that earlier versions lack, and by which later ones do what those did.
    satellite : bool
        Whether it needs satellite maps.
    """

    words: Callable[[Path, Path | None], list[str]]
    made: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()
    satellite: bool = False


def _models(run: Path) -> list[str]:
    return [str(path) for path in sorted(run.glob("w*/models/sst-ssh"))]


def _satellite(run: Path, maps: Path | None) -> list[str]:
    files = [f"{maps}/products/{name}_*.nc" for name in ("ssh", "sst")]
    return ["learning.predict", "--run", str(run), "--models", *_models(run), "--ssh", files[0], "--sst", files[1],
            "--site", "pap-so", "--out", str(run / "satellite")]  # fmt: skip


def _correlate(run: Path, maps: Path | None) -> list[str]:
    return ["evaluation.correlation", "--predictions", str(run / "satellite" / "catchment_w*.nc"), "--chlorophyll",
            f"{maps}/products/chl_*.nc", "--flux", f"{maps}/flux.csv", "--out", str(run / "correlation")]  # fmt: skip


#: The commands in the order in which they are given: later ones read what earlier ones made.
COMMANDS = {
    "fit": Given(
        lambda run, maps: ["learning.fit", "--run", str(run), "--inputs", "sst-ssh", *LITTLE],
        ("w*/models",),
        ("--method", "unet"),
    ),
    "diagnostics": Given(lambda run, maps: ["evaluation.diagnostics", "--run", str(run)], ("dynamics.*",)),
    "predict": Given(lambda run, maps: ["learning.predict", "--run", str(run), "--models", *_models(run)], ("w*/predictions",)),
    "report": Given(lambda run, maps: ["evaluation.report", "--run", str(run)], ("report",)),
    "satellite": Given(_satellite, ("satellite",), satellite=True),
    "correlate": Given(_correlate, ("correlation",), satellite=True),
    "explorer": Given(lambda run, maps: ["evaluation.explorer", "--run", str(run)], ("explorer.html",)),
}  # fmt: skip


def copied(run: Path, folder: Path, tree: Path) -> Path:
    """A copy of a run that the version in ``tree`` can read: stores as links, all else as it is."""
    folder.mkdir(parents=True)
    links = {path for pattern in READ for path in run.glob(pattern)}
    for path in sorted(run.glob("*")):
        _copy(path, folder / path.name, links)
    record = json.loads((run / "run.json").read_text())
    known = _asked(tree, "-c", KNOWN).split()
    record["configuration"] = {name: value for name, value in record["configuration"].items() if name in known}
    (folder / "run.json").write_text(json.dumps(record, indent=2))
    return folder


def _copy(path: Path, to: Path, links: set[Path]) -> None:
    if path in links:
        to.symlink_to(path.resolve())
    elif path.is_dir() and path.suffix != ".zarr":
        to.mkdir()
        for one in sorted(path.iterdir()):
            _copy(one, to / one.name, links)
    elif path.is_dir():
        shutil.copytree(path, to)
    else:
        shutil.copy(path, to)


def _environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree)}


def _asked(tree: Path, *words: str) -> str:
    return subprocess.run(
        [sys.executable, *words], cwd=tree, env=_environment(tree), check=True, capture_output=True, text=True
    ).stdout


def spent(tree: Path, words: list[str]) -> tuple[float, float, float] | str:
    """CPU seconds, seconds by the clock and peak memory (MiB) of a command of a version; its last line where it fails."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, "-m", *words], cwd=tree, env=_environment(tree), stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        clock = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            return (said.read().strip().splitlines() or ["it said nothing"])[-1]
    return used.ru_utime + used.ru_stime, clock, used.ru_maxrss / 1024


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="a run with networks; it is left as it is (default: a small one is made)")
    parser.add_argument("--before", type=Path, help="the folder of another version of the toolkit")
    parser.add_argument("--only", nargs="+", choices=tuple(COMMANDS), help="commands; what they read must lie in RUN")
    parser.add_argument("--satellite", type=Path, help="an --out of evaluation.twin_experiment")
    parser.add_argument("--folder", type=Path, help="where the copies go, which stay (default: a temporary folder)")
    parser.add_argument("--cores", type=int, help="cores that the commands may use (default: as many as this process)")
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])  # the commands inherit it
    trees = {**({"before": options.before.resolve()} if options.before else {}), "here": HERE}
    names = [name for name in options.only or COMMANDS if options.satellite or not COMMANDS[name].satellite]
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = options.run or made(folder / "run")
        return measure(run.resolve(), folder.resolve(), trees, names, options.satellite and options.satellite.resolve())


def made(run: Path) -> Path:
    """A run of a year at three speeds with one network."""
    for words in (
        ["lagrangian.run", "--out", str(run), *SMALL],
        ["learning.fit", "--run", str(run), "--method", "unet", *LITTLE],
    ):
        found = spent(HERE, words)
        if isinstance(found, str):
            raise SystemExit(f"{words[0]}: {found}")
    return run


def measure(run: Path, folder: Path, trees: dict[str, Path], names: list[str], satellite: Path | None) -> int:
    """Give the commands by each version, and print a row for each. Returns 1 where one of this version fails."""
    cores = len(os.sched_getaffinity(0))
    print(f"{run.name}: {cores} of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':12s}{'':8s}{'CPU, s':>9s}{'clock, s':>10s}{'MiB':>7s}{'CPU here / before':>19s}")
    failed = False
    copies = {(kind, name == "fit"): Path() for name in names for kind in trees}
    for kind, training in copies:
        place = folder / (f"{kind}-fit" if training else kind)
        copies[kind, training] = place if place.exists() else copied(run, place, trees[kind])
    for name in names:
        cpu: dict[str, float] = {}
        for kind, tree in trees.items():
            copy = copies[kind, name == "fit"]
            for path in (path for pattern in COMMANDS[name].made for path in copy.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            words = COMMANDS[name].words(copy, satellite)
            newer = COMMANDS[name].newer
            found = spent(tree, [*words, *(newer if newer and newer[0] in _asked(tree, "-m", words[0], "--help") else ())])
            if isinstance(found, str):
                print(f"{name:12s}{kind:8s} failed: {found}", flush=True)
                failed |= kind == "here"
                continue
            cpu[kind] = found[0]
            ratio = f"{cpu['here'] / cpu['before']:19.2f}" if len(cpu) == 2 else ""
            print(f"{name:12s}{kind:8s}{found[0]:9.1f}{found[1]:10.1f}{found[2]:7.0f}{ratio}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
