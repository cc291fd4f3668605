"""The twin's flow and catchments beside the paper's (method.md sections 1, 2 and 4): one table over runs of several seeds.

python -m lagrangian.run --years 3 --seed 0 --w 80 300 --out runs/twin0
python -m lagrangian.run --years 3 --seed 1 --w 80 300 --out runs/twin1
python -m tests.benchmarks.twin runs/twin0 runs/twin1
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from data.twin.ocean import open_twin
from data.twin.statistics import LAGS_DAYS, PAPER_KE, PAPER_VORTICITY, statistics
from evaluation.experiments import baselines, climatologies, level_index, score_experiments
from evaluation.scores import valid_percent
from lagrangian.config import speed_folder
from lagrangian.pdf import BOXES_KM
from lagrangian.stores import open_store

#: Medians over experiments (method.md section 2), and scores of the boxes (section 4), by sinking speed.
PAPER_CENTRE = {80: 108, 100: 100, 150: 84, 200: 72, 300: 56}
PAPER_ENTROPY = {80: 7.10, 100: 6.79, 150: 6.26, 200: 6.03, 300: 5.63}
PAPER_BOXES = {80: ((10, 1), (20, 10)), 100: ((12, 2), (22, 13)), 150: ((15, 6), (26, 19)),
               200: ((19, 11), (30, 21)), 300: ((26, 22), (34, 20))}  # fmt: skip


def flow(runs: list[dict]) -> None:
    """Print speeds, vorticity and correlations."""
    found = []
    for options in runs:
        found.append(statistics(open_twin(options["years"], options["seed"]), every=5))
    heads = "  ".join(f"{options['years']:g} years seed {options['seed']}" for options in runs)
    print(f"rms speed, cm/s: {heads}  paper")
    for depth, ke in PAPER_KE.items():
        print(f"{depth:6d} m " + " ".join(f"{100 * one['speed'][depth]:8.1f}" for one in found) + f" {np.sqrt(2 * ke):8.1f}")
    print("std zeta/f")
    for depth, value in PAPER_VORTICITY.items():
        print(f"{depth:6d} m " + " ".join(f"{one['vorticity'][depth]:8.3f}" for one in found) + f" {value:8.2f}")
    print("SSH std, cm " + " ".join(f"{100 * one['ssh_std']:8.1f}" for one in found))
    for lag in LAGS_DAYS:
        print(f"SSH autocorrelation at {lag} d " + " ".join(f"{one['ssh_autocorrelation'][lag]:8.2f}" for one in found))
    print("velocity correlation, 0 and 3000 m " + " ".join(f"{one['velocity_correlation_0_3000']:8.2f}" for one in found))


def catchments(folder: Path, w: float) -> None:
    """Print the catchments' statistics and the boxes' scores at 200 m."""
    store = open_store(folder / speed_folder(w) / "pdf.zarr", "pdf")
    level = level_index(store, 200.0)
    maps = {**baselines(store["x"].values, store["y"].values), **climatologies(store, level)}
    found = score_experiments(store, level, maps)
    distance = np.hypot(found["mass_centre_x"], found["mass_centre_y"])
    print(f"\n{folder.name}, w = {w:g} m/d, {found.sizes['experiment']} experiments, at 200 m   (paper)")
    low, middle, high = np.nanpercentile(distance.sel(target="smoothed"), (10, 50, 90))
    print(f"mass centre, km: median {middle:.0f} ({PAPER_CENTRE[int(w)]}), 10-90 % {low:.0f} to {high:.0f}")
    entropy = found["entropy"].median("experiment")
    print(
        f"entropy: smoothed {entropy.sel(target='smoothed'):.2f} ({PAPER_ENTROPY[int(w)]}), raw {entropy.sel(target='raw'):.2f}"
    )
    for number, name in enumerate(maps):
        one = found.sel(model=name)
        paper = PAPER_BOXES[int(w)][number] if name in BOXES_KM else ("-", "-")
        parts = [
            f"{target}: F {100 * float(one['f'].sel(target=target).mean()):.0f} %, valid "
            f"{valid_percent(one['bl'].sel(target=target)):.0f} %"
            for target in ("smoothed", "raw")
        ]
        print(f"{name:16s} {'; '.join(parts)}   ({paper[0]} %, {paper[1]} %)")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--no-flow", action="store_true")
    options = parser.parse_args()
    if not options.no_flow:
        flow([json.loads((folder / "run.json").read_text())["identity"]["options"] for folder in options.runs])
    for folder in options.runs:
        for path in sorted(folder.glob("w*/pdf.zarr")):
            catchments(folder, float(path.parent.name[1:]))


if __name__ == "__main__":
    main()
