"""Reads a run folder: options, ocean, experiments, and the part of the record that each experiment belongs to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.command import read_json
from data.errors import StoreError
from data.oceans import OceanSource
from data.sites import Site
from lagrangian.binning import smooth_pdf
from lagrangian.design import Design, speed_folder
from lagrangian.fields import open_fields
from lagrangian.integration import Integration
from lagrangian.record import recorded_design, recorded_integration, recorded_source
from lagrangian.stores import open_store
from learning.folders import found_speeds
from learning.inputs import InputSpec
from learning.samples import instants_before
from learning.split import Split, gap_days, split_by_time


@dataclass(frozen=True)
class RunOptions:
    """The options of a run: its design, its numerics, and the source of its ocean."""

    design: Design
    integration: Integration
    record: dict = field(default_factory=dict, compare=False, repr=False)

    @property
    def source(self) -> OceanSource:
        """Where the ocean comes from; StoreError where a program handed it in."""
        return recorded_source(self.record)

    def changed(self, **changes) -> RunOptions:
        """The options with another design: ``speeds``, ``trap_depth``, …"""
        return dataclasses.replace(self, design=dataclasses.replace(self.design, **changes))


def run_options(run: Path) -> RunOptions:
    """The options that a run was made with.

    Raises
    ------
    StoreError
        The folder holds no run.json.
    """
    path = Path(run) / "run.json"
    if not path.exists():
        raise StoreError(
            f"{path} does not exist: velocities need the run's ocean; run python -m lagrangian.run --out {run} first"
        )
    record = read_json(path)
    return RunOptions(recorded_design(record), recorded_integration(record), record)


def learnt_at(folder: Path, run: Path) -> Site:
    """The place of the run that holds the networks of ``folder``; that of ``run`` where they were put elsewhere."""
    home = Path(folder).resolve().parents[1]
    return run_options(home if (home / "run.json").exists() else run).design.place


@dataclass(frozen=True, eq=False)
class Experiments:
    """The experiments of a run, the same at all its speeds.

    Attributes
    ----------
    start, end : (experiment,) datetime64[s]
    period : (experiment,) int
    usable : (experiment,) bool
        All levels were reached at every speed, and the fields of a U-Net's inputs exist: the same parts for every method.
    levels : (level,) float
    offset : (experiment, 2) float
        km east, north of the site.
    """

    start: np.ndarray
    end: np.ndarray
    period: np.ndarray
    usable: np.ndarray
    levels: np.ndarray
    offset: np.ndarray

    @classmethod
    def open(cls, run: Path, speeds: tuple[float, ...] = ()) -> Experiments:
        """Read the coordinates of a run's PDFs.

        Raises
        ------
        StoreError
            There are none.
        """
        speeds = speeds or found_speeds(run)
        stores = [open_store(Path(run) / speed_folder(w) / "pdf.zarr", "pdf") for w in speeds]
        first_store = stores[0]
        reached = np.all([(store["reached"].values > 0).all(axis=1) for store in stores], axis=0)
        start, end = (first_store[name].values.astype("datetime64[s]") for name in ("collection_start", "collection_end"))
        spec = InputSpec.of("sst-ssh")
        times = open_fields(Path(run) / "fields.zarr")["time"].values.astype("datetime64[s]")
        has_fields = (instants_before(end, times, spec.lags_days) >= 0).all(axis=1)
        offset = np.stack([first_store["trap_dx"].values, first_store["trap_dy"].values], axis=1)
        return cls(start, end, first_store["period"].values, reached & has_fields, first_store["level"].values, offset)

    def split(self, *, test: bool) -> tuple[Split, float]:
        """Training, validation and test experiments as :mod:`learning.plan` splits them, and the days between."""
        gap = gap_days(InputSpec.of("sst-ssh").lags_days, self.start, self.end)
        return split_by_time(self.start, self.end, self.usable, gap, test=test), gap


def training_means(run: Path, w: float, experiments: np.ndarray, batch: int = 72) -> tuple[np.ndarray, np.ndarray]:
    """(level, y, x) smoothed mean PDF of some experiments, and the constant PDF of least expected BL: (mean of sqrt P)^2.

    Both sum to 1. Source: method.md section 7.
    """
    store = open_store(Path(run) / speed_folder(w) / "pdf.zarr", "pdf")
    shape = store["counts"].shape[1:]
    mean, root = np.zeros(shape), np.zeros(shape)
    for first in range(0, len(experiments), batch):
        rows = experiments[first : first + batch]
        reached = store["reached"][rows].values.astype(np.float32)
        pdf = smooth_pdf(store["counts"][rows].values.astype(np.float32) / np.maximum(reached, 1)[..., None, None])
        mean += pdf.sum(axis=0, dtype=np.float64)
        root += np.sqrt(pdf).sum(axis=0, dtype=np.float64)
    mean, root = mean / len(experiments), (root / len(experiments)) ** 2
    return tuple(pdf / pdf.sum(axis=(-2, -1), keepdims=True) for pdf in (mean, root))
