"""From finished cohorts to stores: positions in degrees and kilometres, PDFs, and which periods are in.

Several processes may fill the stores of one run: each period is a part (:mod:`data.resumable`) of every store.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Container
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import zarr

from data.chunks import checked_setting, mend_of
from data.command import one_line
from data.errors import StoreError, cannot_write
from data.grid import HorizontalGrid
from data.ocean import Ocean
from data.resumable import OLDER_MARKS, ResumableStore, holds
from data.times import whole_seconds
from lagrangian.advection import REACHED
from lagrangian.binning import count_crossings
from lagrangian.cohorts import Cohort, CohortResult
from lagrangian.design import Design, speed_folder
from lagrangian.experiments import PlacedDesign
from lagrangian.stores import FILLED, NO_TIME, create_particles, create_pdf, create_trajectories


def store_names(design: Design | PlacedDesign) -> tuple[str, ...]:
    """Names of the stores of a speed."""
    return ("particles.zarr", "pdf.zarr", *(["trajectories.zarr"] if design.trajectories else []))


def is_done(out: Path, design: Design | PlacedDesign, cohort: Cohort) -> bool:
    """Whether a cohort is in all its stores under the run folder ``out``."""
    return all(holds(out / speed_folder(cohort.w) / name, cohort.period) for name in store_names(design))


@dataclass(frozen=True)
class SpeedSummary:
    """How the particles of one sinking speed ended: number by status, and share that reached the last level."""

    w: float
    released: int
    by_status: dict[int, int]


class SpeedResults:
    """The stores of one sinking speed, filled a period at a time and resumable, each for itself.

    Parameters
    ----------
    folder : Path
        ``OUT/w080``.
    create : bool
        Whether to lay the stores out where there are none (not in a worker: what it would lay out is being filled by others).
    identity : dict, optional
        Of the run; a store of another is refused.
    check : callable
        Called before anything is written or noted; may raise, to leave it.

    Attributes
    ----------
    stores : dict of str to ResumableStore
        By kind.

    Raises
    ------
    StoreError
        The stores are not there and not to be made; of another run; or damaged so that they cannot be gone on with.
    """

    def __init__(
        self,
        folder: Path,
        design: PlacedDesign,
        ocean: Ocean,
        w: float,
        *,
        create: bool = True,
        identity: dict | None = None,
        check: Callable[[], None] = lambda: None,
    ):
        self.folder, self.design, self.ocean, self.w = folder, design, ocean, w
        self.check = check
        self.stores: dict[str, ResumableStore] = {}
        for name in store_names(design):
            kind = name.removesuffix(".zarr")
            self.stores[kind] = ResumableStore(
                folder / name, FILLED[kind], design.n_periods, lay_out=partial(self._lay_out, kind) if create else None,
                identity=identity, parts="periods",
            )  # fmt: skip
        if create:
            self._remove_older_marks()
            self._tell_damaged()

    @classmethod
    def of(cls, out: Path, design: PlacedDesign, ocean: Ocean, w: float, **options) -> SpeedResults:
        """The results of speed ``w`` (m/d) under the run folder ``out``."""
        return cls(out / speed_folder(w), design, ocean, w, **options)

    def _lay_out(self, kind: str, path: Path) -> None:
        arguments = (path, self.design, self.ocean, self.w)
        if kind == "trajectories":
            create_trajectories(*arguments, self.design.design.observations_per_path(self.w))
        else:
            {"particles": create_particles, "pdf": create_pdf}[kind](*arguments)

    def _remove_older_marks(self) -> None:
        """The marks of an earlier version, beside its stores, are in the stores now."""
        try:
            for name in (OLDER_MARKS, f"{OLDER_MARKS}.new"):
                if (self.folder / name).exists():
                    shutil.rmtree(self.folder / name)
        except OSError as error:
            raise cannot_write(self.folder, error) from None

    def _tell_damaged(self) -> None:
        damaged = {number: store for store in self.stores.values() for number in store.damaged}
        if damaged:
            first = min(damaged)
            print(
                f"note: {damaged[first].where}: the chunks of {len(damaged)} of {self.design.n_periods} periods are damaged or "
                f"missing (the first begins {self.design.starts[first]}) and are made again",
                flush=True,
            )

    @property
    def done(self) -> set[int]:
        """Periods that are in all stores."""
        return set.intersection(*(store.done for store in self.stores.values()))

    def missing(self) -> list[Cohort]:
        """Cohorts not yet in all the stores."""
        return [Cohort(period, self.w) for period in range(self.design.n_periods) if period not in self.done]

    def write(self, result: CohortResult) -> None:
        """Put one cohort into the stores that lack it and, once it is on disk, note it.

        Raises
        ------
        StoreError
            The disk is full or cannot be written; what was noted before stays valid.
        """
        self.check()
        period = result.cohort.period
        lacking = {kind: store for kind, store in self.stores.items() if period not in store.done}
        for kind, values in cohort_values(result, self.design, self.ocean.grid, lacking).items():
            lacking[kind].fill(period, **values)
        self.check()
        for store in lacking.values():
            store.mark(period)

    def close(self) -> None:
        """Check the stores and name those of which every period is in (whoever put it there).

        Raises
        ------
        StoreError
            Chunks are damaged: their periods count as not done.
        """
        errors = []
        for store in self.stores.values():
            try:
                store.close()
            except StoreError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def summary(self) -> SpeedSummary:
        """Count particles by status.

        Raises
        ------
        StoreError
            The store is damaged.
        """
        path = self.stores["particles"].where
        try:
            with zarr.config.set(checked_setting(path, "particles")):
                status = np.asarray(zarr.open_array(str(path), path="status", mode="r")[...])
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(f"{path} is damaged ({one_line(error)}); {mend_of(path)}") from error
        values, counts = np.unique(status, return_counts=True)
        by_status = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
        by_status.setdefault(REACHED, 0)
        return SpeedSummary(self.w, int(status.size), by_status)


def cohort_values(
    result: CohortResult, design: PlacedDesign, grid: HorizontalGrid, kinds: Container[str]
) -> dict[str, dict[str, np.ndarray]]:
    """What the stores of ``kinds`` (particles, pdf, trajectories) hold of a cohort, by kind and variable: a row a position."""
    shape = (design.n_positions, design.n_particles, len(design.levels))
    xi, eta, time = (result.crossings[..., k].reshape(shape) for k in range(3))
    members = np.arange(design.n_particles) % design.n_members
    xi0, eta0 = design.release_xi[:, members], design.release_eta[:, members]
    native, native0 = grid.native_position(xi, eta), grid.native_position(xi0, eta0)
    x, y = grid.displacement_of_native(*native, *(place[..., None] for place in native0))
    x, y = x.astype(np.float32), y.astype(np.float32)
    delay = np.repeat(design.release_delay, design.n_members)
    release = whole_seconds(design.starts[result.cohort.period].astype("datetime64[s]") + delay)
    values = {}
    if "particles" in kinds:
        lon, lat = grid.position_of_native(*native)
        lon0, lat0 = grid.position_of_native(*native0)
        time = np.where(np.isfinite(time), np.rint(np.nan_to_num(time)), NO_TIME).astype(np.int64)
        values["particles"] = {
            "x": x, "y": y, "lon": lon, "lat": lat, "time": time, "status": result.status.reshape(shape[:2]),
            "release_time": np.broadcast_to(release, shape[:2]), "release_lon": lon0, "release_lat": lat0,
        }  # fmt: skip
    if "pdf" in kinds:
        counts, reached = count_crossings(x, y)
        values["pdf"] = {"counts": counts, "reached": reached}
    if "trajectories" in kinds:
        values["trajectories"] = _paths(result, design, grid, release)
    return values


def _paths(result: CohortResult, design: PlacedDesign, grid: HorizontalGrid, release: np.ndarray) -> dict[str, np.ndarray]:
    assert result.path is not None and design.trajectories is not None
    # a sweep records for as long as its slowest speed needs
    path = result.path[:, : design.design.observations_per_path(result.cohort.w)]
    xi, eta, z = (path[..., k].astype(np.float64) for k in range(3))
    lon, lat = grid.position(xi, eta)
    every = round(3600 * design.trajectories)
    release = np.tile(release, design.n_positions)[:, None]
    obs = np.arange(path.shape[1])[None, :]
    time = np.where(obs == 0, release, -(-release // every) * every - obs * every)
    time = np.where(np.isfinite(z), time, NO_TIME)
    return {"lon": lon, "lat": lat, "z": z, "time": time}


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
