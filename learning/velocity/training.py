"""Training of a network of velocities on Lightning, an epoch at a time, so that a killed one goes on to the same weights."""

from __future__ import annotations

import csv
import io
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from data.command import json_ready, write_file
from data.errors import StoreError
from learning.velocity.loss import displacement_error, energy
from learning.velocity.maps import Maps
from learning.velocity.network import VelocityArchitecture, VelocityNetwork
from learning.velocity.schedule import Schedule
from learning.velocity.targets import Velocities, metres
from learning.weights import load_tensors, save_tensors


@dataclass(eq=False)
class VelocityTask:
    """One network to train.

    Attributes
    ----------
    velocities : Velocities
    maps : Maps
    psi : (time, depth, y, x) float32
        Streamfunctions to learn, of the flow less its mean (:meth:`Velocities.anomaly`).
    train, validation : (n,) int
        Numbers of instants.
    architecture, schedule
    seed, member : int
    state : Path
        Where the state after the last finished epoch is kept.
    """

    velocities: Velocities
    maps: Maps
    psi: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    architecture: VelocityArchitecture
    schedule: Schedule
    seed: int
    member: int
    state: Path

    def __post_init__(self):
        self.scale = self.psi[self.train].std(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
        used = self.instants(self.train)
        self.map_scale = self.maps.scale(np.unique(np.concatenate([instants for row in used for instants in row.values()])))

    def instants(self, numbers: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Numbers of the maps of some instants."""
        return [self.maps.instants(self.velocities.times[number]) for number in numbers]

    @property
    def identity(self) -> dict:
        """The identity of a training; a state is gone on with if the identities are equal."""
        return json_ready({
            "architecture": self.architecture, "schedule": self.schedule, "maps": self.maps.spec.card, "seed": self.seed,
            "member": self.member, "train": [int(self.train.min()), int(self.train.max()), int(self.train.size)],
            "depths": self.velocities.depths.tolist(), "made_of": self.velocities.attributes.get("identity"),
        })  # fmt: skip


class Batches(Dataset):
    """The batches (maps, psi) of an epoch, drawn from seed, member, epoch and number alone.

    On a periodic lattice each instant is moved at random, so that a satellite's samples never fall on the same points twice.
    """

    def __init__(self, task: VelocityTask):
        self.task, self.epoch = task, 0
        self._instants = dict(zip(task.train.tolist(), task.instants(task.train), strict=True))

    def __len__(self) -> int:
        return self.task.schedule.epoch_steps

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        if number >= len(self):
            raise IndexError(number)
        task = self.task
        rng = np.random.default_rng([task.seed, task.member, self.epoch, number])
        lattice = task.velocities.lattice
        maps, psi = [], []
        for drawn in rng.choice(task.train, task.schedule.batch):
            ny, nx = lattice.shape
            shift = (int(rng.integers(ny)), int(rng.integers(nx))) if lattice.periodic else None
            maps.append(task.maps.stack(self._instants[int(drawn)], task.map_scale, shift))
            psi.append(task.psi[drawn] if shift is None else np.roll(task.psi[drawn], shift, axis=(-2, -1)))
        return torch.from_numpy(np.stack(maps)), torch.from_numpy(np.stack(psi))


class Held(Dataset):
    """Instants as they are, a few at a time."""

    def __init__(self, task: VelocityTask, numbers: np.ndarray, size: int = 16):
        self.task, self.size = task, size
        self.parts = [numbers[first : first + size] for first in range(0, numbers.size, size)]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = self.parts[number]
        maps = np.stack([self.task.maps.stack(instants, self.task.map_scale) for instants in self.task.instants(rows)])
        return torch.from_numpy(maps), torch.from_numpy(np.ascontiguousarray(self.task.psi[rows]))


def train_velocity(
    task: VelocityTask, *, device: str = "cpu", say=print, check=lambda: None
) -> tuple[VelocityNetwork, list[dict]]:
    """Train a network, or go on with one. Returns that of the best epoch (by validation loss), and the history.

    ``check`` is called at each step and before the state is written; it may raise, to end the training.

    Raises
    ------
    InputError
        The loss is not a number.
    StoreError
        The state cannot be written, or belongs to another training.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from learning.averaged_training import fit
        from learning.velocity.lightning_module import VelocityTraining

    torch.manual_seed(1_000_003 * task.seed + task.member)
    spec, lattice, depths = task.maps.spec, task.velocities.lattice, task.velocities.depths
    network = VelocityNetwork(task.architecture, spec.n_channels, spec.n_ssh, depths.size)
    module = VelocityTraining(
        network, task.schedule, task.scale, metres(depths), unit_of(task), lattice.spacing, lattice.periodic
    )
    progress = _Progress(module, task, say, check)
    progress.resume()
    if progress.epoch < task.schedule.epochs:
        batches = Batches(task)
        batches.epoch = progress.epoch
        train, held = (DataLoader(part, batch_size=None, shuffle=False) for part in (batches, Held(task, task.validation)))
        fit(module, train, held, progress, batches, epochs=task.schedule.epochs, terminal=sys.stderr.isatty(), accelerator=device,
            devices="auto" if device != "cpu" else 1, logger=False)  # fmt: skip
    return module.best_network(), progress.rows


def unit_of(task: VelocityTask) -> float:
    """Displacement error of no prediction at all, mean over the training instants, m4/s2."""
    lattice, weights = task.velocities.lattice, torch.as_tensor(metres(task.velocities.depths), dtype=torch.float32)
    total = 0.0
    for first in range(0, task.train.size, 64):
        psi = torch.from_numpy(task.psi[task.train[first : first + 64]])
        total += float(displacement_error(torch.zeros_like(psi), psi, weights, lattice.spacing, lattice.periodic).sum())
    return total / task.train.size


def explained(predicted: np.ndarray, psi: np.ndarray, spacing: float, periodic: bool) -> np.ndarray:
    """(depth,) share of the kinetic energy of psi (n, depth, y, x) that a prediction explains."""
    left, whole = (energy(torch.from_numpy(field), spacing, periodic).mean(dim=0) for field in (predicted - psi, psi))
    return (1 - left / whole).numpy()


class _Progress:
    """The progress of a training, kept after each epoch: state, best weights, history."""

    def __init__(self, module, task: VelocityTask, say, check):
        self.module, self.task, self.say, self.check = module, task, say, check
        self.epoch = 0
        self.rows: list[dict] = []
        self._started = time.monotonic()

    def resume(self) -> None:
        """Take up the state of a training that was killed."""
        if not self.task.state.exists():
            return
        tensors, card = load_tensors(self.task.state)
        if card.get("task") != self.task.identity:
            raise StoreError(f"{self.task.state} belongs to another training; remove it to begin anew")
        self.epoch, self.rows = int(card["epoch"]), card["rows"]
        self.module.restore(tensors, card)

    def epoch_done(self, train_loss: float, result: dict) -> None:
        """Note an epoch."""
        self.check()
        seconds = round(time.monotonic() - self._started, 2)
        self._started = time.monotonic()
        self.epoch += 1
        shares = {
            f"explained_{depth:g}m": value for depth, value in zip(self.task.velocities.depths, result["explained"], strict=True)
        }
        self.rows.append({"member": self.task.member, "epoch": self.epoch, "train_loss": train_loss,
                          "validation_loss": result["validation_loss"], **shares, "seconds": seconds})  # fmt: skip
        tensors, state = self.module.state_tensors()
        save_tensors(self.task.state, tensors, {"task": self.task.identity, "epoch": self.epoch, "rows": self.rows, **state})
        self.say(
            f"network {self.task.member} epoch {self.epoch}/{self.task.schedule.epochs}: "
            f"displacement error left {train_loss:.3f}, "
            f"validation {result['validation_loss']:.3f}; energy explained "
            + ", ".join(
                f"{depth:g} m {value:.2f}" for depth, value in zip(self.task.velocities.depths, result["explained"], strict=True)
            )
        )


def write_history(path: Path, rows: list[dict]) -> None:
    """The history as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["member", "epoch"])
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, text.getvalue().encode())
