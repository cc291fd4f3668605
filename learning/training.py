"""Training of one member on PyTorch Lightning, an epoch at a time, so that a killed one goes on to the same weights."""

from __future__ import annotations

import csv
import io
import math
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from data.command import write_file
from data.errors import StoreError
from lagrangian.pdf import constant_of_least_bl
from learning.config import Preset
from learning.inputs import Normalisation
from learning.loss import RAW_WEIGHT, SMOOTHED_WEIGHT, HeatSmoothing
from learning.network import CatchmentNetwork, mirrored
from learning.samples import RunSamples, Samples
from learning.weights import load_tensors, save_tensors


@dataclass(frozen=True, eq=False)
class Task:
    """The task of training a member.

    Attributes
    ----------
    samples : RunSamples
    train, validation : (n,) int
        Experiments.
    normalisation : Normalisation
    preset : Preset
        With ``epochs`` decided.
    seed, member : int
    state : Path
        Where the state after the last finished epoch is kept.
    level : int
        Number of the level whose BL chooses the epoch: the export level.
    climatology : (speed, level, y, x) float32
        Smoothed mean PDF of the training experiments.
    """

    samples: RunSamples
    train: np.ndarray
    validation: np.ndarray
    normalisation: Normalisation
    preset: Preset
    seed: int
    member: int
    state: Path
    level: int
    climatology: torch.Tensor


class EpochOrder(Sampler[int]):
    """The order of an epoch, from seed, member and epoch alone; with ``mirror``, numbers from n on mean the mirror image."""

    def __init__(self, n: int, seed: tuple[int, ...], mirror: bool):
        self.n, self.seed, self.mirror, self.epoch = n, seed, mirror, 0

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([*self.seed, self.epoch])
        order = generator.permutation(self.n)
        if self.mirror:
            order = order + self.n * generator.integers(0, 2, self.n)
        return iter(order.tolist())


class Batches(torch.utils.data.Dataset):
    """Training batches (inputs, amplitude of the targets); experiments numbered from n on as their mirror image."""

    def __init__(self, samples: Samples):
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitems__(self, indices):
        n, run = len(self.samples), self.samples.samples
        index = np.asarray(indices)
        experiments = self.samples.experiments[index % n]
        inputs = run.inputs(experiments, self.samples.normalisation)
        amplitude = run.amplitudes(experiments, SMOOTHED_WEIGHT, RAW_WEIGHT)
        mirror = torch.from_numpy(index >= n)
        if mirror.any():
            inputs[mirror] = mirrored(inputs[mirror], run.fields.spec)
            amplitude[mirror] = amplitude[mirror].flip(-2)
        return inputs, amplitude


class Checks(Batches):
    """Validation batches: those of training, and roots (n, speed, y, x) of the smoothed PDFs at a level."""

    def __init__(self, samples: Samples, level: int):
        super().__init__(samples)
        self.level = level

    def __getitems__(self, indices):
        experiments = self.samples.experiments[np.asarray(indices)]
        return *super().__getitems__(indices), self.samples.samples.amplitudes(experiments, 1.0, 0.0, self.level)


def _whole(batch):
    return batch


def train_member(
    task: Task, *, device: str, precision: str, tensorboard: Path | None = None, say=print, check=lambda: None
) -> list[CatchmentNetwork]:
    """Train one member, or go on with one. Returns its best network for each speed (by validation BL at the level).

    ``check`` is called at each step and before the state is written; it may raise, to end the training.

    Raises
    ------
    InputError
        The loss is not a number.
    StoreError
        The state cannot be written, or belongs to another network.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from learning.averaged_training import fit
        from learning.lightning_module import CatchmentTraining

    preset, samples = task.preset, task.samples
    assert preset.epochs is not None
    torch.manual_seed((1_000_003 * task.seed + task.member) % 2**63)
    network = CatchmentNetwork(preset.architecture, samples.fields.spec, len(samples.speeds), len(samples.levels), samples.n_bins)
    module = CatchmentTraining(network, preset, task.level)
    drawn = experiments_of(task)
    progress = TrainingProgress(module, task, say, check)
    if not progress.resume():
        module.start_from(task.climatology)
    if progress.epoch < preset.epochs:
        order = EpochOrder(drawn.size, (task.seed, task.member), preset.mirror)
        order.epoch = progress.epoch
        module.steps_per_epoch = math.ceil(drawn.size / preset.batch)
        train = DataLoader(Batches(Samples(samples, drawn, task.normalisation)), batch_size=preset.batch, sampler=order,
                           collate_fn=_whole)  # fmt: skip
        checks = Checks(Samples(samples, task.validation, task.normalisation), task.level)
        check = DataLoader(checks, batch_size=preset.batch, collate_fn=_whole)
        logger: Any = False
        if tensorboard is not None:
            from pytorch_lightning.loggers import TensorBoardLogger

            logger = TensorBoardLogger(str(tensorboard), name=f"member-{task.member:02d}", version="")
        fit(module, train, check, progress, order, epochs=preset.epochs, terminal=progress.terminal, accelerator=device,
            devices="auto" if device != "cpu" else 1, precision=precision, logger=logger)  # fmt: skip
    return module.best_networks()


def experiments_of(task: Task) -> np.ndarray:
    """(n,) experiments that a member learns from: all of the training part, or as many, drawn with replacement (Breiman 1996)."""
    if task.preset.resample != "bootstrap":
        return task.train
    return np.random.default_rng([task.seed, task.member, 1]).choice(task.train, task.train.size)


def mean_pdfs(samples: RunSamples, experiments: np.ndarray) -> torch.Tensor:
    """(speed, level, y, x) smoothed mean PDF of some experiments."""
    mean = np.stack([pdfs.mean(experiments) for pdfs in samples.pdfs])
    smoothed = HeatSmoothing(*samples.n_bins)(torch.from_numpy(mean).to(torch.float32))
    return smoothed / smoothed.sum(dim=(-2, -1), keepdim=True)


def root_pdfs(samples: RunSamples, experiments: np.ndarray, batch: int = 32) -> torch.Tensor:
    """(speed, level, y, x) constant PDF of least expected BL from the smoothed PDFs of some experiments."""
    total = torch.zeros((len(samples.speeds), samples.levels.size, *samples.n_bins), dtype=torch.float64)
    for first in range(0, len(experiments), batch):
        total += samples.amplitudes(experiments[first : first + batch], 1.0, 0.0).sum(dim=0)
    return torch.from_numpy(constant_of_least_bl((total / len(experiments)).numpy())).to(torch.float32)


def level_names(level: float) -> dict[str, str]:
    """The names of the validation's scores at a level, m, in histories and cards: ``bl`` is ``bl_200`` at 200 m."""
    return {name: f"{name}_{level:g}" for name in ("bl", "f", "valid_percent")}


def history_columns(level: float) -> tuple[str, ...]:
    """Columns of history.csv, the validation at ``level``, m."""
    return "member", "epoch", "w", "train_loss", "validation_loss", *level_names(level).values(), "seconds"


class TrainingProgress:
    """The progress of a member's training, kept after each epoch: state, best weights, history."""

    def __init__(self, module, task: Task, say, check):
        self.module, self.task, self.say, self.check = module, task, say, check
        self.epoch = 0
        self.rows: list[dict] = []
        self.terminal = sys.stderr.isatty()
        self._started = time.monotonic()

    def resume(self) -> bool:
        """Take up the state of a training that was killed; False where there is none."""
        if not self.task.state.exists():
            return False
        tensors, card = load_tensors(self.task.state)
        if card.get("task") != self._identity():
            raise StoreError(f"{self.task.state} belongs to another training; remove it to begin anew")
        self.epoch, self.rows = int(card["epoch"]), [self._named(row) for row in card["rows"]]
        self.module.restore(tensors, card)
        return True

    @property
    def level(self) -> float:
        """Depth of the level that is validated, m."""
        return float(self.task.samples.levels[self.task.level])

    def _named(self, row: dict) -> dict:
        """A row of the history with its scores named by the level; earlier versions named every level 200."""
        names = {f"{name}_200": now for name, now in level_names(self.level).items()}
        return {names.get(name, name): value for name, value in row.items()}

    def _identity(self) -> dict:
        preset = self.task.preset
        task = self.task
        return {"preset": repr(preset), "seed": task.seed, "member": task.member, "experiments": int(task.train.size)}

    def epoch_done(self, train_loss: float, results: list[dict]) -> None:
        """Note an epoch: ``results`` (``validation_loss``, ``bl``, ``f``, ``valid_percent``) for each speed."""
        self.check()
        seconds = round(time.monotonic() - self._started, 2)
        self._started = time.monotonic()
        speeds, names = self.task.samples.speeds, level_names(self.level)
        for w, result in zip(speeds, results, strict=True):
            named = {names.get(name, name): value for name, value in result.items()}
            self.rows.append({"member": self.task.member, "epoch": self.epoch + 1, "w": w, "train_loss": train_loss, **named,
                              "seconds": seconds})  # fmt: skip
        self.epoch += 1
        tensors, state = self.module.state_tensors()
        save_tensors(self.task.state, tensors, {"task": self._identity(), "epoch": self.epoch, "rows": self.rows, **state})
        scores = ", ".join(
            f"w {w:g}: BL {result['bl']:.3f}, valid {result['valid_percent']:.0f} %"
            for w, result in zip(speeds, results, strict=True)
        )
        self.say(
            f"member {self.task.member} epoch {self.epoch}/{self.task.preset.epochs}: loss {train_loss:.4f}; validation at "
            f"{self.level:g} m {scores} ({self.task.train.size / max(seconds, 1e-9):.0f} samples/s)"
        )


def write_history(path: Path, rows: list[dict], w: float, level: float) -> None:
    """The rows of one speed as CSV, their scores at ``level``, m."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, history_columns(level))
    writer.writeheader()
    writer.writerows(row for row in rows if row["w"] == w)
    write_file(path, text.getvalue().encode())
