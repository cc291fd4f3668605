"""Whether networks of binned PDFs are better where they also see, and correct, the PDF of learnt velocities.

    # runs/learn and runs/other are made as in tests.benchmarks.velocity; for R = learn and R = other:
    python -m learning.predict --run runs/R --out runs/physics/R --w 80 150 300 --levels 200 --method velocity \
        --models learning/ready/models/velocity-sst-ssh
    python -m tests.benchmarks.physics_channel --run runs/learn --physics runs/physics/learn \
        --other runs/other --other-physics runs/physics/other

Networks that correct learn from predictions of the training days. Velocities that were learnt from these days know them too
well, so that the predictions come from the ready network, which learnt from neither ocean. Everything is of the last level,
200 m, and of all speeds together.

- **mean, root**: the two products of the velocities, as they are.
- **maps**: the quick preset's network of SST and SSH alone; the climatology is corrected.
- **physics**: the same network, whose inputs are the square roots of both products at each speed, and no map; the root is
  corrected. Nothing of it belongs to a place but the trap's.
- **both**: maps and products in; the root is corrected.

A network that corrects gives the root where its last layer is zero, as when its training begins. The choice is to be made on
validation, which also chose the epochs; held-out time and the other ocean then tell what the choice is worth. Brackets hold
95 %, from blocks of 60 days; ``than root``: BL less that of the root, pair by pair. ``--own FOLDER``: predictions of RUN's
validation and test by velocities of its own network; they are scored too, and corrected by the same networks.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from data.chunks import open_checked
from evaluation.intervals import block_bootstrap, block_of
from evaluation.scores import bhattacharyya_loss, is_valid, overlap
from lagrangian.config import speed_folder
from learning.architecture import Architecture
from learning.averaged_training import fit
from learning.config import PRESETS, Preset
from learning.ensemble import median
from learning.folders import found_speeds
from learning.inputs import InputSpec, Normalisation
from learning.lightning_module import CatchmentTraining
from learning.loss import RAW_WEIGHT, SMOOTHED_WEIGHT, HeatSmoothing, target_amplitude, training_loss
from learning.network import CENTRED, ResidualUNet, pdf_head
from learning.plan import EPOCH_BOUNDS
from learning.samples import RunSamples
from learning.split import gap_days, split_by_time
from learning.training import EpochOrder

#: What a network sees, by its name: (maps, products of the velocities).
SEEN = {"maps": (True, False), "physics": (False, True), "both": (True, True)}
PRODUCTS = ("pdf_root", "pdf")
VELOCITY = "velocity-sst-ssh"
#: Least probability of a cell under the logarithm, as :meth:`learning.network.CatchmentNetwork.start_from` has it.
FLOOR = 1e-7


def amplitudes(folder: Path, speeds: tuple[float, ...], start: np.ndarray) -> np.ndarray:
    """(experiment, product * speed, y, x) float16 square roots of predicted PDFs at the last level, root mean square 1.

    ``start``: (experiment,) collection periods of the run that the predictions must be of. NaN where nothing is predicted.
    """
    found = []
    for product in PRODUCTS:
        for w in speeds:
            store = open_checked(folder / speed_folder(w) / "predictions" / f"{VELOCITY}.zarr", "predictions", PRODUCTS)
            if not np.array_equal(store["collection_start"].values.astype("datetime64[s]"), start):
                raise SystemExit(f"{folder}: its experiments are not those of the run")
            pdf = store[product][:, -1].values
            found.append(np.sqrt(pdf * pdf[0].size).astype(np.float16))
    return np.stack(found, axis=1)


@dataclasses.dataclass(eq=False)
class Trial(Dataset):
    """Experiments of a run as (inputs, targets at the last level); inputs: maps, products (:func:`amplitudes`)."""

    samples: RunSamples
    physics: np.ndarray
    experiments: np.ndarray
    normalisation: Normalisation
    seen: str

    def __len__(self) -> int:
        return self.experiments.size

    def __getitems__(self, indices) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = self.experiments[np.asarray(indices)]
        maps, products = SEEN[self.seen]
        parts = [self.samples.inputs(chosen, self.normalisation)] if maps else []
        parts += [torch.from_numpy(self.physics[chosen].astype(np.float32))] if products else []
        return torch.cat(parts, dim=1), self.samples.targets(chosen)[:, :, -1:]


class Check(Trial):
    """Experiments to validate with, as :class:`learning.training.Checks` gives them."""

    def __getitems__(self, indices):
        chosen, last = self.experiments[np.asarray(indices)], self.samples.levels.size - 1
        amplitude = self.samples.amplitudes(chosen, SMOOTHED_WEIGHT, RAW_WEIGHT, last)[:, :, None]
        return super().__getitems__(indices)[0], amplitude, self.samples.amplitudes(chosen, 1.0, 0.0, last)


class Corrected(nn.Module):
    """The quick preset's network; with products among its inputs, its output is added to the logarithm of the root.

    Takes (n, channel, y, x), returns logits (n, speed, 1, y, x).
    """

    def __init__(self, architecture: Architecture, spec: InputSpec, n_speeds: int, size: tuple[int, int], seen: str):
        super().__init__()
        maps, self.products = SEEN[seen]
        centred = [name in CENTRED for name, _ in spec.variables] * len(spec.lags_days) if maps else []
        centred += [False] * (len(PRODUCTS) * n_speeds) if self.products else []
        self.n_speeds, self.size, self.smoothing = n_speeds, size, HeatSmoothing(*size)
        self.body = ResidualUNet(len(centred), n_speeds, architecture, torch.tensor(centred), size)
        # a map that is added everywhere would be of the ocean that was learnt from
        self.body.climatology.requires_grad_(not self.products)

    def start_from(self, climatology: torch.Tensor) -> None:
        """Begin at the mean PDFs (speed, 1, y, x), unless the root is where it begins."""
        if not self.products:
            with torch.no_grad():
                self.body.climatology.copy_((climatology[:, 0] + FLOOR).log())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        logits = self.body(inputs)
        if self.products:
            first = inputs.shape[1] - len(PRODUCTS) * self.n_speeds
            root = inputs[:, first : first + self.n_speeds].square() / math.prod(self.size)
            logits = logits + (root + FLOOR).log()
        return logits[:, :, None]

    def loss(self, inputs: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
        """The training loss of inputs and of their PDFs (n, speed, 1, y, x) as counted, which a :class:`Trial` gives."""
        return training_loss(self(inputs), target_amplitude(raw, self.smoothing(raw)))


class Epochs:
    """What :func:`learning.averaged_training.fit` asks of a training's progress; nothing is kept on disk."""

    def __init__(self, module: CatchmentTraining, told: str):
        self.module, self.told, self.epoch = module, told, 0

    def check(self) -> None:
        """Nothing can go wrong."""

    def epoch_done(self, loss: float, results: list[dict]) -> None:
        """Tell of an epoch."""
        self.epoch += 1
        print(f"  {self.told}, epoch {self.epoch}: loss {loss:.4f}, BL " + ", ".join(f"{one['bl']:.4f}" for one in results),
              flush=True)  # fmt: skip


def whole(batch):
    """A batch as it is."""
    return batch


def trained(train: Trial, validation: Check, preset: Preset, seed: int, seen: str) -> list[Corrected]:
    """The best network of each speed, by validation."""
    samples = train.samples
    torch.manual_seed(seed)
    spec = samples.fields.spec
    networks = [Corrected(preset.architecture, spec, len(samples.speeds), samples.n_bins, seen) for _ in samples.speeds]
    module = CatchmentTraining(cast(Any, networks[0]), preset, 0)
    module.start_from(mean_of(train))
    module.steps_per_epoch = math.ceil(len(train) / preset.batch)
    order = EpochOrder(len(train), (seed,), False)
    batches = DataLoader(train, batch_size=preset.batch, sampler=order, collate_fn=whole)
    check = DataLoader(validation, batch_size=64, collate_fn=whole)
    assert preset.epochs is not None
    fit(module, batches, check, Epochs(module, f"{seen}, seed {seed}"), order, epochs=preset.epochs, terminal=False,
        accelerator="cpu", devices=1, precision="32", logger=False)  # fmt: skip
    for network, best in zip(networks, module.best, strict=True):
        network.load_state_dict(best)
    return [network.eval() for network in networks]


def mean_of(trial: Trial) -> torch.Tensor:
    """(speed, 1, y, x) smoothed mean PDF."""
    parts = np.array_split(trial.experiments, -(-len(trial) // 256))
    total = sum(trial.samples.targets(part)[:, :, -1:].sum(dim=0) for part in parts)
    return HeatSmoothing(*trial.samples.n_bins)(total / len(trial))


@torch.no_grad()
def predicted(members: list[list[Corrected]], trial: Trial) -> np.ndarray:
    """(experiment, speed, y, x) median of the members."""
    found = []
    for part in np.array_split(np.arange(len(trial)), -(-len(trial) // 64)):
        inputs, _ = trial.__getitems__(part)
        each = [torch.cat([pdf_head(one(inputs)[:, k]) for k, one in enumerate(networks)], dim=1) for networks in members]
        found.append(median(each).numpy())
    pdf = np.concatenate(found)
    return pdf / pdf.sum(axis=(-2, -1), keepdims=True)


def smoothed_truth(trial: Trial) -> np.ndarray:
    """(experiment, speed, y, x)."""
    smoothing = HeatSmoothing(*trial.samples.n_bins)
    parts = np.array_split(trial.experiments, -(-len(trial) // 64))
    return np.concatenate([smoothing(trial.samples.targets(part)[:, :, -1]).numpy() for part in parts])


def print_scores(title: str, trial: Trial, rows: dict[str, np.ndarray]) -> None:
    """The table; rows (experiment, speed, y, x) by name, of which ``root`` is what the others are compared with."""
    truth, block = smoothed_truth(trial), block_of(trial.samples.start[trial.experiments])
    print(f"\n{title}: {len(trial)} experiments a speed, {np.unique(block).size} blocks of 60 days")
    for k, w in enumerate(trial.samples.speeds):
        loss = {name: bhattacharyya_loss(truth[:, k], pdf[:, k]) for name, pdf in rows.items()}
        print(f"w = {w:g} m/d")
        for name, bl in loss.items():
            told = [f"  {name:14s}"]
            for label, values, scale in (
                ("valid", is_valid(bl), 100), ("F", overlap(truth[:, k], rows[name][:, k]), 100), ("BL", bl, 1),
                ("than root", bl - loss["root"], 1),
            ):  # fmt: skip
                low, high = (scale * end for end in block_bootstrap(values, block))
                digits = 0 if scale == 100 else 4
                told.append(f"{label} {scale * np.mean(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]")
            print("  ".join(told), flush=True)


def products_of(trial: Trial) -> dict[str, np.ndarray]:
    """The two products (experiment, speed, y, x) as they are."""
    amplitude = trial.physics[trial.experiments].astype(np.float32)
    pdf = amplitude**2
    pdf /= pdf.sum(axis=(-2, -1), keepdims=True)
    root, mean = np.split(pdf, len(PRODUCTS), axis=1)
    return {"mean": mean, "root": root}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--physics", type=Path, required=True, help="predictions of --run by velocities of other oceans")
    parser.add_argument("--own", type=Path, help="predictions of --run by velocities of its own network")
    parser.add_argument("--other", type=Path, help="a run on another ocean")
    parser.add_argument("--other-physics", type=Path, help="predictions of --other")
    parser.add_argument("--seen", choices=tuple(SEEN), nargs="*", default=list(SEEN))
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--visits", type=int, default=PRESETS["quick"].visits, help="samples that a member sees")
    options = parser.parse_args()
    torch.set_num_threads(1)
    speeds, spec = found_speeds(options.run), InputSpec.of("sst-ssh")
    samples = RunSamples.open(options.run, speeds, spec)
    split = split_by_time(
        samples.start, samples.end, samples.usable, gap_days(spec.lags_days, samples.start, samples.end), test=True
    )
    normalisation, physics = samples.normalisation(split.train), amplitudes(options.physics, speeds, samples.start)
    epochs = int(np.clip(round(options.visits / split.train.size), *EPOCH_BOUNDS))
    preset = dataclasses.replace(PRESETS["quick"], epochs=epochs)
    members: dict[str, list[list[Corrected]]] = {}
    for seen in options.seen:
        train = Trial(samples, physics, split.train, normalisation, seen)
        check = Check(samples, physics, split.validation, normalisation, seen)
        started = time.process_time()
        members[seen] = [trained(train, check, preset, seed, seen) for seed in range(options.members)]
        print(f"{seen}: {time.process_time() - started:.0f} CPU-seconds for {options.members} members of {epochs} epochs")
    parts = {"validation": split.validation, "held-out time": split.test}
    scored = [(options.run, options.physics, title, part) for title, part in parts.items()]
    if options.other is not None:
        scored.append((options.other, options.other_physics, "another ocean", None))
    if options.own is not None:
        scored += [(run, options.own, f"{title}, velocities of its own network", part) for run, _, title, part in scored[:2]]
    for run, folder, title, part in scored:
        theirs = samples if run == options.run else RunSamples.open(run, speeds, spec)
        chosen, amplitude = np.flatnonzero(theirs.usable) if part is None else part, amplitudes(folder, speeds, theirs.start)
        trials = {seen: Trial(theirs, amplitude, chosen, normalisation, seen) for seen in members}
        rows = {seen: predicted(members[seen], trial) for seen, trial in trials.items()}
        first = next(iter(trials.values()))
        print_scores(title, first, products_of(first) | rows)


if __name__ == "__main__":
    main()
