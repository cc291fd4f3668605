"""The ready networks, without and with the sea floor: made anew, and scored on oceans that they never saw.

    python -m tests.benchmarks.ready_network make FOLDER     # runs of two seeds, training; then learning/ready/ is written
    python -m tests.benchmarks.velocity --run runs/learn --networks learning/ready/models/velocity-sst-ssh --velocities runs/learn

Three simulated years of each of the twin's seeds 2, 3 and 4; validation, and the size of the members' residuals, on the last part
of seed 2's. Seeds 0 and 1 are those of the tables of scores, and are not learnt from.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from data.command import read_json, write_json
from learning.ready import FOLDER, MODELS

SEEDS, YEARS = (2, 3, 4), 3
#: Speeds of predictions, the paper's.
SPEEDS = [80.0, 100.0, 150.0, 200.0, 300.0]
EPOCHS = 30
#: What fit.json keeps of a training, and run.json of a run: no paths and nothing of the machine.
KEPT_OF_FIT = ("identity", "split", "depths", "instants", "rotational", "versions", "gap_days")
KEPT_OF_RUN = ("configuration", "ocean", "versions")
#: Bytes that each of them may take.
MOST = 5_000_000


def command(*words: object) -> None:
    """Run ``python -m WORDS``; what it says goes to the terminal."""
    if subprocess.run([sys.executable, "-m", *map(str, words)]).returncode:
        raise SystemExit(f"failed: {' '.join(map(str, words))}")


def make(folder: Path) -> None:
    """Runs, training, and the files of learning/ready."""
    runs = [folder / f"seed{seed}" for seed in SEEDS]
    command("lagrangian.run", "--years", YEARS, "--seed", SEEDS[0], "--w", 80, 150, 300, "--positions", "domain",
            "--spacing", 171, "--out", runs[0])  # fmt: skip
    for seed, run in zip(SEEDS[1:], runs[1:]):  # their velocities alone are wanted: as few particles as a run has
        command("lagrangian.run", "--years", YEARS, "--seed", seed, "--w", 300, "--positions", 1, "--particles", 4, "--every", 60,
                "--out", run)  # fmt: skip
    options = ("--method", "velocity", "--members", 1, "--epochs", EPOCHS, "--threads", 1)
    command("learning.fit", "--run", runs[0], "--more-runs", *runs[1:], *options)
    keep(runs[0])


def keep(run: Path) -> None:
    """Copy the networks of a run into learning/ready, without paths."""
    for model in MODELS.values():
        made = run / "models" / model.name
        model.mkdir(parents=True, exist_ok=True)
        for path in sorted([*made.glob("*.safetensors"), made / "history.csv"]):
            shutil.copyfile(path, model / path.name)
        record = read_json(made / "fit.json")
        write_json(model / "fit.json", {**{name: record[name] for name in KEPT_OF_FIT}, "ocean_seeds": list(SEEDS)})
        size = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
        print(f"{model}: {size / 1e6:.2f} MB")
        if size > MOST:
            raise SystemExit(f"more than {MOST / 1e6:g} MB: train a narrower network, or keep fewer residuals")
    of_run = {name: read_json(run / "run.json")[name] for name in KEPT_OF_RUN}
    of_run["configuration"] |= {"w": SPEEDS, "out": "runs/ready", "positions": 1}
    write_json(FOLDER / "run.json", of_run)


def main(arguments: list[str]) -> None:
    """Options."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ready_network", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["make", "keep"], help="make: all of it; keep: copy what a finished folder holds")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    if options.what == "make":
        make(options.folder)
    else:
        keep(options.folder / f"seed{SEEDS[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
