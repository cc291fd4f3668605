"""``python -m data.twin.spinup``: compute the spun-up state that ships with the package.

The default ocean starts from random eddies and runs until its energy is steady; its last streamfunction and surface temperature
are kept as 16-bit integers (a few hundred kB). The shipped file was made with ``--years 5``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from data.bounds import bounds
from data.command import run_command
from data.errors import OptionError
from data.progress import Progress
from data.twin.defaults import default_parameters
from data.twin.record import SPUN_UP
from data.twin.solver import Model, State

#: Velocity (m/s) and wavenumber index of the eddies that the spin-up starts from, and their strength in each layer.
FIRST_SPEED, FIRST_INDEX, FIRST_WIDTH = 0.15, 10.0, 4.0
FIRST_SHAPE = (1.0, 0.8, 0.5, 0.35, 0.3, 0.3)


@dataclass(frozen=True)
class SpinUpConfig:
    """Spin up the twin ocean and write its state."""

    years: Annotated[float, *bounds(above=0, most=1000, unit="years")] = 5.0
    """Years of 365 days to run."""
    out: Path = SPUN_UP
    """File to write (.npz)."""


def first_state(model: Model) -> State:
    """Random eddies, deeper ones weaker."""
    p = model.parameters
    rng = np.random.default_rng(0)
    index = np.sqrt(model.k2) * p.length / (2 * np.pi)
    psi = model.transform(rng.standard_normal((p.n, p.n))) * np.exp(-(((index - FIRST_INDEX) / FIRST_WIDTH) ** 2))
    u, v = model.velocity(psi)
    psi = model.physical(psi) * FIRST_SPEED / np.sqrt(np.mean(u**2 + v**2))
    return model.from_streamfunction(np.array(FIRST_SHAPE)[:, None, None] * psi)


def pack(model: Model, state: State) -> dict[str, Any]:
    """psi and tracer as int16 with their scales."""
    psi, tracer = model.physical(model.streamfunction(state.q)), model.physical(state.tracer)
    psi_scale, tracer_scale = np.abs(psi).max(axis=(1, 2)) / 32000, np.abs(tracer).max() / 32000
    return {
        "psi": np.rint(psi / psi_scale[:, None, None]).astype(np.int16),
        "psi_scale": psi_scale,
        "tracer": np.rint(tracer / tracer_scale).astype(np.int16),
        "tracer_scale": np.array(tracer_scale),
    }


def main(config: SpinUpConfig) -> int:
    """Run and write."""
    if config.years <= 0:
        raise OptionError(f"--years {config.years:g}: must be greater than 0")
    model = Model(default_parameters())
    state = first_state(model)
    per_day = round(86400 / model.parameters.dt)
    days = round(365 * config.years)
    with Progress("spinning up", "day") as bar:
        for day in range(days):
            for _ in range(per_day):
                model.step(state)
            bar.update(day + 1, days)
            if day % 90 == 89:
                u, v = model.velocity(model.streamfunction(state.q))
                speed = 100 * np.sqrt((u**2 + v**2).mean(axis=(1, 2)))
                print(f"year {(day + 1) / 365:.2f}: rms speed by layer {np.array2string(speed, precision=1)} cm/s", flush=True)
    np.savez_compressed(config.out, **pack(model, state))
    print(f"written: {config.out}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(SpinUpConfig, main, prog="data.twin.spinup"))
