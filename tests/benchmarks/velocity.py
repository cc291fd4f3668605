"""Velocities learnt, particles computed: the fair table, calibration, spread, other oceans, and what it all takes.

    python -m lagrangian.run --years 3 --w 80 150 300 --positions domain --spacing 171 --out runs/learn
    python -m learning.fit --run runs/learn --inputs sst-ssh 5v-1l
    python -m learning.predict --run runs/learn --method unet
    python -m tests.benchmarks.velocity --run runs/learn [--linear] [--members 48]

    python -m lagrangian.run --years 2.2 --seed 1 --w 80 120 150 300 --every 30 --positions domain --spacing 171 --out runs/other
    python -m learning.predict --run runs/other --models runs/learn/w080/models/sst-ssh     # and w150, w300
    python -m tests.benchmarks.velocity --run runs/learn --other runs/other --only-other

Without ``--run`` a smaller twin run is made first, and learnt from. Held-out experiments (test part; all of ``--other``),
smoothed PDFs at the last level, 200 m. Brackets hold 95 %, from blocks of 60 days; their number is printed, and fewer than twelve
give intervals that are too narrow. ``paired`` is the mean difference of BL from climatology-root, ``than sst-ssh`` that from the
networks of binned PDFs, with their intervals.

Rows: boxes; climatology and climatology-root of the training experiments (method.md section 7; of the scored experiments
themselves, "own", where the training run has no such speed, depth or collection: no constant PDF can know more); networks of
binned PDFs where predicted; linear regression, other inputs (``--models``) and network, alone and with members; the bound: true
velocities smoothed to 80 km; the same not smoothed. ``--distances``: earth mover's distances as well. ``--degraded``: maps of SSH
made worse (:mod:`tests.benchmarks.altimetry`). ``--known 2250``: the true flow down to there, as a set like 5v-4l would tell it,
and the network with its residuals below.
``--window``: maps of 768 km around the site alone, beside the whole domain, for the traps within 100 km of the site.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from data.chunks import open_checked
from data.command import read_json
from data.frame import Frame
from evaluation.intervals import block_bootstrap, block_bootstrap_correlation, block_of
from evaluation.scores import BOXES_KM, bhattacharyya_loss, box_pdf, earth_movers_distance, is_valid, overlap
from lagrangian.binning import smooth_pdf
from lagrangian.config import SINKING_SPEEDS, speed_folder
from lagrangian.stores import open_store
from learning.config import FitConfig
from learning.folders import found_speeds, run_identity
from learning.inputs import to_resolution
from learning.velocity.calibrate import held_within
from learning.velocity.ensemble import EVERY_DAYS, predict_catchments, within
from learning.velocity.fit import fit_velocity, prepare
from learning.velocity.lattice import Lattice
from learning.velocity.maps import Maps, have_maps
from learning.velocity.members import instants_needed
from learning.velocity.model import VelocityModel, velocity_folder
from learning.velocity.runs import Experiments, run_options, training_means
from learning.velocity.targets import Velocities
from tests.benchmarks.altimetry import DEGRADED, degraded

SMALL = ["--years", "2", "--w", "80", "150", "300", "--positions", "domain", "--spacing", "171"]
#: Periods of one sweep.
PERIODS = 12
#: Half of the window of ``--window``, km: whole cells of three resolutions; and how far from the site its traps are at most.
WINDOW_KM, CENTRAL_KM = 384.0, 100.0


@dataclass(eq=False)
class Truth:
    """Test experiments of a run: smoothed and raw PDFs at the last level by speed, their periods, and blocks of time."""

    run: Path
    starts: np.ndarray
    smoothed: dict[float, np.ndarray]
    raw: dict[float, np.ndarray]
    block: np.ndarray
    offset: np.ndarray
    rows: np.ndarray
    train: dict[float, tuple[np.ndarray, np.ndarray]]
    own: bool

    @classmethod
    def of(
        cls, run: Path, model: VelocityModel, source: Path, every: int = 1, speeds: tuple = (),
        have: Callable[[np.ndarray], np.ndarray] = lambda starts: np.ones(starts.size, bool),
    ) -> Truth:  # fmt: skip
        """The test part of the run that ``model`` learnt from (``source``), or all of another; every so many periods.

        ``have``: tells of the beginnings of periods whether there are maps for all models.
        """
        known, learnt = Experiments.open(run), Experiments.open(source)
        split, _ = learnt.split(test=True)
        chosen = split.test if model.card["run"] == run_identity(run) else np.flatnonzero(known.usable)
        starts = np.unique(known.start[chosen])[::every]
        starts = starts[have(starts)]
        rows = np.flatnonzero(np.isin(known.start, starts))
        last = known.levels.size - 1
        raw = {}
        for w in speeds or found_speeds(run):
            store = open_store(run / speed_folder(w) / "pdf.zarr", "pdf")
            reached = store["reached"][rows, last].values
            raw[w] = store["counts"][rows, last].values / np.where(reached > 0, reached, np.nan)[:, None, None]
        smoothed = {w: smooth_pdf(one) for w, one in raw.items()}
        # a constant PDF of the training run, where it has this speed, depth and collection; else the best that there could be
        ours, theirs = (run_options(one).design for one in (run, source))
        alike = (ours.trap_depth, ours.collection) == (theirs.trap_depth, theirs.collection)
        own = not alike
        train = {}
        for w, one in smoothed.items():
            if alike and w in found_speeds(source):
                train[w] = tuple(part[last] for part in training_means(source, w, split.train))
            else:
                own = True
                pair = np.nanmean(one, axis=0), np.nanmean(np.sqrt(one), axis=0) ** 2
                train[w] = tuple(part / part.sum() for part in pair)
        return cls(run, starts, smoothed, raw, block_of(known.start[rows]), known.offset[rows], rows, train, own)

    def central(self) -> np.ndarray:
        """(experiment,) bool whether the trap lies within :data:`CENTRAL_KM` of the site."""
        return np.abs(self.offset).max(axis=1) < CENTRAL_KM

    def part(self, chosen: np.ndarray) -> Truth:
        """Some of the experiments."""
        smoothed, raw = ({w: one[chosen] for w, one in values.items()} for values in (self.smoothed, self.raw))
        return dataclasses.replace(
            self, smoothed=smoothed, raw=raw, block=self.block[chosen], offset=self.offset[chosen], rows=self.rows[chosen]
        )


@dataclass(eq=False)
class Row:
    """A model's PDFs (experiment, y, x) by speed, and its spread where it has one."""

    pdf: dict[float, np.ndarray]
    spread: dict[float, np.ndarray] = field(default_factory=dict)
    seconds: float = 0.0


def constant(truth: Truth, maps: dict[float, np.ndarray]) -> Row:
    """A PDF that never changes."""
    return Row({w: np.broadcast_to(maps[w], one.shape) for w, one in truth.smoothed.items()})


def tracked(
    truth: Truth, model: VelocityModel, maps: Maps, lattice: Lattice, *, members: int, predicted=None, **changes
) -> dict[str, Row]:  # fmt: skip
    """Mean and root of the members in predicted velocities, or in given ones; ``changes`` are of the run's design."""
    run = run_options(truth.run).changed(speeds=tuple(truth.smoothed), **changes)
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


def binned(truth: Truth) -> dict[str, Row]:
    """Networks of binned PDFs, where ``learning.predict`` has predicted all of the experiments at a speed."""
    rows: dict[str, Row] = {}
    for w in truth.smoothed:
        for path in sorted((truth.run / speed_folder(w) / "predictions").glob("*.zarr")):
            if path.stem.startswith("velocity-"):
                continue
            store = open_checked(path, "predictions", ("pdf", "spread"))
            pdf, spread = store["pdf"][truth.rows, -1].values, store["spread"][truth.rows, -1].values
            if np.isfinite(pdf).all():
                row = rows.setdefault(path.stem, Row({}))
                row.pdf[w], row.spread[w] = pdf, spread
    return rows


def print_rows(truth: Truth, rows: dict[str, Row], moved: int = 0) -> None:
    """The table; ``moved``: experiments, evenly spread, whose earth mover's distance (km) is computed."""
    blocks = np.unique(truth.block).size
    for w, smoothed in truth.smoothed.items():
        print(f"\nw = {w:g} m/d: {smoothed.shape[0]} experiments, {blocks} blocks of 60 days")
        loss = {name: bhattacharyya_loss(smoothed, row.pdf[w]) for name, row in rows.items() if w in row.pdf}
        for name, bl in loss.items():
            pdf, spread = rows[name].pdf[w], rows[name].spread.get(w)
            told = [f"{name:24s}"]
            columns = [("valid", is_valid(bl), 100), ("F", overlap(smoothed, pdf), 100), ("BL", bl, 1)]
            for label, base in (("paired", "climatology-root"), ("than sst-ssh", "sst-ssh")):
                columns += [(label, bl - loss[base], 1)] if base in loss else []
            columns = [(label, values, scale, truth.block) for label, values, scale in columns]
            if moved:
                some = np.unique(np.linspace(0, smoothed.shape[0] - 1, moved).astype(int))
                columns.append(("EMD km", earth_movers_distance(smoothed[some], pdf[some]), 1.0, truth.block[some]))
            for label, values, scale, block in columns:
                low, high = block_bootstrap(values, block)
                digits = 0 if scale == 100 else 1 if label == "EMD km" else 3
                told.append(
                    f"{label} {scale * np.nanmean(values):.{digits}f} [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"
                )
            held = [100 * np.nanmean(held_within(pdf, one)) for one in (smoothed, truth.raw[w])]
            told.append(f"50 % holds {held[0]:.0f} ({held[1]:.0f} as counted)")
            if spread is not None:
                middle, low, high, _ = block_bootstrap_correlation(spread, bl, truth.block, ranks=True)
                told.append(f"spread-BL {middle:.2f} [{low:.2f}, {high:.2f}]")
            print("  ".join(told), flush=True)


def velocities_of(run: Path, source: Path | None) -> Velocities:
    """velocities.zarr of a run, or of ``source``, another run of the same ocean (where the depths of the two differ)."""
    if source is None:
        return prepare(run)
    oceans = [read_json(one / "run.json")["ocean"] for one in (run, source)]
    if any(oceans[0].get(name) != oceans[1].get(name) for name in ("kind", "seed", "files")):
        raise SystemExit(f"--velocities {source}: its ocean is not that of {run}")
    return prepare(source)


def have_all_maps(run: Path, models: list[VelocityModel], times: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(period,) bool whether maps at ``times`` stand for all that each model takes; a causal one needs earlier maps."""
    design = run_options(run).changed(speeds=tuple(found_speeds(run))).design
    asked = [within(instants_needed(np.array([start]), design, EVERY_DAYS), times) for start in starts]
    held = np.array([all(have_maps(times, instants, one.spec).all() for one in models) for instants in asked], bool)
    if not held.all():
        print(f"{run}: {(~held).sum()} of {held.size} periods are left out, for which a model has no maps")
    return held


def smoothed_truth(velocities, flow: np.ndarray, kilometres: float) -> Callable[[np.ndarray], np.ndarray]:
    """Instants -> true streamfunctions, as maps of a resolution would show them (0: as they are); they are smoothed once."""
    psi = to_resolution(velocities.anomaly(flow), velocities.lattice.frame.spacing_km, kilometres)

    def at(instants: np.ndarray) -> np.ndarray:
        nearest = np.abs(velocities.times[None] - instants[:, None]).argmin(axis=1)
        return psi[nearest]

    return at


def informed_above(
    model: VelocityModel, maps: Maps, velocities: Velocities, deepest: float
) -> tuple[VelocityModel, Callable[[np.ndarray], np.ndarray]]:
    """The model, and what it predicts, with the true flow at the depths down to ``deepest`` m and residuals below alone."""
    above = model.depths <= deepest
    residuals = model.known_residuals
    values = np.where(above[:, None, None], np.float32(0), residuals.values)
    true = smoothed_truth(velocities, model.flow, 0.0)

    def at(instants: np.ndarray) -> np.ndarray:
        predicted = model.predict(maps, within(instants, maps.times), velocities.lattice)
        return np.where(above[:, None, None], true(instants), predicted)

    return dataclasses.replace(model, residuals=dataclasses.replace(residuals, values=values)), at


def measure(run: Path, source: Path, options: argparse.Namespace) -> None:
    """All rows of one run, by networks that learnt from ``source``."""
    folder = options.networks or velocity_folder(source, "sst-ssh")
    model = VelocityModel.load(folder)
    velocities = velocities_of(run, options.velocities)
    lattice, members = velocities.lattice, options.members

    def maps_of(one: VelocityModel) -> Maps:
        return Maps.of(one.spec, velocities.times, velocities.surface, lattice.frame.spacing_km)

    maps = maps_of(model)
    others = {path: VelocityModel.load(path) for path in options.models}
    if options.linear:
        training = FitConfig(run=source, method=("velocity",), threads=1, epochs=4)
        linear = fit_velocity(training, "sst-ssh", kind="linear")
        others[linear] = VelocityModel.load(linear)
    have = partial(have_all_maps, run, [model, *others.values()], velocities.times)
    truth = Truth.of(run, model, source, options.every, tuple(options.w), have)
    boxes = {name: box_pdf(width) for name, width in BOXES_KM.items()}
    rows = {name: constant(truth, dict.fromkeys(truth.smoothed, box)) for name, box in boxes.items()}
    for number, name in enumerate(("climatology", "climatology-root")):
        rows[name] = constant(truth, {w: truth.train[w][number] for w in truth.smoothed})
    rows |= binned(truth)
    for path, one in others.items():
        rows |= {f"{path.name}, {name}": row for name, row in tracked(truth, one, maps_of(one), lattice, members=members).items()}
    rows["velocity, no residuals"] = tracked(truth, model, maps, lattice, members=0)["mean"]
    rows |= {f"velocity, {name}": row for name, row in tracked(truth, model, maps, lattice, members=members).items()}
    if options.known:
        name = f"true flow to {options.known:g} m, mean"
        informed, at = informed_above(model, maps, velocities, options.known)
        rows[name] = tracked(truth, informed, maps, lattice, members=members, predicted=at)["mean"]
    for name, altimetry in DEGRADED.items() if options.degraded else ():
        if altimetry.chart and "bathymetry" not in model.spec.variables:
            continue
        every = float(np.median(np.diff(velocities.times)) / np.timedelta64(86400, "s"))
        worse = degraded(maps, altimetry, every, lattice.periodic)
        rows[name] = tracked(truth, model, worse, lattice, members=members)["mean"]
    for name, kilometres in () if options.no_bounds else (("truth-80km", 80.0), ("truth-16km", 0.0)):
        at = smoothed_truth(velocities, model.flow, kilometres)
        rows[name] = tracked(truth, model, maps, lattice, members=0, predicted=at)["mean"]
    print(f"\n{run}: networks of {folder}, {members} members, residuals x {model.residuals.amplitude:.2f}, exponents of their "
          f"size {np.round(model.residuals.exponent, 2).tolist()}")  # fmt: skip
    if truth.own:
        print("climatologies of speeds, depths or collections that the training run lacks are the scored experiments' own")
    history = model.card["history"][-1]
    print("energy explained on validation: " + ", ".join(f"{name[10:]} {value:.2f}" for name, value in history.items()
                                                        if name.startswith("explained")))  # fmt: skip
    print_rows(truth, rows, options.distances)
    one = rows["velocity, mean"]
    n = sum(pdf.shape[0] for pdf in one.pdf.values())
    print(f"\n{one.seconds:.0f} CPU-seconds for {n} catchments of {members} members: {one.seconds / n:.3f} each")
    if options.window:
        in_window(truth, rows, model, maps, velocities, members)


def in_window(truth: Truth, rows: dict[str, Row], model: VelocityModel, maps: Maps, velocities: Velocities, members: int) -> None:
    """The traps near the site by maps of a window of 2 x :data:`WINDOW_KM`, beside those by maps of the whole domain."""
    chosen = truth.central()
    near = truth.part(chosen)
    frame = velocities.lattice.frame
    inside = [slice(*np.flatnonzero(np.abs(axis) < WINDOW_KM)[[0, -1]] + [0, 1]) for axis in (frame.y, frame.x)]
    cut = {name: one[:, inside[0], inside[1]] for name, one in maps.values.items()}
    cells = Frame(frame.center, frame.spacing_km, frame.x[inside[1]], frame.y[inside[0]])
    window = Lattice(cells, False, velocities.lattice.degrees)
    side = round(np.unique(near.offset, axis=0).shape[0] ** 0.5)
    found = tracked(near, model, dataclasses.replace(maps, values=cut), window, members=members, positions=side)
    kept = ("climatology-root", "velocity, mean", "velocity, root")
    table = {name: Row({w: rows[name].pdf[w][chosen] for w in near.smoothed}) for name in kept}
    print(f"\ntraps within {CENTRAL_KM:g} km of the site, maps of the whole domain and of {2 * WINDOW_KM:g} km around it")
    print_rows(near, table | {f"window, {name}": row for name, row in found.items()})


def many_dates(source: Path, dates: int) -> None:
    """CPU time of catchments at one place, as from satellite maps: some dates, five speeds, 16 members; and of 815 dates."""
    model = VelocityModel.load(velocity_folder(source, "sst-ssh"))
    velocities = prepare(source)
    maps = Maps.of(model.spec, velocities.times, velocities.surface, velocities.lattice.frame.spacing_km)
    known = run_options(source).changed(speeds=SINKING_SPEEDS, positions=1)
    starts = velocities.times[20] + np.arange(dates) * np.timedelta64(10 * 86400, "s")
    options = {"members": 16, "levels": np.array([len(known.design.levels) - 1]),
               "integration": dataclasses.replace(known.integration, threads=1)}  # fmt: skip
    list(predict_catchments(model, maps, velocities.lattice, known.design, starts[:1], **{**options, "members": 1}))  # compiles
    started = time.process_time()
    list(predict_catchments(model, maps, velocities.lattice, known.design, starts, **options))
    seconds = time.process_time() - started
    print(f"\n{dates} dates x {len(SINKING_SPEEDS)} speeds x 16 members at one place: {seconds:.1f} CPU-seconds; so 815 "
          f"take {seconds * 815 / dates / 60:.0f} CPU-minutes")  # fmt: skip


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--other", type=Path, help="a run on another ocean")
    parser.add_argument("--w", type=float, nargs="*", default=(), help="score these sinking speeds alone, m/d")
    parser.add_argument("--members", type=int, default=48)
    parser.add_argument("--no-bounds", action="store_true", help="leave out the rows of the true velocities")
    parser.add_argument("--only-other", action="store_true", help="score --other alone")
    parser.add_argument("--linear", action="store_true", help="also train and score the linear regression")
    parser.add_argument("--every", type=int, default=1, help="score every so many test periods")
    parser.add_argument("--models", type=Path, nargs="*", default=(), help="folders of further networks of velocities")
    parser.add_argument("--networks", type=Path, help="folder of the networks (default: velocity-sst-ssh of --run)")
    parser.add_argument("--velocities", type=Path, help="run of the same ocean that velocities.zarr is taken from")
    parser.add_argument("--known", type=float, help="also score the true flow down to this depth, m, and the network below")
    parser.add_argument("--degraded", action="store_true", help="also score maps of SSH that are made worse")
    parser.add_argument("--window", action="store_true", help="also score maps of a window around the site")
    parser.add_argument("--distances", type=int, default=0, help="earth mover's distances of so many experiments a speed")
    parser.add_argument("--dates", type=int, help="only time so many dates at one place, five speeds, 16 members")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run = options.run
    if options.dates:
        many_dates(run, options.dates)
        return
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
        measure(run, run, options)
    if options.other is not None:
        measure(options.other, run, options)


if __name__ == "__main__":
    main()
