"""From finished cohorts to stores: positions in degrees and kilometres, PDFs, and which periods are in.

Several processes may fill the stores of one run: each period is a chunk of its own in every array, and a file of its own in
``periods_done``, made when its chunks are in.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from data.command import one_line
from data.errors import StoreError, cannot_write
from data.ocean import Ocean
from data.times import whole_seconds
from lagrangian.advection import REACHED
from lagrangian.binning import count_crossings
from lagrangian.campaign import observations_per_path
from lagrangian.cohorts import Cohort, CohortResult
from lagrangian.config import RunConfig, speed_folder
from lagrangian.experiments import Design
from lagrangian.stores import (
    FILLED,
    NO_TIME,
    create_particles,
    create_pdf,
    create_trajectories,
    damaged_parts,
    finish,
    partial_path,
    put_chunk,
)

#: Folder of empty files, one for each period whose chunks are in all stores of a speed.
DONE = "periods_done"


def is_done(out: Path, cohort: Cohort) -> bool:
    """Whether a cohort is in the stores under the run folder ``out``."""
    folder = out / speed_folder(cohort.w)
    return (folder / DONE / f"{cohort.period:05d}").exists() or ((folder / "pdf.zarr").exists() and not (folder / DONE).exists())


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
    create : bool
        Whether to lay the stores out where there are none (not in a worker: what it would lay out is being filled by others).
    check : callable
        Called before anything is written or noted; may raise, to leave it.

    Raises
    ------
    StoreError
        The stores are not there and not to be made; or damaged so that they cannot be gone on with.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        design: Design,
        ocean: Ocean,
        w: float,
        *,
        create: bool = True,
        check: Callable[[], None] = lambda: None,
    ):
        self.folder, self.config, self.design, self.ocean, self.w = folder, config, design, ocean, w
        self.check = check
        self.names = ["particles.zarr", "pdf.zarr"] + (["trajectories.zarr"] if config.trajectories else [])
        self.marks = folder / DONE
        if self.complete:
            self.done = set(range(design.n_periods))
            if create:
                self._reopen_if_damaged()
            return
        self.done: set[int] = set()
        if self.marks.exists() and all(self._where(name).exists() for name in self.names):
            self.done = {int(path.name) for path in self.marks.glob("[0-9]*")}
            for name in self.names:
                self._check_metadata(name)
        elif create:
            self._create()
        else:
            raise StoreError(f"{folder} does not hold the stores that are to be filled; is it the same folder on all machines?")

    @classmethod
    def of(cls, out: Path, config: RunConfig, design: Design, ocean: Ocean, w: float, **options) -> SpeedResults:
        """The results of speed ``w`` (m/d) under the run folder ``out``."""
        return cls(out / speed_folder(w), config, design, ocean, w, **options)

    @property
    def complete(self) -> bool:
        """Whether all stores have their names."""
        return all((self.folder / name).exists() for name in self.names)

    def _where(self, name: str) -> Path:
        final = self.folder / name
        return final if final.exists() else partial_path(self.folder, name)

    def _check_metadata(self, name: str) -> None:
        """See that a store which is to be gone on with can be."""
        path = self._where(name)
        try:
            list(zarr.open_group(str(path), mode="r+", use_consolidated=False).arrays())
        except Exception as error:
            raise StoreError(f"{path} is damaged ({one_line(error)}); remove it and give the same command again") from error

    def _create(self) -> None:
        if self.marks.exists():
            shutil.rmtree(self.marks)
        arguments = (self.config, self.design, self.ocean, self.w)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            create_particles(partial_path(self.folder, "particles.zarr"), *arguments)
            create_pdf(partial_path(self.folder, "pdf.zarr"), *arguments)
            if self.config.trajectories:
                path = partial_path(self.folder, "trajectories.zarr")
                create_trajectories(path, *arguments, observations_per_path(self.config, self.w))
            self.marks.mkdir()  # last: with it the stores are laid out
        except OSError as error:
            raise cannot_write(self.folder, error) from None

    def missing(self) -> list[Cohort]:
        """Cohorts not yet in the stores."""
        return [Cohort(period, self.w) for period in range(self.design.n_periods) if period not in self.done]

    def write(self, result: CohortResult) -> None:
        """Put one cohort into the stores and, once it is on disk, note it.

        Raises
        ------
        StoreError
            The disk is full or cannot be written; what was noted before stays valid.
        """
        self.check()
        try:
            self._write(result)
            self.check()
            (self.marks / f"{result.cohort.period:05d}").touch()
        except OSError as error:
            raise cannot_write(self.folder, error) from None
        self.done.add(result.cohort.period)

    def _write(self, result: CohortResult) -> None:
        design, grid = self.design, self.ocean.grid
        period = result.cohort.period
        shape = (design.n_positions, design.n_particles, len(self.config.levels))
        xi, eta, time = (result.crossings[..., k].reshape(shape) for k in range(3))
        members = np.arange(design.n_particles) % design.n_members
        xi0, eta0 = design.release_xi[:, members], design.release_eta[:, members]
        lon, lat = grid.position(xi, eta)
        x, y = grid.displacement_km(xi, eta, xi0[..., None], eta0[..., None])
        lon0, lat0 = grid.position(xi0, eta0)
        delay = np.repeat(design.release_delay, design.n_members)
        release = whole_seconds(design.starts[period].astype("datetime64[s]") + delay)
        x, y = x.astype(np.float32), y.astype(np.float32)
        time = np.where(np.isfinite(time), np.rint(np.nan_to_num(time)), NO_TIME).astype(np.int64)
        self._put(
            "particles", period, x=x, y=y, lon=lon, lat=lat, time=time, status=result.status.reshape(shape[:2]),
            release_time=np.broadcast_to(release, shape[:2]), release_lon=lon0, release_lat=lat0,
        )  # fmt: skip
        counts, reached = count_crossings(x, y)
        self._put("pdf", period, counts=counts, reached=reached)
        if result.path is not None:
            self._write_paths(result, release)

    def _put(self, kind: str, period: int, **values: np.ndarray) -> None:
        """The chunks of one period of a store."""
        group = zarr.open_group(str(self._where(f"{kind}.zarr")), mode="r+", use_consolidated=False)
        for name in FILLED[kind]:
            put_chunk(group, name, period, values[name].astype(group[name].dtype))

    def _write_paths(self, result: CohortResult, release: np.ndarray) -> None:
        # a sweep records for as long as its slowest speed needs
        path = result.path[:, : observations_per_path(self.config, self.w)]
        xi, eta, z = (path[..., k].astype(np.float64) for k in range(3))
        lon, lat = self.ocean.grid.position(xi, eta)
        every = round(3600 * self.config.trajectories)
        release = np.tile(release, self.design.n_positions)[:, None]
        obs = np.arange(path.shape[1])[None, :]
        time = np.where(obs == 0, release, -(-release // every) * every - obs * every)
        time = np.where(np.isfinite(z), time, NO_TIME)
        self._put("trajectories", result.cohort.period, lon=lon, lat=lat, z=z, time=time)

    def close(self) -> None:
        """Check the stores and name them, once every period is in (whoever put it there).

        Raises
        ------
        StoreError
            A chunk is damaged. Its period counts as not done.
        """
        if not self.complete:
            self.done = {int(path.name) for path in self.marks.glob("[0-9]*")}
            if len(self.done) < self.design.n_periods:
                return
            damaged = self._damaged()
            if damaged:
                for period in damaged:
                    (self.marks / f"{period:05d}").unlink(missing_ok=True)
                raise StoreError(f"{self._told(damaged)}; give the same command again and they are made again")
            try:
                for name in self.names:
                    partial = partial_path(self.folder, name)
                    if partial.exists():
                        finish(partial)
            except OSError as error:
                raise cannot_write(self.folder, error) from None
        if self.marks.exists():
            shutil.rmtree(self.marks)

    def _damaged(self) -> dict[int, str]:
        """Periods of which a chunk is lost or damaged, each with its store."""
        damaged: dict[int, str] = {}
        for name in self.names:
            path = self._where(name)
            filled = FILLED[name.removesuffix(".zarr")]
            damaged |= {period: str(path) for period in damaged_parts(path, filled, self.design.n_periods)}
        return damaged

    def _told(self, damaged: dict[int, str]) -> str:
        first = min(damaged)
        return (
            f"{damaged[first]}: the chunks of {len(damaged)} of {self.design.n_periods} periods are damaged or missing (the "
            f"first begins {self.design.starts[first]})"
        )

    def _reopen_if_damaged(self) -> None:
        """Make finished stores unfinished again where chunks of them were damaged since: those periods count as not done."""
        damaged = self._damaged()
        if not damaged:
            return
        print(f"note: {self._told(damaged)} and are made again", flush=True)
        self.done -= set(damaged)
        new = self.folder / f"{DONE}.new"
        try:
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(self.marks, ignore_errors=True)  # of a command killed between naming the stores and clearing up
            new.mkdir()
            for period in self.done:
                (new / f"{period:05d}").touch()
            new.rename(self.marks)  # before any store loses its name: where one has, the marks tell what is in
            for name in self.names:
                (self.folder / name).rename(partial_path(self.folder, name))
        except OSError as error:
            raise cannot_write(self.folder, error) from None

    def summary(self) -> SpeedSummary:
        """Count particles by status.

        Raises
        ------
        StoreError
            The store is damaged.
        """
        path = self._where("particles.zarr")
        try:
            status = zarr.open_group(str(path), mode="r")["status"][...]
        except Exception as error:
            raise StoreError(
                f"{path} is damaged ({one_line(error)}); remove {self.folder} and give the same command again"
            ) from error
        values, counts = np.unique(status, return_counts=True)
        by_status = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
        by_status.setdefault(REACHED, 0)
        return SpeedSummary(self.w, int(status.size), by_status)


class Writer:
    """Writes finished cohorts in a thread, in order, while particles move on; what goes wrong there is raised here.

    A context manager: leaving it waits for what is under way. At most ``ahead`` results wait, so that memory stays bounded.
    """

    def __init__(self, ahead: int = 2):
        self.ahead = ahead
        self._pool = ThreadPoolExecutor(1)
        self._pending: list[Future] = []

    def __enter__(self) -> Writer:
        return self

    def submit(self, function, *arguments) -> None:
        """Queue a call; waits when too many are queued."""
        self.settle(self.ahead - 1)
        self._pending.append(self._pool.submit(function, *arguments))

    def settle(self, keep: int = 0) -> None:
        """Wait until at most ``keep`` calls are queued."""
        while len(self._pending) > keep or (self._pending and self._pending[0].done()):
            self._pending.pop(0).result()

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None:
                self.settle()
            elif issubclass(kind, Exception):
                with contextlib.suppress(Exception):  # what came first is what is told
                    self.settle()
        finally:
            self._pool.shutdown(cancel_futures=True)
