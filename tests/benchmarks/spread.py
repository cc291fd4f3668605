"""Whether the spread of learnt velocities can tell good predictions from bad ones, and what two kinds of networks know together.

    python -m tests.benchmarks.spread --run RUN [--part validation] [--members 48]
    python -m tests.benchmarks.spread --run OTHER --source RUN          # all experiments of another ocean

RUN is made as in ``tests.benchmarks.velocity``. At the last level, for each sinking speed:

- **spread**: Spearman's correlation of the members' spread and the loss (BL) of their mean.
- **perfect members**: the same, if the truth were one more member: mean over members of the correlation of the spread with the
  loss of the others' mean against one. No method whose members are as unsure as these can do better but by luck.
- **sizes known** (``--oracle KM``): members whose residuals have, at each place and time, the size of the prediction's true error
  within KM. No prediction knows it: what conditioning of residuals could gain at most.
- **expected**: mean loss beside mean spread, by quarters of the spread.
- **contours**: share of the smoothed truth within the contours of 25, 50, 75 and 90 % of the mean.
- **stacked**, where ``learning.predict --method unet`` has predicted the run: least loss of a weighted mean of the members' mean
  and the networks of binned PDFs, and its weight; of the weighted mean of roots; with ``--weights W ...`` (one a speed), fitted
  elsewhere, what these give here.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from data.chunks import open_checked
from evaluation.intervals import block_bootstrap, block_bootstrap_correlation, block_of
from evaluation.scores import bhattacharyya_loss, is_valid
from lagrangian.binning import count_crossings, smooth_pdf
from lagrangian.config import speed_folder
from lagrangian.integration import Integration
from lagrangian.stores import open_store
from learning.folders import found_speeds
from learning.velocity.calibrate import held_within
from learning.velocity.ensemble import EVERY_DAYS, PARTICLES, RELEASE_HOURS, member_ocean, within
from learning.velocity.fit import prepare
from learning.velocity.lattice import Lattice
from learning.velocity.maps import Maps
from learning.velocity.members import instants_needed, member_design, placed_in
from learning.velocity.model import VelocityModel, velocity_folder
from learning.velocity.ocean import DT_MINUTES, predicted_ocean
from learning.velocity.residuals import Residuals, local_energy
from learning.velocity.runs import Experiments, run_options
from learning.velocity.sweep import displacements
from learning.velocity.targets import Velocities

#: Periods of one sweep.
PERIODS = 12
#: Shares whose contours are looked at; weights of the networks of binned PDFs that are tried; bounds of a size that is known.
SHARES, WEIGHTS, BOUNDS = (0.25, 0.5, 0.75, 0.9), np.linspace(0, 1, 21), (0.3, 3.0)


@dataclasses.dataclass(eq=False)
class KnownSizes:
    """Residuals whose size is that of the true error within some kilometres; instants are asked for in turn."""

    residuals: Residuals
    sizes: Iterator[np.ndarray]

    def member(self, seed: tuple[int, ...], lattice: Lattice):
        """As those of the networks."""
        return self.residuals.member(seed, lattice)

    def size(self, predicted: np.ndarray, lattice: Lattice) -> np.ndarray:
        """(depth, y, x) of the next instant."""
        return next(self.sizes)


def known_sizes(predicted: np.ndarray, times: np.ndarray, velocities: Velocities, flow: np.ndarray, radius_km: float):
    """(instant, depth, y, x) root mean square error of velocity within a radius, over its mean."""
    psi = velocities.anomaly(flow)
    nearest = np.abs(velocities.times[None] - times[:, None]).argmin(axis=1)
    energy = local_energy(psi[nearest] - predicted, velocities.lattice, radius_km)
    return np.clip(np.sqrt(energy / energy.mean(axis=(0, 2, 3), keepdims=True)), *BOUNDS).astype(np.float32)


def members_places(
    model: VelocityModel, maps: Maps, velocities: Velocities, run: Path, starts: np.ndarray, members: int, oracle_km: float | None
) -> dict[float, np.ndarray]:
    """Displacements at the last level (experiment, member, particle, 2), km, by speed."""
    options = run_options(run).changed(speeds=found_speeds(run))
    design = member_design(options.design, particles=PARTICLES, release_every=RELEASE_HOURS)
    design = dataclasses.replace(design, levels=design.ordered_levels[-1:])
    kappa, lattice = options.integration.diffusivity, velocities.lattice
    out: dict[float, list[np.ndarray]] = {w: [] for w in design.speeds}
    for first in range(0, starts.size, PERIODS):
        chosen = starts[first : first + PERIODS]
        times = instants_needed(chosen, options.design, EVERY_DAYS)
        psi = model.predict(maps, within(times, maps.times), lattice)
        residuals = model.residuals
        if oracle_km is not None:
            residuals = KnownSizes(residuals, iter(known_sizes(psi, times, velocities, model.flow, oracle_km)))
        size = [residuals.size(one, lattice) for one in psi]
        ocean = predicted_ocean(
            lattice, model.depths, times, psi.__getitem__, model.flow, diffusivity=kappa[0] if len(kappa) == 1 else 0
        )
        oceans = [partial(member_ocean, ocean, size, residuals, (0, number)) for number in range(members)]
        numerics = [Integration(dt=DT_MINUTES, diffusivity=kappa, threads=1, seed=number) for number in range(members)]
        found = list(displacements(oceans, placed_in(design, ocean, chosen), numerics))
        for cohort in found[0]:
            out[cohort.w].append(np.stack([one[cohort][:, :, 0] for one in found], axis=1))
    return {w: np.concatenate(parts) for w, parts in out.items()}


def smoothed_members(places: np.ndarray) -> Iterator[np.ndarray]:
    """(member, y, x) smoothed PDFs of each experiment; places (experiment, member, particle, 2)."""
    for one in places:
        counts = count_crossings(one[..., 0][..., None], one[..., 1][..., None])[0][:, 0].astype(np.float32)
        held = counts.sum(axis=(1, 2))
        yield smooth_pdf(counts[held > 0] / held[held > 0, None, None])


def of_sum_one(pdf: np.ndarray) -> np.ndarray:
    return pdf / pdf.sum(axis=(-2, -1), keepdims=True)


def perfect(members: np.ndarray) -> np.ndarray:
    """(member,) loss of the mean of the other members against each."""
    total = members.sum(axis=0)
    return np.array([float(bhattacharyya_loss(one, of_sum_one(total - one))) for one in members])


def measure_speed(
    places: np.ndarray, truth: np.ndarray, block: np.ndarray, binned: np.ndarray | None, weight: float | None
) -> None:
    """Print what one speed tells."""
    mean, root, spread, alone = [], [], [], []
    for members in smoothed_members(places):
        average = of_sum_one(members.mean(axis=0))
        mean.append(average)
        root.append(of_sum_one(np.sqrt(members).mean(axis=0) ** 2))
        spread.append(1 - np.sqrt(members * average).sum(axis=(1, 2)).mean())
        losses = perfect(members)
        alone.append(np.pad(losses, (0, places.shape[1] - losses.size), constant_values=np.nan))
    pdf, square, unsure = np.stack(mean), np.stack(root), np.array(spread)
    loss, of_root = bhattacharyya_loss(truth, pdf), bhattacharyya_loss(truth, square)
    middle, low, high, _ = block_bootstrap_correlation(unsure, loss, block, ranks=True)
    as_truth = [spearmanr(unsure, one, nan_policy="omit")[0] for one in np.array(alone).T]
    print(f"  BL of the mean {loss.mean():.3f}, of the root {of_root.mean():.3f}, valid {100 * is_valid(loss).mean():.0f} %")
    print(f"  Spearman of spread and BL {middle:.2f} [{low:.2f}, {high:.2f}]; perfect members {np.nanmean(as_truth):.2f} "
          f"(standard deviation over members {np.nanstd(as_truth):.2f})")  # fmt: skip
    quarters = np.array_split(np.argsort(unsure), 4)
    print("  mean spread, BL by quarters: " + "; ".join(f"{unsure[one].mean():.3f}, {loss[one].mean():.3f}" for one in quarters)
          + f"; BL / spread of all {loss.mean() / unsure.mean():.2f}")  # fmt: skip
    print(
        "  contours of 25, 50, 75, 90 % hold "
        + ", ".join(f"{100 * held_within(pdf, truth, share).mean():.0f}" for share in SHARES)
    )
    if binned is None:
        return
    for name, guess, stack in (("mean", pdf, linear), ("root", square, of_roots)):
        losses = [float(bhattacharyya_loss(truth, stack(guess, binned, one)).mean()) for one in WEIGHTS]
        best = int(np.argmin(losses))
        told = f"least BL {losses[best]:.4f} at weight {WEIGHTS[best]:.2f}, without {losses[0]:.4f}"
        if weight is not None:
            difference = bhattacharyya_loss(truth, stack(guess, binned, weight)) - bhattacharyya_loss(truth, guess)
            low, high = block_bootstrap(difference, block)
            told += f"; at weight {weight:g} BL less that without {difference.mean():.4f} [{low:.4f}, {high:.4f}]"
        print(
            f"  stacked, {name}: {told}; networks of binned PDFs alone {bhattacharyya_loss(truth, binned).mean():.3f}", flush=True
        )


def linear(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Weighted mean of two PDFs."""
    return (1 - weight) * first + weight * second


def of_roots(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Square of the weighted mean of their square roots, made to sum 1."""
    return of_sum_one(((1 - weight) * np.sqrt(first) + weight * np.sqrt(second)) ** 2)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--source", type=Path, help="run that the networks learnt from (default: --run)")
    parser.add_argument("--networks", type=Path, help="folder of the networks (default: velocity-sst-ssh of --source)")
    parser.add_argument("--part", choices=("validation", "test"), default="validation", help="without --source")
    parser.add_argument("--members", type=int, default=48)
    parser.add_argument("--oracle", type=float, metavar="KM", help="members whose residuals have the true size of the error")
    parser.add_argument("--weights", type=float, nargs="*", default=(), help="of the networks of binned PDFs, one a speed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run, source = options.run, options.source or options.run
    model = VelocityModel.load(options.networks or velocity_folder(source, "sst-ssh"))
    velocities, known = prepare(run), Experiments.open(run)
    maps = Maps.of(model.spec, velocities.times, velocities.surface, velocities.lattice.frame.spacing_km)
    chosen = getattr(known.split(test=True)[0], options.part) if options.source is None else np.flatnonzero(known.usable)
    starts = np.unique(known.start[chosen])
    rows = np.flatnonzero(np.isin(known.start, starts))
    places = members_places(model, maps, velocities, run, starts, options.members, options.oracle)
    print(
        f"{run}: {rows.size} experiments, {np.unique(block_of(known.start[rows])).size} blocks of 60 days, {options.members} "
        "members"
    )
    for number, (w, found) in enumerate(places.items()):
        store = open_store(run / speed_folder(w) / "pdf.zarr", "pdf")
        truth = smooth_pdf(store["counts"][rows, -1].values / store["reached"][rows, -1].values[:, None, None].astype(np.float32))
        path, binned = run / speed_folder(w) / "predictions" / "sst-ssh.zarr", None
        if path.exists() and options.oracle is None:
            binned = open_checked(path, "predictions", ("pdf",))["pdf"][rows, -1].values
        print(f"w = {w:g} m/d" + ("" if options.oracle is None else f", sizes known within {options.oracle:g} km"), flush=True)
        measure_speed(found, truth, block_of(known.start[rows]), binned, dict(enumerate(options.weights)).get(number))


if __name__ == "__main__":
    main()
