"""From finished cohorts to stores: positions in degrees and kilometres, PDFs, and which periods are in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from data.command import read_json, write_json
from data.errors import cannot_write
from data.ocean import Ocean
from lagrangian.advection import REACHED
from lagrangian.binning import count_crossings
from lagrangian.campaign import Cohort, CohortResult, observations_per_path
from lagrangian.config import RunConfig, speed_folder
from lagrangian.experiments import Design
from lagrangian.stores import (
    NO_TIME,
    create_particles,
    create_pdf,
    create_trajectories,
    finish,
    partial_path,
)

PROGRESS = "progress.json"


@dataclass(frozen=True)
class SpeedSummary:
    """How the particles of one sinking speed ended: number by status, and share that reached the last level."""

    w: float
    released: int
    by_status: dict[int, int]


class SpeedResults:
    """The stores of one sinking speed, filled a period at a time and resumable.

    Parameters
    ----------
    folder : Path
        ``OUT/w080``.
    """

    def __init__(self, folder: Path, config: RunConfig, design: Design, ocean: Ocean, w: float):
        self.folder, self.config, self.design, self.ocean, self.w = folder, config, design, ocean, w
        self.names = ["particles.zarr", "pdf.zarr"] + (["trajectories.zarr"] if config.trajectories else [])
        self.done: set[int] = set()
        if self.complete:
            self.done = set(range(design.n_periods))
            return
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / PROGRESS).exists() and all(self._where(name).exists() for name in self.names):
            self.done = set(read_json(folder / PROGRESS)["periods_done"])
        else:
            self._create()

    @classmethod
    def of(cls, out: Path, config: RunConfig, design: Design, ocean: Ocean, w: float) -> SpeedResults:
        """The results of speed ``w`` (m/d) under the run folder ``out``."""
        return cls(out / speed_folder(w), config, design, ocean, w)

    @property
    def complete(self) -> bool:
        """Whether all stores have their names."""
        return all((self.folder / name).exists() for name in self.names)

    def _where(self, name: str) -> Path:
        final = self.folder / name
        return final if final.exists() else partial_path(self.folder, name)

    def _create(self) -> None:
        arguments = (self.config, self.design, self.ocean, self.w)
        create_particles(partial_path(self.folder, "particles.zarr"), *arguments)
        create_pdf(partial_path(self.folder, "pdf.zarr"), *arguments)
        if self.config.trajectories:
            create_trajectories(partial_path(self.folder, "trajectories.zarr"), *arguments, observations_per_path(self.config))
        write_json(self.folder / PROGRESS, {"periods_done": []})

    def missing(self) -> list[Cohort]:
        """Cohorts not yet in the stores."""
        return [Cohort(period, self.w) for period in range(self.design.n_periods) if period not in self.done]

    def write(self, result: CohortResult) -> None:
        """Put one cohort into the stores and note it.

        Raises
        ------
        StoreError
            The disk is full or cannot be written; what was noted before stays valid.
        """
        try:
            self._write(result)
        except OSError as error:
            raise cannot_write(self.folder, error) from None
        self.done.add(result.cohort.period)
        write_json(self.folder / PROGRESS, {"periods_done": sorted(self.done)})

    def _write(self, result: CohortResult) -> None:
        design, grid = self.design, self.ocean.grid
        n_positions, n_particles, n_levels = design.n_positions, design.n_particles, len(self.config.levels)
        first = result.cohort.period * n_positions
        rows = slice(first, first + n_positions)
        shape = (n_positions, n_particles, n_levels)
        xi, eta, time = (result.crossings[..., k].reshape(shape) for k in range(3))
        members = np.arange(n_particles) % design.n_members
        xi0, eta0 = design.release_xi[:, members], design.release_eta[:, members]
        lon, lat = grid.position(xi, eta)
        x, y = grid.displacement_km(xi, eta, xi0[..., None], eta0[..., None])
        lon0, lat0 = grid.position(xi0, eta0)
        delay = np.repeat(design.release_delay, design.n_members)
        release = design.starts[result.cohort.period].astype("datetime64[s]") + delay
        release = (release - np.datetime64("1970-01-01", "s")).astype(np.int64)
        store = zarr.open_group(str(self._where("particles.zarr")), mode="r+", use_consolidated=False)
        store["x"][rows], store["y"][rows] = x.astype(np.float32), y.astype(np.float32)
        store["lon"][rows], store["lat"][rows] = lon, lat
        store["time"][rows] = np.where(np.isfinite(time), np.rint(np.nan_to_num(time)), NO_TIME).astype(np.int64)
        store["status"][rows] = result.status.reshape(shape[:2])
        store["release_time"][rows] = np.broadcast_to(release, shape[:2])
        store["release_lon"][rows], store["release_lat"][rows] = lon0, lat0
        counts, reached = count_crossings(x.astype(np.float32), y.astype(np.float32))
        store = zarr.open_group(str(self._where("pdf.zarr")), mode="r+", use_consolidated=False)
        store["counts"][rows] = counts.astype(store["counts"].dtype)
        store["reached"][rows] = reached
        if result.path is not None:
            self._write_paths(result, release)

    def _write_paths(self, result: CohortResult, release: np.ndarray) -> None:
        design = self.design
        n = design.n_positions * design.n_particles
        rows = slice(result.cohort.period * n, (result.cohort.period + 1) * n)
        xi, eta, z = (result.path[..., k].astype(np.float64) for k in range(3))
        lon, lat = self.ocean.grid.position(xi, eta)
        every = round(3600 * self.config.trajectories)
        release = np.tile(release, design.n_positions)[:, None]
        obs = np.arange(result.path.shape[1])[None, :]
        time = np.where(obs == 0, release, -(-release // every) * every - obs * every)
        store = zarr.open_group(str(self._where("trajectories.zarr")), mode="r+", use_consolidated=False)
        store["lon"][rows], store["lat"][rows], store["z"][rows] = lon, lat, z.astype(np.float32)
        store["time"][rows] = np.where(np.isfinite(z), time, NO_TIME)

    def close(self) -> None:
        """Name the stores, once every period is in."""
        if self.complete or len(self.done) < self.design.n_periods:
            return
        for name in self.names:
            partial = partial_path(self.folder, name)
            if partial.exists():
                finish(partial)
        (self.folder / PROGRESS).unlink(missing_ok=True)

    def summary(self) -> SpeedSummary:
        """Count particles by status."""
        status = zarr.open_group(str(self._where("particles.zarr")), mode="r")["status"][...]
        values, counts = np.unique(status, return_counts=True)
        by_status = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
        by_status.setdefault(REACHED, 0)
        return SpeedSummary(self.w, int(status.size), by_status)
