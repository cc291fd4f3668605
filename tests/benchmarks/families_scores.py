"""One truth in three families, learnt and scored: the twin as CROCO, NEMO and longitude-latitude-depth files.

    python -m tests.benchmarks.families_scores [--years 1] [--folder DIR] [FAMILY ...]

The same commands for each family, in processes of their own: ``data.twin --as``, ``lagrangian.run``, ``learning.fit``
(velocities; a U-Net of binned PDFs at one speed; one member each), ``learning.predict``, ``evaluation.report``; then valid %, F %
and BL of the held-out time, at each speed, beside the best constant PDF. --folder keeps the files and goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data.command import read_json
from data.twin.families import FAMILIES

SPEEDS = ("80", "150", "300")
#: The one speed that a U-Net is trained for: it takes as long as all the rest.
UNET_SPEED = "150"
#: Traps within the middle of the domain: files of two families are not periodic.
TRAPS = ("--w", *SPEEDS, "--positions", "3", "--spacing", "90")
MODELS = ("box200", "climatology-root", "sst-ssh", "velocity-sst-ssh", "velocity-sst-ssh-root")


def command(*words: str) -> float:
    """Run ``python -m WORDS``: seconds of CPU; what it said ends the benchmark where it failed."""
    child = subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert child.stdout is not None
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)}\n{text}")
    return usage.ru_utime + usage.ru_stime


def chain(family: str, folder: Path, years: float) -> dict[str, float]:
    """All commands on one family (``twin``: the ocean itself): seconds of CPU of each."""
    files, out = folder / family, str(folder / f"run-{family}")
    seconds = {}
    if family == "twin":
        ocean = ["--years", str(years)]
    else:
        kind = FAMILIES[family]
        seconds["files"] = command("data.twin", "--as", family, "--years", str(years), "--out", str(files))
        ocean = ["--ocean", str(files / kind.pattern), *(("--grid", str(files / kind.static)) if kind.static else ())]
        # the twin has no vertical motion of its own, and unresolved motion of 70 m2/s is the twin's own default
        ocean += ["--diffusivity", "70", *(("--vertical-velocity", "none") if family == "lonlat" else ())]
    seconds["run"] = command("lagrangian.run", *ocean, *TRAPS, "--dt", "360", "--out", out)
    small = ("--run", out, "--inputs", "sst-ssh", "--members", "1")
    seconds["fit velocities"] = command("learning.fit", *small, "--method", "velocity", "--epochs", "10")
    unet = ("--method", "unet", "--w", UNET_SPEED, "--epochs", "4")
    seconds[f"fit U-Net at {UNET_SPEED} m/d"] = command("learning.fit", *small, *unet)
    seconds["predict"] = command("learning.predict", "--run", out, "--members", "16")
    seconds["report"] = command("evaluation.report", "--run", out, "--resolution-experiments", "0")
    return seconds


def main(arguments: list[str]) -> None:
    """Make, run, learn, score, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.families_scores", description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", default=["twin", *FAMILIES])
    parser.add_argument("--years", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, help="folder of files and runs, kept (default: a temporary one)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        for family in options.families:
            started = time.perf_counter()
            seconds = chain(family, folder, options.years)
            costs = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
            print(f"{family}: {costs} s of CPU, {time.perf_counter() - started:.0f} s in all", flush=True)
        print("family | model | n | " + " | ".join(f"w = {w}: valid, F, BL" for w in SPEEDS))
        print("---|---|---" + "|---" * len(SPEEDS))
        for family in options.families:
            rows = read_json(folder / f"run-{family}" / "report" / "metrics.json", ocean=str)["scores"]
            for model in MODELS:
                chosen = (model, "smoothed", "test")
                found = {row["w"]: row for row in rows if (row["model"], row["target"], row["split"]) == chosen}
                n = next(iter(found.values()))["n"] if found else 0
                cells = (f"{found[w]['valid_percent']:.0f}, {100 * found[w]['f_mean']:.0f}, {found[w]['bl_mean']:.3f}"
                         if w in found else "–" for w in map(float, SPEEDS))  # fmt: skip
                print(f"{family} | {model} | {n} | " + " | ".join(cells))


if __name__ == "__main__":
    main(sys.argv[1:])
