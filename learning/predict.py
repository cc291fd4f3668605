"""``python -m learning.predict``: catchments from fields, for every experiment of a run or for dates of satellite maps."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch

from data.bounds import MAX_SEED, bounds
from data.command import run_command
from data.cores import cores
from data.errors import OptionError
from data.workers import WorkerOptions
from learning.config import THREADS
from learning.plan import check_device
from learning.satellite import predict_satellite
from learning.simulation import predict_run


@dataclass(frozen=True)
class PredictConfig(WorkerOptions):
    """Predict catchments with trained networks."""

    models: tuple[Path, ...] = ()
    """Folders of members, such as runs/demo/w080/models/sst-ssh (default: all of --run)."""
    run: Path = Path("runs/demo")
    """Run whose experiments are predicted, or whose models are used with --ssh."""
    method: tuple[Literal["unet", "velocity"], ...] = ()
    """unet, velocity, or both (default: all that is there)."""
    w: Annotated[tuple[float, ...], *bounds(above=0, below=1e5, unit="m/d")] = ()
    """With velocity: sinking speeds, m/d, any (default: those of --run)."""
    trap_depth: Annotated[float | None, *bounds(above=0, below=12000, unit="m, positive down")] = None
    """With velocity: depth of the trap, m (default: that of --run)."""
    levels: Annotated[tuple[float, ...], *bounds(least=0, below=12000, unit="m, positive down")] = ()
    """With velocity: depths of the crossings, m (default: those of --run)."""
    collection: Annotated[float | None, *bounds(above=0, most=36500, unit="days")] = None
    """With velocity: length of a collection period, days (default: that of --run)."""
    members: Annotated[int, *bounds(least=0, most=1000)] = 48
    """With velocity: members of the ensemble, each with its own residuals (0: the prediction alone); the mean of a few is so
    uneven that its contours hold too little."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 0
    """With velocity: of the members."""
    ssh: tuple[str, ...] = ()
    """Satellite maps of sea surface height (DUACS L4 files or quoted globs): predict from these instead of a run."""
    sst: tuple[str, ...] = ()
    """Satellite maps of sea surface temperature (OSTIA or other GHRSST L4); without, the training mean stands for it."""
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


def main(config: PredictConfig) -> int:
    """Predict all experiments of a run; see contract.md for what is written."""
    config.validate_workers()
    check_device(config.device)
    torch.set_num_threads(config.threads or cores())
    velocity = velocity_folders(config)
    unet = tuple(folder for folder in config.models if folder not in velocity)
    asked = "unet" in config.method or (not config.method and (unet or not config.models))
    both = bool(asked and (unet or not velocity or unet_folders(config.run)))
    for folder in velocity:
        if config.ssh:
            from learning.velocity.satellite import predict_velocity_satellite

            out = config.out or config.run
            predict_velocity_satellite(config, folder, out / folder.name if both or len(velocity) > 1 else out)
        else:
            from learning.velocity.predict import predict_velocity

            predict_velocity(config, folder)
    return predict_unet(dataclasses.replace(config, models=unet)) if both else 0


def unet_folders(run: Path, inputs: str = "*") -> tuple[Path, ...]:
    """Folders of networks of binned PDFs of a run."""
    return tuple(sorted({path.parent for path in run.glob(f"w*/models/{inputs}/member-*[0-9].safetensors")}))


def velocity_folders(config: PredictConfig) -> list[Path]:
    """Folders of networks of velocities among those given, or all of the run; none where --method leaves them out.

    Raises
    ------
    OptionError
        --method velocity, and there are none.
    """
    if config.method and "velocity" not in config.method:
        return []
    from learning.velocity.predict import found_models

    found = [folder for folder in config.models if folder.name.startswith("velocity-")]
    if not config.models:
        found = [folder for folder in found_models(config.run) if not config.ssh or folder.name.endswith("sst-ssh")]
    if not found and "velocity" in config.method:
        raise OptionError(
            f"{config.run} holds no networks of velocities; run python -m learning.fit --run {config.run} --method velocity"
        )
    return found


def predict_unet(config: PredictConfig) -> int:
    """Predict with networks of binned PDFs."""
    inputs = "sst-ssh" if config.ssh else "*"
    folders = config.models or unet_folders(config.run, inputs)
    if not folders:
        kind = "models of sst-ssh" if config.ssh else "models"
        raise OptionError(f"{config.run} holds no {kind}; run python -m learning.fit --run {config.run}, or give --models")
    if config.sst and not config.ssh:
        raise OptionError("--sst needs --ssh as well: networks take sea surface height")
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(config.client(lambda text: print(text, flush=True))) if config.distributed else None
        if config.ssh:
            predict_satellite(config, folders, client)
            return 0
        for folder in folders:
            predict_run(config, folder, client)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(PredictConfig, main, prog="learning.predict"))
