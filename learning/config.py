"""Options of ``python -m learning.fit``, and the values of its presets."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from data.bounds import MAX_SEED, bounds, check_bounds, need_distinct
from data.errors import need
from data.registry import NETWORKS
from data.workers import WORKER_GROUP, WorkerOptions
from learning.architecture import Architecture
from learning.input_sets import LAGS_DAYS, SSH_RESOLUTION_KM, SST_RESOLUTION_KM, AnyInputName, Method

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

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "What is learnt": ("run", "more_runs", "w", "inputs", "method", "causal", "test_run", "experiments"),
        "Networks": ("preset", "architecture", "width", "members", "member", "resample"),
        "Training": ("epochs", "batch", "lr", "device", "precision", "threads", "seed", "tensorboard"),
        "Inputs": ("ssh_resolution", "sst_resolution", "resolution_method", "lags"),
        **WORKER_GROUP,
    }
    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment fit --run runs/learn --inputs sst-ssh",
        "catchment fit --run runs/learn --method velocity --inputs sst-ssh-bathymetry",
        "catchment fit --run runs/learn --more-runs runs/second runs/third --method velocity",
        "catchment fit --run runs/learn --method unet --preset paper --device gpu",
    )

    run: Path = field(default_factory=lambda: Path("runs/demo"))
    """Folder of the lagrangian.run to learn from."""
    more_runs: tuple[Path, ...] = ()
    """With velocity: folders of further runs (other years, other simulations, of the same depths and extent) whose days are
    learnt from too; validation and test stay with --run."""
    w: Annotated[tuple[float, ...], *bounds(above=0, below=1e5, unit="m/d")] = ()
    """Sinking speeds, m/d (default: all found in the run)."""
    inputs: tuple[AnyInputName, ...] = ()
    """Input sets: sst-ssh (at satellite resolution), 5v-1l (five surface variables), 5v-4l (at four depths; unet alone), and
    sst-ssh-bathymetry (the depth of the sea floor as well; velocity alone). Default: sst-ssh, and with velocity
    sst-ssh-bathymetry too, unless the sea floor is flat."""
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
    """Arithmetic of the training; mixed precision pays on a GPU, bf16-mixed on processors with AMX too."""
    threads: Annotated[int, *bounds(least=0, most=4096)] = THREADS
    """CPU threads for one member. Another number rounds otherwise, so that the default is the same on every machine and with any
    --workers (0: one for each core, shared among local workers)."""
    tensorboard: bool = False
    """Also write TensorBoard files (needs the tensorboard package)."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 0
    """Seed of first weights, order and resampling."""

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
        need(self.lags, "--lags needs at least one day, 0 or more")
        need_distinct(self, "w", "inputs", "method", "lags")
        self.validate_workers()
        if self.tensorboard:
            there = any(importlib.util.find_spec(name) for name in ("tensorboard", "tensorboardX"))
            need(there, "--tensorboard needs the tensorboard package: pip install 'catchment-toolkit[tensorboard]'")
        need(self.device in ("auto", "cpu", "gpu"), f"--device {self.device}: must be auto, cpu or gpu")


@dataclass(frozen=True)
class PredictConfig(WorkerOptions):
    """Predict catchments with trained networks."""

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "Networks": ("run", "models", "method", "device", "threads"),
        "From satellite maps": (
            "ssh", "sst", "bathymetry", "site", "start", "end", "every", "persist", "ssh_mean", "no_land_mass", "out",
        ),
        "With networks of velocities": ("w", "trap_depth", "levels", "collection", "members", "seed"),
        **WORKER_GROUP,
    }  # fmt: skip
    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment predict --run runs/learn",
        "catchment predict --run runs/learn --ssh 'ssh_*.nc' --sst 'sst_*.nc' --out runs/satellite",
    )

    models: tuple[Path, ...] = ()
    """Folders of members, such as runs/demo/w080/models/sst-ssh (default: all of --run)."""
    run: Path = Path("runs/demo")
    """Run whose experiments are predicted, or whose models are used with --ssh."""
    method: tuple[Literal["unet", "velocity"], ...] = ()
    """unet, velocity, or both (default: all that is there)."""
    w: Annotated[tuple[float, ...], *bounds(above=0, below=1e5, unit="m/d")] = ()
    """With velocity: sinking speeds, m/d, any (default: those of --run)."""
    trap_depth: Annotated[float | None, *bounds(above=0, below=12000, unit="m, positive down")] = None
    """With velocity: depth of the trap, m (default: that of the series at --site, else that of --run)."""
    levels: Annotated[tuple[float, ...], *bounds(least=0, below=12000, unit="m, positive down")] = ()
    """With velocity: depths of the crossings, m (default: those of --run)."""
    collection: Annotated[float | None, *bounds(above=0, most=36500, unit="days")] = None
    """With velocity: length of a collection period, days (default: that of --run)."""
    members: Annotated[int, *bounds(least=0, most=1000)] = 48
    """With velocity: members of the ensemble, each with its own residuals (0: the prediction alone); the mean of a few is so
    uneven that its contours hold too little."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 0
    """With velocity: seed of the members."""
    ssh: tuple[str, ...] = ()
    """Satellite maps of sea surface height (DUACS L4 files or quoted globs): predict from these instead of a run."""
    sst: tuple[str, ...] = ()
    """Satellite maps of sea surface temperature (OSTIA or other GHRSST L4); without, the training mean replaces it."""
    bathymetry: Path | None = None
    """With --ssh and networks of velocities: depth of the sea floor (GEBCO, ETOPO, or deptho of a reanalysis); networks of
    sst-ssh-bathymetry are then used, which know the deep flow far better."""
    site: str | None = None
    """With --ssh: place of the trap, a name from the site table or LON,LAT (default: the one the networks were trained at)."""
    start: str | None = None
    """With --ssh: first end of a collection period (default: the first that the maps allow)."""
    end: str | None = None
    """With --ssh: last end of a collection period (default: the last that the maps allow)."""
    every: Annotated[float, *bounds(least=0.01, most=36500, unit="days")] = 10.0
    """With --ssh: days between predictions."""
    persist: bool = False
    """With --ssh: use the nearest map in time, within 50 days, where that of a lag is missing (flagged), instead of leaving the
    date out."""
    ssh_mean: Annotated[float | None, *bounds(above=-50, below=50, unit="m")] = None
    """With --ssh: mean of SSH over the window, m, that the simulation's mean stands for (default: that of all maps given).
    Networks that take each window's own mean off, as those of the quick preset do, give the same whatever it is."""
    no_land_mass: bool = False
    """With --ssh: take away the part of a prediction that lies on land, and bring the rest to sum 1."""
    out: Path | None = None
    """With --ssh: folder of catchment_w080.nc (default: --run)."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where the networks run."""
    threads: Annotated[int, *bounds(least=0, most=4096)] = THREADS
    """CPU threads of one process (0: one for each core, shared among local workers)."""
