"""Particles of one design in many predicted oceans: what the oceans share is made once, and each adds its own flow alone.

Members of an ensemble release the same particles at the same places and instants; their flows differ. So releases, their order in
time and the ocean's geometry are made once; a member lays its velocities out for the compiled kernel as a window is loaded, and
its particles are plain arrays. Paths are those of :class:`lagrangian.campaign.Campaign` to rounding. Members share nothing that
they change: threads take one each, and any number of threads gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from data.cores import cores
from data.errors import InputError
from data.times import seconds
from lagrangian.advection import ACTIVE
from lagrangian.campaign import diffusivity_of
from lagrangian.cohorts import Cohort
from lagrangian.experiments import PlacedDesign
from lagrangian.integration import Integration
from lagrangian.velocity import omega_by_continuity
from lagrangian.window import PreparedSnapshot, Window
from learning.velocity.ocean import PredictedOcean


@dataclass(frozen=True, eq=False)
class Releases:
    """Every particle of every cohort of a design; row = (cohort, position, particle), the last fastest.

    Attributes
    ----------
    cohorts : list of Cohort
    shape : (int, int)
        Positions, and particles of one of them in a cohort.
    time : (row,) float64
        Of the release, s since 1970.
    xi, eta : (row,) float64
        Of the release, cells.
    speed : (row,) float64
        Sinking speed, m/s.
    uid : (row,) int64
        Names for random numbers, those that :class:`lagrangian.campaign.Campaign` gives.
    depth : float
        Of the release, m, positive down.
    order : (row,) int64
        Rows, the latest release first.
    """

    cohorts: list[Cohort]
    shape: tuple[int, int]
    time: np.ndarray
    xi: np.ndarray
    eta: np.ndarray
    speed: np.ndarray
    uid: np.ndarray
    depth: float
    order: np.ndarray

    @classmethod
    def of(cls, placed: PlacedDesign) -> Releases:
        """All periods and speeds of a design."""
        cohorts = [Cohort(period, w) for period in range(placed.n_periods) for w in placed.speeds]
        shape = placed.n_positions, placed.n_particles
        particle = np.arange(placed.n_particles)
        release, member = particle // placed.n_members, particle % placed.n_members
        delay = (placed.release_delay / np.timedelta64(1, "s"))[release]
        start = seconds(placed.starts)[[cohort.period for cohort in cohorts]]
        whole = len(cohorts), *shape
        time = np.broadcast_to(start[:, None, None] + delay, whole)
        w = np.array([cohort.w for cohort in cohorts])[:, None, None]
        position = np.arange(placed.n_positions)[:, None]
        with np.errstate(over="ignore"):  # as the campaign: integers wrap
            uid = (np.rint(time).astype(np.int64) * np.int64(2**24) + position * 4096 + member) * np.int64(1_000_003)
            uid = uid + np.rint(1000 * w).astype(np.int64)
        xi, eta = (np.broadcast_to(index[:, member], whole).ravel() for index in (placed.release_xi, placed.release_eta))
        time = time.ravel()
        order = np.argsort(-time, kind="stable")
        speed = np.broadcast_to(w / 86400.0, whole).ravel()
        return cls(cohorts, shape, time, xi, eta, speed, uid.ravel(), float(placed.trap_depth), order)


def crossings_in(
    ocean: PredictedOcean, releases: Releases, levels: Sequence[float], integration: Integration
) -> np.ndarray:  # fmt: skip
    """(row, level, 2) float64 index coordinates at which the particles rise through ``levels`` (m, deepest first); NaN where not.

    Raises
    ------
    InputError
        A release lies after the last instant of the ocean.
    """
    times, order = seconds(ocean.times), releases.order
    release = releases.time[order]
    if release.size and release[0] > times[-1]:
        raise InputError("a release lies after the last snapshot of the record")
    window = Window(ocean.grid, ocean.vertical, dt=60 * integration.dt_minutes, levels=np.asarray(levels, np.float64),
                    diffusivity=diffusivity_of(integration), threads=1)  # fmt: skip
    n = release.size
    crossings = np.full((n, len(levels), 3), np.nan)
    x, y, z = releases.xi.copy(), releases.eta.copy(), np.full(n, -releases.depth)
    status, next_level, half_layer = np.full(n, ACTIVE, np.int32), np.zeros(n, np.int32), np.full(n, -1, np.int16)
    flying, begun = order[:0], 0
    later: PreparedSnapshot | None = None
    for index in range(int(np.searchsorted(times, release[0])) if n else 0, -1, -1):
        snapshot = _prepared(ocean, index, times[index])
        if later is not None:
            if window.is_empty:
                window.load(later, (index + 1) % 2)
            window.load(snapshot, index % 2)
            entered = int(np.searchsorted(-release, -snapshot.time))  # released after the earlier snapshot
            fresh, begun = order[begun:entered], entered
            flying = np.concatenate([flying[status[flying] == ACTIVE], fresh])
            clock = np.full(flying.size, later.time)
            clock[flying.size - fresh.size :] = releases.time[fresh]
            now = tuple(whole[flying] for whole in (x, y, z, status, next_level, half_layer))
            xi, eta, height, state, level, half = now
            window.advance(xi, eta, height, clock, snapshot.time - clock, releases.speed[flying], state, level, flying,
                           releases.uid[flying], crossings, half)  # fmt: skip
            for whole, part in zip((x, y, z, status, next_level, half_layer), now, strict=True):
                whole[flying] = part
        later = snapshot
        if begun == n and not (status[flying] == ACTIVE).any():
            break
    return crossings[..., :2]


def _prepared(ocean: PredictedOcean, index: int, time: float) -> PreparedSnapshot:
    """A snapshot for the kernel. Over a flat floor a flow without divergence has no vertical motion; beside land it may have."""
    snapshot = ocean.snapshot(index)
    if ocean.grid.mask_rho.all():
        still = np.zeros((ocean.vertical.n + 1, *ocean.grid.shape), np.float32)
        return PreparedSnapshot(time, snapshot.u, snapshot.v, snapshot.zeta, still)
    omega = omega_by_continuity(snapshot.u, snapshot.v, snapshot.zeta, ocean.grid, ocean.vertical)
    return PreparedSnapshot(time, snapshot.u, snapshot.v, snapshot.zeta, omega)


def displacements(
    oceans: Sequence[Callable[[], PredictedOcean]], placed: PlacedDesign, integrations: Sequence[Integration], threads: int = 1
) -> Iterator[dict[Cohort, np.ndarray]]:
    """Yield for each ocean: km east and north of the release, (position, particle, level, 2) float32, by cohort.

    Parameters
    ----------
    oceans : sequence of callables
        Give an ocean each, all of one grid and of the same instants.
    placed : PlacedDesign
        In that grid; levels in its own order, the deepest first.
    integrations : sequence of Integration
        One an ocean, with its seed.
    threads : int
        That take an ocean each; 0: one for each core.

    Raises
    ------
    InputError
        A release lies after the last instant.
    """
    releases = Releases.of(placed)

    def follow(number: int) -> dict[Cohort, np.ndarray]:
        ocean = oceans[number]()
        crossings = crossings_in(ocean, releases, placed.levels, integrations[number])
        start = (index[:, None] for index in (releases.xi, releases.eta))
        place = np.stack(ocean.grid.displacement_km(crossings[..., 0], crossings[..., 1], *start), axis=-1).astype(np.float32)
        place = place.reshape(len(releases.cohorts), *releases.shape, *place.shape[1:])
        return dict(zip(releases.cohorts, place, strict=True))

    threads = min(threads or cores(), len(oceans))
    if threads <= 1:
        yield from map(follow, range(len(oceans)))
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(follow, range(len(oceans)))
