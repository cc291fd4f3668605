"""How the predictions suffer where the satellite sees less: networks fixed, test inputs degraded (paper Fig. 3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from learning.ensemble import Ensemble

#: Effective resolutions that are tried, km.
SSH_KM = (10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 160.0, 200.0)
SST_KM = (10.0, 28.0, 60.0, 100.0, 180.0)
BATCH = 48
#: How many they are in all.
RESOLUTIONS = len(SSH_KM) + len(SST_KM)


@dataclass(frozen=True, eq=False)
class ResolutionTest:
    """The experiments of one sinking speed that the test is made on.

    Attributes
    ----------
    ensemble : Ensemble
    level : int
        Number of the export level.
    samples : RunSamples
        The run, fields as they are stored, of the instants of the experiments alone.
    chosen : (n,) int
        Numbers of the experiments.
    truth : (n, y, x)
        Their smoothed PDFs at the export level.
    block : (n,) int
        Their resampling blocks.
    """

    ensemble: Ensemble
    level: int
    samples: RunSamples
    chosen: np.ndarray
    truth: np.ndarray
    block: np.ndarray

    @classmethod
    def of(cls, speed: SpeedRun, models: Path, split: str = "test", *, limit: int = 288, seed: int = 0) -> ResolutionTest:
        """Draw at most ``limit`` experiments of a split with ``seed``; ``models``: folder of the members of ``sst-ssh``.

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
        drawn = np.flatnonzero((speed.split == split) & base.usable)
        if drawn.size == 0:
            raise InputError(f"no {split} experiment at {speed.w:g} m/d has fields and particles at every level")
        if drawn.size > limit:
            drawn = np.sort(np.random.default_rng(seed).choice(drawn, limit, replace=False))
        base = only_instants_of(base, drawn)
        block = block_of(speed.store["collection_start"].values[drawn])
        counts, reached = (speed.store[name][drawn, speed.level].values for name in ("counts", "reached"))
        truth = smooth_pdf((counts / reached.astype(np.float32)[:, None, None]).astype(np.float32))
        return cls(ensemble, speed.level, base, drawn, truth, block)


def _parts(experiments: np.ndarray) -> list[np.ndarray]:
    return [experiments[part] for part in batches(experiments.size, BATCH)]


def resolution_scores(
    speed: SpeedRun, models: Path, split: str = "test", *, ssh_km=SSH_KM, sst_km=SST_KM, limit: int = 288, seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> pd.DataFrame:  # fmt: skip
    """:func:`resolution_tables` of one sinking speed (:meth:`ResolutionTest.of`)."""
    test = ResolutionTest.of(speed, models, split, limit=limit, seed=seed)
    return resolution_tables([test], ssh_km=ssh_km, sst_km=sst_km, seed=seed, step=step)[0]


def resolution_tables(
    tests: Sequence[ResolutionTest], *, ssh_km=SSH_KM, sst_km=SST_KM, seed: int = 0, step: Callable[[], None] = lambda: None
) -> list[pd.DataFrame]:  # fmt: skip
    """Scores at the export level for each resolution of a variable, the other at the training's resolution; a table a speed.

    Networks of several speeds that share their body and their experiments do together what comes before their own weights.

    Parameters
    ----------
    tests : sequence of ResolutionTest
        A speed each.
    seed : int
        Of the intervals.
    step : callable
        Called after each resolution of each speed.

    Returns
    -------
    list of DataFrame
        variable, resolution_km, n, bl_mean, valid_percent and the 95 % intervals ..._low, ..._high of both.
    """
    rows: list[list[dict]] = [[] for _ in tests]
    for group in _groups(tests):
        first = tests[group[0]]
        trained = first.ensemble.spec
        scored: dict[tuple, list[dict]] = {}  # the lists of both variables hold the training's resolutions
        for variable, resolutions in (("ssh", ssh_km), ("temp", sst_km)):
            for resolution in resolutions:
                spec = dataclasses.replace(trained, resolution_km={**trained.resolution_km, variable: resolution})
                key = tuple(sorted(spec.resolution_km.items()))
                if key not in scored:
                    scored[key] = _scores([tests[number] for number in group], spec, seed)
                for number, values in zip(group, scored[key], strict=True):
                    rows[number].append({"variable": variable, "resolution_km": resolution, "n": first.chosen.size, **values})
                    step()
    return [pd.DataFrame(entries) for entries in rows]


def _groups(tests: Sequence[ResolutionTest]) -> list[list[int]]:
    """Numbers of the tests in groups whose networks share their bodies and whose inputs are the same."""
    from learning.ensemble import of_one_body

    groups: list[list[int]] = []
    for alike in of_one_body([test.ensemble for test in tests]):
        subgroups: list[list[int]] = []
        for number in alike:
            group = next((group for group in subgroups if _same_inputs(tests[group[0]], tests[number])), None)
            subgroups.append([number]) if group is None else group.append(number)
        groups += subgroups
    return groups


def _same_inputs(one: ResolutionTest, two: ResolutionTest) -> bool:
    a, b = one.samples, two.samples
    return (
        a.run == b.run
        and np.array_equal(one.chosen, two.chosen)
        and np.array_equal(a.fields.times[a.instants[one.chosen]], b.fields.times[b.instants[two.chosen]])
        and np.array_equal(a.offset[one.chosen], b.offset[two.chosen])
    )


def _scores(tests: list[ResolutionTest], spec: InputSpec, seed: int) -> list[dict]:
    """Scores of speeds of one body and the same inputs, at the resolutions of ``spec``."""
    first = tests[0]
    samples = dataclasses.replace(first.samples, fields=degraded(first.samples.fields, spec))
    bl: list[list[np.ndarray]] = [[] for _ in tests]
    for part, rows in zip(_parts(first.chosen), batches(first.chosen.size, BATCH), strict=True):
        inputs = samples.inputs(part, first.ensemble.normalisation)
        features = first.ensemble.features(inputs) if len(tests) > 1 else None
        for losses, test in zip(bl, tests, strict=True):
            guess = test.ensemble.predict(inputs, test.level, features)[0][:, 0]
            losses.append(bhattacharyya_loss(test.truth[rows], guess))
    scored = zip(map(np.concatenate, bl), tests, strict=True)
    return [
        means_with_intervals({"bl_mean": loss, "valid_percent": 100 * is_valid(loss)}, test.block, seed) for loss, test in scored
    ]


def only_instants_of(samples: RunSamples, experiments: np.ndarray) -> RunSamples:
    """The samples with the fields of the chosen experiments' instants alone; other experiments lose their inputs."""
    used = np.unique(samples.instants[experiments])
    fields = dataclasses.replace(samples.fields, times=samples.fields.times[used], values=samples.fields.values[used])
    instants = np.full_like(samples.instants, -1)
    instants[experiments] = np.searchsorted(used, samples.instants[experiments])
    return dataclasses.replace(samples, fields=fields, instants=instants)


def degraded(fields: RegionalFields, spec: InputSpec) -> RegionalFields:
    """Fields as stored, at the effective resolutions of ``spec``: what :meth:`RegionalFields.read` gives for it."""
    values = fields.values.copy()
    for channel, (name, _) in enumerate(spec.variables):
        if name in spec.resolution_km:
            # without the margin, which the reader adds after
            inner = fields.values[:, channel, 1:-1, 1:-1]
            maps = to_resolution(inner, fields.frame.spacing_km, spec.resolution_km[name], spec.method)
            values[:, channel] = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return dataclasses.replace(fields, spec=spec, values=values)
