"""How much of the true catchment's gain any maps of SSH could keep: the satellite twin experiment with the true flow.

    python -m evaluation.twin_experiment --models runs/learn --method velocity --years 6 --out runs/twin-experiment
    python -m tests.benchmarks.gain --experiment runs/twin-experiment --source runs/learn [--members 48]

The experiment leaves the true catchments, the maps of chlorophyll and the flux record. Here catchments are made, at the site and
for all of its cups, of the true velocities, which no network knows, every 5 days on 16 km:

- ``true flow``: as they are.
- ``smoothed to 80 km``: as well as maps of SSH show them, at all depths.
- ``and members``: the same with the members of an ensemble, whose residuals are what smoothing takes away from the flow of
  SOURCE's validation days. Their mean is the best that can be told from the flow at 80 km, if the members are like the truth.

Each is correlated with the flux as predictions are. ``kept`` is its R² less that of the better box, over the same of the true
catchment.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from data.netcdf import write_dataset
from evaluation import correlation
from evaluation.twin_experiment import catchment_scores, summarise
from lagrangian.config import SINKING_SPEEDS, speed_folder
from lagrangian.integration import Integration
from learning.catchment_file import catchment_dataset
from learning.inputs import SSH_RESOLUTION_KM, to_resolution
from learning.velocity.ensemble import predict_catchments
from learning.velocity.fit import prepare
from learning.velocity.maps import Maps
from learning.velocity.model import VelocityModel, velocity_folder
from learning.velocity.residuals import Residuals
from learning.velocity.runs import Experiments, run_options
from learning.velocity.targets import Velocities
from tests.benchmarks.velocity import smoothed_truth

#: Periods of one sweep.
PERIODS = 60


def small_scales(source: Path, model: VelocityModel) -> Residuals:
    """What maps of 80 km leave out of the flow of the validation days of ``source``."""
    velocities, experiments = prepare(source), Experiments.open(source)
    days = experiments.split(test=True)[0].validation
    held = (velocities.times >= experiments.start[days].min()) & (velocities.times <= experiments.end[days].max())
    psi = velocities.anomaly(model.flow)[held]
    smooth = to_resolution(psi, velocities.lattice.frame.spacing_km, SSH_RESOLUTION_KM)
    every = float(np.median(np.diff(velocities.times)) / np.timedelta64(86400, "s"))
    return Residuals.of(smooth, psi, velocities.lattice, every)


def catchments_of(
    truth: Path, model: VelocityModel, velocities: Velocities, at: Callable, members: int
) -> dict[float, np.ndarray]:  # fmt: skip
    """PDFs (cup, y, x) at 200 m by sinking speed, of the cups whose true catchments ``truth`` holds."""
    design = run_options(truth).design
    maps = Maps.of(model.spec, velocities.times, velocities.surface, velocities.lattice.frame.spacing_km)
    out = {}
    for w in SINKING_SPEEDS:
        ends = ends_of(truth, w)
        starts = ends - np.timedelta64(round(86400 * design.collection), "s")
        options = {"members": members, "levels": np.array([len(design.levels) - 1]), "predicted": at,
                   "integration": Integration(diffusivity=run_options(truth).integration.diffusivity, threads=1)}  # fmt: skip
        options |= {} if members else {"particles": 36}
        parts = []
        for first in range(0, starts.size, PERIODS):
            some = dataclasses.replace(design, speeds=(w,))
            found = predict_catchments(model, maps, velocities.lattice, some, starts[first : first + PERIODS], **options)
            parts += [one.mean[0, 0] for one in found]
        out[w] = np.stack(parts)
    return out


def ends_of(truth: Path, w: float) -> np.ndarray:
    """Ends of the cups that a true catchment is known of."""
    with xr.open_dataset(truth / f"catchment_{speed_folder(w)}.nc") as file:
        return file["window_end"].values.astype("datetime64[s]")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", type=Path, required=True, help="--out of evaluation.twin_experiment")
    parser.add_argument("--source", type=Path, required=True, help="run of another ocean, with networks of velocities")
    parser.add_argument("--members", type=int, default=48)
    options = parser.parse_args()
    torch.set_num_threads(1)
    truth = options.experiment / "truth"
    model = VelocityModel.load(velocity_folder(options.source, "sst-ssh"))
    velocities, site = prepare(truth), run_options(truth).design.place
    members = dataclasses.replace(model, residuals=small_scales(options.source, model))
    smoothed = smoothed_truth(velocities, model.flow, SSH_RESOLUTION_KM)
    cases = {
        "true flow": (model, smoothed_truth(velocities, model.flow, 0.0), 0),
        "smoothed to 80 km": (model, smoothed, 0),
        "and members": (members, smoothed, options.members),
    }
    table = pd.read_csv(truth / "correlation.csv")
    for name, (known, at, count) in cases.items():
        folder = options.experiment / f"bound-{'-'.join(name.split())}"
        folder.mkdir(exist_ok=True)
        for w, pdf in catchments_of(truth, known, velocities, at, count).items():
            write_dataset(folder / f"catchment_{speed_folder(w)}.nc",
                          catchment_dataset(site, w, ends_of(truth, w), pdf, source=name))  # fmt: skip
        correlation.main(correlation.CorrelationConfig(
            predictions=(str(folder / "catchment_w*.nc"),), chlorophyll=(f"{options.experiment}/products/chl_*.nc",),
            flux=options.experiment / "flux.csv", exclude_years=(), draws=20, out=folder))  # fmt: skip
        scores = catchment_scores(options.experiment, folder.name)
        summary = summarise({"truth": table, "predicted": pd.read_csv(folder / "correlation.csv")})
        print(f"\n{name}, {count} members")
        for shown in (scores, summary):
            print(shown.to_string(index=False, float_format=lambda value: f"{value:.2f}"), flush=True)


if __name__ == "__main__":
    main()
