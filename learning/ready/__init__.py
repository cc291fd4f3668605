"""The networks that the toolkit brings: velocities learnt from idealised oceans, so that maps are answered at once.

One takes SSH and SST, the other the depth of the sea floor as well. ``python -m tests.benchmarks.ready_network`` makes them
again. They are teachers, not a result: they never saw a real ocean, and what they say of a real one is worth as much as the
idealised ocean is like it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from data.command import read_json
from learning.config import PredictConfig

#: A run's folder as far as predictions from maps need one: run.json, and the networks.
FOLDER = Path(__file__).parent
MODELS = {inputs: FOLDER / "models" / f"velocity-{inputs}" for inputs in ("sst-ssh", "sst-ssh-bathymetry")}


def with_ready_network(config: PredictConfig) -> PredictConfig:
    """The options with the ready network's folder, where maps are given and no networks are named or in the default run."""
    if not config.ssh or config.models or config.run != PredictConfig().run or "unet" in config.method:
        return config
    if any(config.run.glob("**/member-*[0-9].safetensors")):
        return config
    speeds = tuple(read_json(FOLDER / "run.json")["configuration"]["w"])
    return dataclasses.replace(config, run=FOLDER, w=config.w or speeds, method=("velocity",), out=config.out or config.run)


def introduction(folder: Path, flagged: np.ndarray) -> list[str]:
    """The first notes of a prediction by the ready network; none for other networks.

    Parameters
    ----------
    folder : Path
        Of the networks.
    flagged : (date,) bool
        Inputs of the date are outside what the network learnt from.
    """
    if folder.resolve() not in [model.resolve() for model in MODELS.values()]:
        return []
    seeds = ", ".join(map(str, read_json(folder / "fit.json")["ocean_seeds"]))
    return [
        f"ready network: {int(flagged.sum())} of {flagged.size} dates have inputs outside what it learnt from; it is an "
        f"idealised teacher, trained on twin oceans (seeds {seeds}) and on no real sea: "
        "train one on a simulation of your site for results"
    ]
