"""How the predictions suffer where the satellite sees less: networks fixed, test inputs degraded (paper Fig. 3)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.experiments import blocks
from evaluation.results import SpeedRun
from evaluation.scores import bhattacharyya_loss, valid_percent
from lagrangian.binning import smooth_pdf
from learning.ensemble import Ensemble
from learning.samples import RegionalFields, RunSamples

#: Effective resolutions that are tried, km.
SSH_KM = (10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 160.0, 200.0)
SST_KM = (10.0, 28.0, 60.0, 100.0, 180.0)
BATCH = 48


def resolution_scores(
    speed: SpeedRun, models: Path, split: str = "test", *, ssh_km=SSH_KM, sst_km=SST_KM, limit: int = 288, seed: int = 0
) -> pd.DataFrame:
    """Scores at the export level for each resolution of one variable, the other at that of the training.

    Parameters
    ----------
    speed : SpeedRun
    models : Path
        Folder of the members of ``sst-ssh``.
    split : str
        Experiments that are scored.
    limit : int
        At most so many of them, drawn with ``seed``; the same for every resolution.

    Returns
    -------
    DataFrame
        variable, resolution_km, n, bl_mean, valid_percent.
    """
    ensemble = Ensemble.load(models)
    base = RunSamples.open(speed.run, (speed.w,), ensemble.spec)
    chosen = np.flatnonzero((speed.split == split) & base.usable)
    if chosen.size > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, limit, replace=False))
    parts = [chosen[part] for part in blocks(chosen.size, BATCH)]
    truth = smooth_pdf(np.concatenate([base.targets(part)[:, 0, speed.level].numpy() for part in parts]))
    rows = []
    for variable, resolutions in (("ssh", ssh_km), ("temp", sst_km)):
        for resolution in resolutions:
            spec = dataclasses.replace(ensemble.spec, resolution_km={**ensemble.spec.resolution_km, variable: resolution})
            samples = dataclasses.replace(base, fields=RegionalFields.read(speed.run, spec))
            guess = np.concatenate(
                [ensemble.predict(samples.inputs(part, ensemble.normalisation))[0][:, speed.level] for part in parts]
            )
            bl = bhattacharyya_loss(truth, guess)
            rows.append({"variable": variable, "resolution_km": resolution, "n": chosen.size, "bl_mean": float(bl.mean()),
                         "valid_percent": valid_percent(bl)})  # fmt: skip
    return pd.DataFrame(rows)
