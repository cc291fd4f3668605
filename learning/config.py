"""Options of ``python -m learning.fit``, and what its presets stand for."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from data.bounds import MAX_SEED, bounds, check_bounds
from data.errors import need
from data.registry import NETWORKS
from data.workers import WorkerOptions
from learning.inputs import LAGS_DAYS, SSH_RESOLUTION_KM, SST_RESOLUTION_KM, InputName, Method
from learning.network import Architecture

#: CPU threads of one network unless asked otherwise: sums in PyTorch are rounded differently with another number.
THREADS = 2


@dataclass(frozen=True)
class Preset:
    """A network and its schedule.

    Attributes
    ----------
    architecture : Architecture
    members : int
    epochs : int, optional
        None: so many that each member sees about ``visits`` samples, 3 to 40.
    visits : int
        See ``epochs``.
    batch : int
    lr : float
        Highest learning rate; ``schedule`` is ``constant`` or ``cycle`` (up over a fifth of the steps, then down to 0).
    betas, weight_decay, schedule
        Of Adam (AdamW where the decay is not 0).
    average : float
        Decay of the running mean of the weights that is validated and kept; 0: the weights themselves.
    mirror : bool
        Whether half of the samples are seen as their ocean's mirror image.
    joint : bool
        Whether one network learns all sinking speeds at once.
    resample : str
        What makes members differ: ``bootstrap`` (Breiman 1996) or ``seed``.
    """

    architecture: Architecture
    members: int
    epochs: int | None
    visits: int
    batch: int
    lr: float
    betas: tuple[float, float]
    weight_decay: float
    schedule: str
    average: float
    mirror: bool
    joint: bool
    resample: str


PRESETS = {
    # chosen by tests/benchmarks/networks.py
    "quick": Preset(
        architecture=Architecture("residual", width=32, levels=3, coarsen=4, kernel=3),
        members=4, epochs=None, visits=10_000, batch=32, lr=2e-3, betas=(0.9, 0.99), weight_decay=1e-2,
        schedule="cycle", average=0.99, mirror=False, joint=True, resample="seed",
    ),
    # method.md section 3
    "paper": Preset(
        architecture=Architecture("paper", width=64, levels=3, coarsen=1, kernel=5),
        members=10, epochs=50, visits=0, batch=32, lr=1e-3, betas=(0.5, 0.999), weight_decay=0.0,
        schedule="constant", average=0.0, mirror=False, joint=False, resample="bootstrap",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class FitConfig(WorkerOptions):
    """Train networks that predict the catchment from what a satellite sees (or from more of the simulation)."""

    run: Path = field(default_factory=lambda: Path("runs/demo"))
    """Folder of the lagrangian.run to learn from."""
    w: Annotated[tuple[float, ...], *bounds(above=0, below=1e5, unit="m/d")] = ()
    """Sinking speeds, m/d (default: all found in the run)."""
    inputs: tuple[InputName, ...] = ("sst-ssh",)
    """Input sets: sst-ssh (at satellite resolution), 5v-1l (five surface variables), 5v-4l (at four depths)."""
    method: tuple[Literal["unet", "velocity"], ...] = ()
    """unet: networks of binned PDFs, the paper's method; velocity: networks of the flow below the surface, particles left to the
    kernel (default: both; velocity is left out, saying so, where the run's ocean is not there)."""
    causal: bool = False
    """With velocity: take no map after the instant (default: maps of 20 days on either side, as delayed-time products have)."""
    preset: Literal["quick", "paper"] = "quick"
    """quick: a network and schedule for a 2-core machine, minutes; paper: the full recipe of Picard et al. (2025)."""
    architecture: str | None = None
    """Network: paper, residual, or one that a package registers (default: the preset's); such a one learns each speed alone."""
    members: Annotated[int | None, *bounds(least=1, most=1000)] = None
    """Networks of the ensemble (default: 4 quick, 10 paper)."""
    member: Annotated[int | None, *bounds(least=1, most=1000)] = None
    """Train only this member (1 to --members), for job arrays."""
    epochs: Annotated[int | None, *bounds(least=1, most=10**6)] = None
    """Passes over the training experiments (default: about 10 000 samples' worth quick, 50 paper)."""
    batch: Annotated[int | None, *bounds(least=1, most=65536)] = None
    """Samples per step (default 32)."""
    lr: Annotated[float | None, *bounds(above=0, most=1e30)] = None
    """Highest learning rate (default: 2e-3 quick, 1e-3 paper)."""
    width: Annotated[int | None, *bounds(least=1, most=1024, unit="channels")] = None
    """Channels of the network at its finest resolution (default: 32 quick, 64 paper)."""
    resample: Literal["bootstrap", "seed"] | None = None
    """What makes members differ: experiments drawn with replacement, or first weights and order alone."""
    experiments: Annotated[int | None, *bounds(least=1, most=10**9)] = None
    """Learn from only so many of the training experiments, drawn with --seed (for learning curves)."""
    ssh_resolution: Annotated[float, *bounds(least=0, most=800, unit="km")] = SSH_RESOLUTION_KM
    """Effective resolution of SSH in sst-ssh, km."""
    sst_resolution: Annotated[float, *bounds(least=0, most=800, unit="km")] = SST_RESOLUTION_KM
    """Effective resolution of SST in sst-ssh, km."""
    resolution_method: Method = "spline"
    """How fields are brought to it: under-sampling and bicubic interpolation, or a Gaussian."""
    lags: Annotated[tuple[int, ...], *bounds(least=0, most=3650, unit="days")] = LAGS_DAYS
    """Samples of the inputs, days before the end of the collection period."""
    test_run: Path | None = None
    """Another run to test on, of another simulation (default: the last part of this one)."""
    device: str = "auto"
    """auto, cpu, or gpu (all that are visible)."""
    precision: Literal["32", "16-mixed", "bf16-mixed"] = "32"
    """Arithmetic of the training; mixed precision pays on a GPU."""
    threads: Annotated[int, *bounds(least=0, most=4096)] = THREADS
    """CPU threads for one member. Another number rounds otherwise, so that the default is the same on every machine and with any
    --workers (0: one for each core, shared among local workers)."""
    tensorboard: bool = False
    """Also write TensorBoard files (needs the tensorboard package)."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 0
    """Of first weights, order and resampling."""

    def validate(self) -> None:
        """Check every option's bounds.

        Raises
        ------
        OptionError
            Names the option, its value and its bounds.
        """

        check_bounds(self)
        if self.architecture is not None and self.architecture not in NETWORKS.taken:
            NETWORKS.get(self.architecture)
        members = self.members or PRESETS[self.preset].members
        need(self.member is None or 1 <= self.member <= members, f"--member {self.member}: must lie between 1 and {members}")
        need(self.inputs, "--inputs needs at least one of sst-ssh, 5v-1l, 5v-4l")
        need(self.lags, "--lags needs at least one day, 0 or more")
        self.validate_workers()
        if self.tensorboard:
            there = any(importlib.util.find_spec(name) for name in ("tensorboard", "tensorboardX"))
            need(there, "--tensorboard needs the tensorboard package: pip install 'catchment-toolkit[tensorboard]'")
        need(self.device in ("auto", "cpu", "gpu"), f"--device {self.device}: must be auto, cpu or gpu")
