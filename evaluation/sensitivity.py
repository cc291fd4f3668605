"""How the predictions suffer where the satellite sees less: networks fixed, test inputs degraded (paper Fig. 3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from data.commands import need_module
from data.errors import InputError
from evaluation.experiments import batches
from evaluation.intervals import block_of
from evaluation.results import SpeedRun, means_with_intervals
from evaluation.scores import bhattacharyya_loss, is_valid
from lagrangian.binning import smooth_pdf
from learning.inputs import InputSpec, to_resolution
from learning.samples import RegionalFields, RunSamples

#: Effective resolutions that are tried, km.
SSH_KM = (10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 160.0, 200.0)
SST_KM = (10.0, 28.0, 60.0, 100.0, 180.0)
BATCH = 48
#: How many they are in all.
RESOLUTIONS = len(SSH_KM) + len(SST_KM)


def resolution_scores(
    speed: SpeedRun, models: Path, split: str = "test", *, ssh_km=SSH_KM, sst_km=SST_KM, limit: int = 288, seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> pd.DataFrame:  # fmt: skip
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
    seed : int
        Of the draw and of the intervals.
    step : callable
        Called after each resolution.

    Returns
    -------
    DataFrame
        variable, resolution_km, n, bl_mean, valid_percent and the 95 % intervals ..._low, ..._high of both.

    Raises
    ------
    InputError
        No experiment of that split can be predicted.
    """
    need_module("torch")
    from learning.ensemble import Ensemble

    ensemble = Ensemble.load(models)
    as_stored = dataclasses.replace(ensemble.spec, resolution_km={})
    base = RunSamples.open(speed.run, (speed.w,), as_stored)
    chosen = np.flatnonzero((speed.split == split) & base.usable)
    if chosen.size == 0:
        raise InputError(f"no {split} experiment at {speed.w:g} m/d has fields and particles at every level")
    if chosen.size > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, limit, replace=False))
    base = only_instants_of(base, chosen)
    parts = [chosen[part] for part in batches(chosen.size, BATCH)]
    block = block_of(speed.store["collection_start"].values[chosen])
    truth = smooth_pdf(np.concatenate([base.targets(part)[:, 0, speed.level].numpy() for part in parts]))
    rows = []
    scored: dict[tuple, dict] = {}  # the resolutions of the training stand in the lists of both variables
    for variable, resolutions in (("ssh", ssh_km), ("temp", sst_km)):
        for resolution in resolutions:
            spec = dataclasses.replace(ensemble.spec, resolution_km={**ensemble.spec.resolution_km, variable: resolution})
            key = tuple(sorted(spec.resolution_km.items()))
            if key not in scored:
                samples = dataclasses.replace(base, fields=degraded(base.fields, spec))
                guess = np.concatenate(
                    [ensemble.predict(samples.inputs(part, ensemble.normalisation), speed.level)[0][:, 0] for part in parts]
                )
                bl = bhattacharyya_loss(truth, guess)
                scored[key] = means_with_intervals({"bl_mean": bl, "valid_percent": 100 * is_valid(bl)}, block, seed)
            rows.append({"variable": variable, "resolution_km": resolution, "n": chosen.size, **scored[key]})
            step()
    return pd.DataFrame(rows)


def only_instants_of(samples: RunSamples, chosen: np.ndarray) -> RunSamples:
    """The samples with the fields of the chosen experiments' instants alone; of the others, none can be cut any more."""
    used = np.unique(samples.instants[chosen])
    fields = dataclasses.replace(samples.fields, times=samples.fields.times[used], values=samples.fields.values[used])
    instants = np.full_like(samples.instants, -1)
    instants[chosen] = np.searchsorted(used, samples.instants[chosen])
    return dataclasses.replace(samples, fields=fields, instants=instants)


def degraded(fields: RegionalFields, spec: InputSpec) -> RegionalFields:
    """Fields as stored, at the effective resolutions of ``spec``: what :meth:`RegionalFields.read` gives for it."""
    values = fields.values.copy()
    for channel, (name, _) in enumerate(spec.variables):
        if name in spec.resolution_km:
            # without the margin, which the reader adds after
            inner = fields.values[:, channel, 1:-1, 1:-1]
            one = to_resolution(inner, fields.frame.spacing_km, spec.resolution_km[name], spec.method)
            values[:, channel] = np.pad(one, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return dataclasses.replace(fields, spec=spec, values=values)
