"""Velocities learnt, particles computed: the fair table, calibration, spread, another ocean, and what it all takes.

    python -m lagrangian.run --years 3 --w 80 150 300 --positions domain --spacing 171 --out runs/learn
    python -m learning.fit --run runs/learn --method velocity
    python -m tests.benchmarks.velocity --run runs/learn [--other runs/other] [--linear] [--members 48]

Without ``--run`` a smaller twin run is made first, and learnt from. Held-out experiments (test part; all of ``--other``),
smoothed PDFs at the last level, 200 m. Brackets hold 95 %, from blocks of 60 days; their number is printed, and fewer than twelve
give intervals that are too narrow. ``paired`` is the mean difference of BL from climatology-root with its interval.

Rows: climatology and climatology-root of the training experiments (method.md section 7); networks of binned PDFs where predicted;
linear regression and network, alone and with members; the bound: true velocities smoothed to 80 km; the same not smoothed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from evaluation.intervals import block_bootstrap, block_bootstrap_correlation, block_of
from evaluation.scores import BOXES_KM, bhattacharyya_loss, box_pdf, is_valid, overlap
from lagrangian.binning import smooth_pdf
from lagrangian.config import speed_folder
from lagrangian.stores import open_store
from learning.config import FitConfig
from learning.folders import found_speeds, run_identity
from learning.inputs import to_resolution
from learning.velocity.calibrate import held_within
from learning.velocity.ensemble import predict_catchments
from learning.velocity.fit import fit_velocity, prepare
from learning.velocity.maps import Maps
from learning.velocity.model import VelocityModel, velocity_folder
from learning.velocity.runs import Experiments, run_options, training_means

SMALL = ["--years", "2", "--w", "80", "150", "300", "--positions", "domain", "--spacing", "171"]
#: Periods of one sweep.
PERIODS = 12


@dataclass(eq=False)
class Truth:
    """Test experiments of a run: smoothed and raw PDFs at the last level by speed, their periods, and blocks of time."""

    run: Path
    starts: np.ndarray
    smoothed: dict[float, np.ndarray]
    raw: dict[float, np.ndarray]
    block: np.ndarray
    train: dict[float, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, run: Path, model: VelocityModel, source: Path, every: int = 1) -> Truth:
        """The test part of the run that ``model`` learnt from (``source``), or all of another; every so many periods."""
        known, learnt = Experiments.open(run), Experiments.open(source)
        split, _ = learnt.split(test=True)
        chosen = split.test if model.card["run"] == run_identity(run) else np.flatnonzero(known.usable)
        starts = np.unique(known.start[chosen])[::every]
        rows = np.flatnonzero(np.isin(known.start, starts))
        last = known.levels.size - 1
        raw = {}
        for w in found_speeds(run):
            store = open_store(run / speed_folder(w) / "pdf.zarr", "pdf")
            reached = store["reached"][rows, last].values
            raw[w] = store["counts"][rows, last].values / np.where(reached > 0, reached, np.nan)[:, None, None]
        smoothed = {w: smooth_pdf(one) for w, one in raw.items()}
        train = {w: tuple(one[last] for one in training_means(source, w, split.train)) for w in raw}
        return cls(run, starts, smoothed, raw, block_of(known.start[rows]), train)


@dataclass(eq=False)
class Row:
    """A model's PDFs (experiment, y, x) by speed, and its spread where it has one."""

    pdf: dict[float, np.ndarray]
    spread: dict[float, np.ndarray] = field(default_factory=dict)
    seconds: float = 0.0


def constant(truth: Truth, maps: dict[float, np.ndarray]) -> Row:
    """A PDF that never changes."""
    return Row({w: np.broadcast_to(maps[w], one.shape) for w, one in truth.smoothed.items()})


def tracked(truth: Truth, model: VelocityModel, maps: Maps, lattice, *, members: int, predicted=None) -> dict[str, Row]:
    """Mean and root of the members in predicted velocities, or in given ones."""
    run = run_options(truth.run).changed(speeds=tuple(truth.smoothed))
    last = np.array([len(run.design.levels) - 1])
    rows = {name: {w: [] for w in truth.smoothed} for name in ("mean", "root", "spread")}
    started = time.process_time()
    particles = {"particles": 36} if members == 0 else {}
    for first in range(0, truth.starts.size, PERIODS):
        starts = truth.starts[first : first + PERIODS]
        options = {"members": members, "levels": last, "predicted": predicted, "integration": run.integration, **particles}
        found = predict_catchments(model, maps, lattice, run.design, starts, **options)
        for one in found:
            for name, store in rows.items():
                store[one.w].append(getattr(one, name)[:, 0])
    seconds = time.process_time() - started
    whole = {name: {w: np.concatenate(parts) for w, parts in store.items()} for name, store in rows.items()}
    return {name: Row(whole[name], whole["spread"], seconds) for name in ("mean", "root")}


def print_rows(truth: Truth, rows: dict[str, Row]) -> None:
    """The table."""
    blocks = np.unique(truth.block).size
    for w, smoothed in truth.smoothed.items():
        print(f"\nw = {w:g} m/d: {smoothed.shape[0]} experiments, {blocks} blocks of 60 days")
        base = bhattacharyya_loss(smoothed, rows["climatology-root"].pdf[w])
        for name, row in rows.items():
            pdf = row.pdf[w]
            bl, f = bhattacharyya_loss(smoothed, pdf), overlap(smoothed, pdf)
            told = [f"{name:24s}"]
            for label, values, scale in (("valid", is_valid(bl), 100), ("F", f, 100), ("BL", bl, 1), ("paired", bl - base, 1)):
                low, high = block_bootstrap(values, truth.block)
                digits = 0 if scale == 100 else 3
                told.append(
                    f"{label} {scale * np.nanmean(values):.{digits}f} [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"
                )
            held = [100 * np.nanmean(held_within(pdf, one)) for one in (smoothed, truth.raw[w])]
            told.append(f"50 % holds {held[0]:.0f} ({held[1]:.0f} as counted)")
            if row.spread:
                middle, low, high, _ = block_bootstrap_correlation(row.spread[w], bl, truth.block, ranks=True)
                told.append(f"spread-BL {middle:.2f} [{low:.2f}, {high:.2f}]")
            print("  ".join(told), flush=True)


def smoothed_truth(velocities, flow: np.ndarray, kilometres: float) -> Callable[[np.ndarray], np.ndarray]:
    """Instants -> true streamfunctions, as maps of a resolution would show them (0: as they are)."""
    psi = velocities.anomaly(flow)

    def at(instants: np.ndarray) -> np.ndarray:
        nearest = np.abs(velocities.times[None] - instants[:, None]).argmin(axis=1)
        return to_resolution(psi[nearest], velocities.lattice.frame.spacing_km, kilometres)

    return at


def measure(run: Path, source: Path, members: int, linear: bool, every: int, bounds: bool = True) -> None:
    """All rows of one run, by networks that learnt from ``source``."""
    model = VelocityModel.load(velocity_folder(source, "sst-ssh"))
    velocities = prepare(run)
    lattice = velocities.lattice
    maps = Maps.of(model.spec, velocities.times, velocities.surface, lattice.frame.spacing_km)
    truth = Truth.of(run, model, source, every)
    boxes = {name: box_pdf(width) for name, width in BOXES_KM.items()}
    rows = {name: constant(truth, dict.fromkeys(truth.smoothed, box)) for name, box in boxes.items()}
    for number, name in enumerate(("climatology", "climatology-root")):
        rows[name] = constant(truth, {w: truth.train[w][number] for w in truth.smoothed})
    if linear:
        folder = fit_velocity(FitConfig(run=source, method=("velocity",), threads=1, epochs=4), "sst-ssh", kind="linear")
        plain = VelocityModel.load(folder)
        found = tracked(truth, plain, Maps.of(plain.spec, velocities.times, velocities.surface, 16.0), lattice, members=members)
        rows |= {f"linear, {name}": row for name, row in found.items()}
    rows["velocity, no residuals"] = tracked(truth, model, maps, lattice, members=0)["mean"]
    rows |= {f"velocity, {name}": row for name, row in tracked(truth, model, maps, lattice, members=members).items()}
    for name, kilometres in (("truth-80km", 80.0), ("truth-16km", 0.0)) if bounds else ():
        at = smoothed_truth(velocities, model.flow, kilometres)
        rows[name] = tracked(truth, model, maps, lattice, members=0, predicted=at)["mean"]
    print(f"\n{run}: networks of {source}, {members} members, residuals x {model.residuals.amplitude:.2f}, exponents of their "
          f"size {np.round(model.residuals.exponent, 2).tolist()}")  # fmt: skip
    history = model.card["history"][-1]
    print("energy explained on validation: " + ", ".join(f"{name[10:]} {value:.2f}" for name, value in history.items()
                                                        if name.startswith("explained")))  # fmt: skip
    print_rows(truth, rows)
    one = rows["velocity, mean"]
    n = sum(pdf.shape[0] for pdf in one.pdf.values())
    print(f"\n{one.seconds:.0f} CPU-seconds for {n} catchments of {members} members: {one.seconds / n:.3f} each")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--other", type=Path, help="a run on another ocean")
    parser.add_argument("--members", type=int, default=48)
    parser.add_argument("--no-bounds", action="store_true", help="leave out the rows of the true velocities")
    parser.add_argument("--only-other", action="store_true", help="score --other alone")
    parser.add_argument("--linear", action="store_true", help="also train and score the linear regression")
    parser.add_argument("--every", type=int, default=1, help="score every so many test periods")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run = options.run
    if run is None:
        run = Path("runs/velocity-benchmark")
        started = time.perf_counter()
        for command in (
            ["lagrangian.run", *SMALL],
            ["learning.fit", "--run", str(run), "--method", "velocity", "--epochs", "10"],
        ):
            extra = ["--out", str(run)] if command[0] == "lagrangian.run" else []
            subprocess.run([sys.executable, "-m", *command, *extra], check=True)
        print(f"run and training: {time.perf_counter() - started:.0f} s")
    if not options.only_other:
        measure(run, run, options.members, options.linear, options.every, not options.no_bounds)
    if options.other is not None:
        measure(options.other, run, options.members, False, options.every, not options.no_bounds)


if __name__ == "__main__":
    main()
