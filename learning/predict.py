"""``python -m learning.predict``: catchments from fields, for every experiment of a run or for dates of satellite maps.

As a function, ``predict(networks, fields)``: catchments of fields in memory (:func:`learning.predicting.predict_catchments`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import types
from pathlib import Path

import torch

from data.bounds import need_distinct
from data.command import run_command
from data.cores import cores
from data.errors import OptionError, need
from data.sites import parse_site
from learning.config import PredictConfig
from learning.ensemble import check_device
from learning.folders import found_models
from learning.predicting import predict_catchments
from learning.ready import with_ready_network
from learning.satellite import predict_satellite
from learning.simulation import predict_run

#: Options that mean something with --ssh alone.
ONLY_WITH_MAPS = ("bathymetry", "site", "start", "end", "persist", "ssh_mean", "no_land_mass")


def main(config: PredictConfig) -> int:
    """Predict all experiments of a run; see contract.md for what is written."""
    config.validate_workers()
    _check_options(config)
    config = with_ready_network(config)
    check_device(config.device)
    torch.set_num_threads(config.threads or cores())
    velocity = velocity_folders(config)
    unet = tuple(folder for folder in config.models if folder not in velocity)
    required = "unet" in config.method or (not config.method and (unet or not config.models))
    with_unet = bool(required and (unet or not velocity or unet_folders(config.run)))
    for folder in velocity:
        if config.ssh:
            from learning.velocity.satellite import predict_velocity_satellite

            out = config.out or config.run
            if config.distributed:
                print(
                    "note: workers do the networks of binned PDFs; particles in predicted velocities are followed here",
                    flush=True,
                )
            predict_velocity_satellite(config, folder, out / folder.name if with_unet or len(velocity) > 1 else out)
        else:
            from learning.velocity.predict import predict_velocity

            with _client(config) as client:
                predict_velocity(config, folder, client)
    return predict_unet(dataclasses.replace(config, models=unet)) if with_unet else 0


def _check_options(config: PredictConfig) -> None:
    """OptionError for a value given twice, and for options of maps where no maps are given: they would be passed over."""
    need_distinct(config, "method", "w", "levels")
    if config.site is not None:
        parse_site(config.site)
    if config.ssh:
        return
    need(not config.sst, "--sst needs --ssh as well: networks take sea surface height")
    for name in ONLY_WITH_MAPS:
        need(
            getattr(config, name) is None or getattr(config, name) is False,
            f"--{name.replace('_', '-')} needs --ssh as well: without maps, the experiments of --run are predicted",
        )


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
        need(config.bathymetry is None, "--bathymetry needs --method velocity: binned PDFs are predicted without it")
        return []
    folders_found = [folder for folder in config.models if folder.name.startswith("velocity-")]
    if not config.models:
        seen = "sst-ssh" if config.bathymetry is None else "sst-ssh-bathymetry"
        folders_found = [folder for folder in found_models(config.run) if not config.ssh or folder.name.endswith(f"-{seen}")]
    if not folders_found and config.bathymetry is not None:
        raise OptionError(
            f"--bathymetry: {config.run} holds no networks of velocities that take it; run python -m learning.fit --run "
            f"{config.run} --method velocity --inputs sst-ssh-bathymetry, or leave it out"
        )
    if not folders_found and "velocity" in config.method:
        raise OptionError(
            f"{config.run} holds no networks of velocities; run python -m learning.fit --run {config.run} --method velocity"
        )
    return folders_found


def predict_unet(config: PredictConfig) -> int:
    """Predict with networks of binned PDFs."""
    inputs = "sst-ssh" if config.ssh else "*"
    folders = config.models or unet_folders(config.run, inputs)
    if not folders:
        kind = "models of sst-ssh" if config.ssh else "models"
        raise OptionError(f"{config.run} holds no {kind}; run python -m learning.fit --run {config.run}, or give --models")
    with _client(config) as client:
        if config.ssh:
            predict_satellite(config, folders, client)
            return 0
        predict_run(config, folders, client)
    return 0


def _client(config: PredictConfig):
    """A context: a Dask client where workers are asked for, else None."""
    return config.client(lambda text: print(text, flush=True)) if config.distributed else contextlib.nullcontext()


class _CallableModule(types.ModuleType):
    """The module of a command that can also be called as the function of its name (``from learning import predict``)."""

    def __call__(self, *arguments, **options):
        return predict_catchments(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    sys.exit(run_command(PredictConfig, main, prog="learning.predict"))
